import { createElapsed, type Elapsed } from "../../internal/elapsed.ts";
import type { LiveStream } from "../../protocol/index.ts";
import type { ChannelMembers, Schedule, TimeBudget } from "../../store/index.ts";
import type { ClientRequest } from "../call-context.ts";
import { toSubChannelKey } from "../channel-keys.ts";
import type { Channels } from "../channels.ts";
import { awaitStore, collectFromStore } from "../errors.ts";
import type { ConnectionWatch } from "../membership/connection-watch.ts";

/** The kind of the scheduled item that ends a stream whose owner has not returned. Putting it again replaces it. */
export const CHECK_STREAM_OWNER = "streamer:stream.left";

/** Above this number of streams, those not seen for an hour are forgotten. */
const MAX_IDLE_STREAMS = 1_000;
const IDLE_MS = 60 * 60_000;

/** Streams remembered at most: 30 MB. A forgotten stream only costs another check of its owner. */
const MAX_STREAMS = 100_000;

/** A stream whose owner this process has checked. */
interface KnownStream {
  /** When the stream started, in ms since the epoch. */
  readonly since: number;
  /** When it was last seen, in elapsed ms. */
  readonly seenAt: number;
}

interface StreamOwnersOptions {
  readonly members: ChannelMembers;
  readonly schedule: Schedule | undefined;
  readonly channels: Channels;
  readonly watch: ConnectionWatch;
  /** ms since the epoch. */
  readonly now: () => number;
}

/** Tracks the connections of live streams' owners. They are members of a sub-channel of the streamed channel. */
export class StreamOwners {
  readonly #members: ChannelMembers;
  readonly #schedule: Schedule | undefined;
  readonly #channels: Channels;
  readonly #watch: ConnectionWatch;
  readonly #now: () => number;
  readonly #elapsed: Elapsed;
  /** By channel key, least recently seen first. */
  readonly #known = new Map<string, KnownStream>();

  constructor({ members, schedule, channels, watch, now }: StreamOwnersOptions) {
    this.#members = members;
    this.#schedule = schedule;
    this.#channels = channels;
    this.#watch = watch;
    this.#now = now;
    this.#elapsed = createElapsed(now);
  }

  /** How many streams are remembered. */
  get knownCount(): number {
    return this.#known.size;
  }

  /** Adds the request's connection to the owner's connections, and watches it. @throws {LiftError} STORE_FAILED */
  async addOwner(key: string, userId: string, request: ClientRequest): Promise<void> {
    const { ctx, budget } = request;
    const { connectionId } = ctx;
    const keys = await collectFromStore(this.#members.listChannels(connectionId, budget));
    if (!this.#watch.isRequired(keys, true)) await this.#watch.start(request);
    const { endpoint, expiresAt } = ctx.asWebSocket();
    const member = { connectionId, userId, endpoint, joinedAt: this.#now(), expiresAt };
    await awaitStore(this.#members.add(toSubChannelKey(key, "owners"), member, budget));
  }

  /** Removes one of an owner's connections, and schedules the owner check. @throws {LiftError} STORE_FAILED */
  async removeOwner(key: string, connectionId: string, budget: TimeBudget | undefined): Promise<void> {
    // Before the removal: when the process dies after it, nothing else would check the owner.
    await this.#scheduleCheck(key, budget);
    const removed = await awaitStore(
      this.#members.remove(toSubChannelKey(key, "owners"), connectionId, budget),
    );
    // After it too: without a grace period, the check may have run in between.
    if (removed !== undefined) await this.#scheduleCheck(key, budget);
  }

  /**
   * Schedules the owner check of a stream whose owner is absent. Each process does this once for each stream that it
   * reports to a client, because the process that should have scheduled the check may have died.
   * @throws {LiftError} STORE_FAILED
   */
  async ensureOwnerCheck(
    key: string,
    { user, since }: LiveStream,
    budget: TimeBudget | undefined,
  ): Promise<void> {
    const isKnown = this.#known.get(key)?.since === since;
    const now = this.#elapsed();
    this.#known.delete(key);
    this.#known.set(key, { since, seenAt: now });
    if (isKnown) return;
    this.#forget(now);
    try {
      if (!(await this.isPresent(key, user))) await this.#scheduleCheck(key, budget);
    } catch (error) {
      // The next client that asks for the stream retries.
      this.#known.delete(key);
      throw error;
    }
  }

  /** Returns whether one of a user's connections owns the channel's stream. @throws {LiftError} STORE_FAILED */
  async isPresent(key: string, userId: string): Promise<boolean> {
    const owners = await collectFromStore(
      this.#members.listPresence(toSubChannelKey(key, "owners"), this.#now()),
    );
    return owners.some((owner) => owner.userId === userId);
  }

  /** Keeps streams in steady use: a new check of a forgotten one would postpone its end. */
  #forget(now: number): void {
    for (const [key, { seenAt }] of this.#known) {
      const { size } = this.#known;
      if (size <= MAX_IDLE_STREAMS || (seenAt > now - IDLE_MS && size <= MAX_STREAMS)) return;
      this.#known.delete(key);
    }
  }

  async #scheduleCheck(key: string, budget: TimeBudget | undefined): Promise<void> {
    const graceMs = this.#channels.namespaceOf(key)?.live?.graceMs ?? 0;
    const item = { kind: CHECK_STREAM_OWNER, id: key, dueAt: this.#now() + graceMs, data: {} };
    await (this.#schedule && awaitStore(this.#schedule.put(item, budget)));
  }
}
