import { createElapsed, type Elapsed } from "../../internal/elapsed.ts";
import { LiftError, type Tick } from "../../lift/index.ts";
import type {
  LiveStream,
  StreamEndPayload,
  StreamPayload,
  StreamStartPayload,
} from "../../protocol/index.ts";
import type { ChannelStore, Schedule, ScheduledItem, TimeBudget } from "../../store/index.ts";
import { fanOutStored } from "../actions/publish.ts";
import type { Core, Scope, Session } from "../core.ts";
import { allFromStore, fromStore } from "../fan-out/errors.ts";
import { partKey } from "../keys.ts";
import { assertLive, assertMay, type Channel, type Channels } from "../namespaces.ts";
import { assertRate } from "../rates.ts";
import { answer } from "../responses.ts";

/** The kind of the items that look whether a stream has its owner back. The last that was put stands. */
export const OWNER_LEFT = "streamer:stream.left";

/** Streams that a process remembers to have met, before it forgets those that it has not met for so long, in ms. */
const MET_MAX = 1_000;
const MET_MS = 60 * 60_000;

/** Streams that it remembers at most: 30 MB. One that is forgotten is only looked for once more. */
const MET_LIMIT = 100_000;

/** A stream that a process has seen to. */
interface Met {
  readonly since: number;
  /** When it was met last, in elapsed ms. */
  readonly at: number;
}

/** Looks after the owners of streams. Their connections are members of a channel beside the streamed one. */
export class Streams {
  readonly #store: ChannelStore;
  readonly #schedule: Schedule | undefined;
  readonly #channels: Channels;
  readonly #now: () => number;
  readonly #elapsed: Elapsed;
  /** The streams that this process knows of, by channel, the one met last at the end. */
  readonly #met = new Map<string, Met>();

  constructor(store: ChannelStore, schedule: Schedule | undefined, channels: Channels, now: () => number) {
    this.#store = store;
    this.#schedule = schedule;
    this.#channels = channels;
    this.#now = now;
    this.#elapsed = createElapsed(now);
  }

  /** Streams that it remembers. */
  get size(): number {
    return this.#met.size;
  }

  /** A connection of the owner's is there. @throws {LiftError} STORE_FAILED */
  async hold(key: string, userId: string, session: Session, { sweep }: Core): Promise<void> {
    const { members } = this.#store;
    const { ctx, budget } = session;
    const { connectionId } = ctx;
    if (!sweep.isSeenIn(await allFromStore(members.listChannels(connectionId, budget)), userId)) {
      await sweep.watch(session);
    }
    const { endpoint, expiresAt } = ctx.asWebSocket();
    const member = { connectionId, userId, endpoint, joinedAt: this.#now(), expiresAt };
    await fromStore(members.add(partKey(key, "owners"), member, budget));
  }

  /** A connection of an owner's has left the channel. @throws {LiftError} STORE_FAILED */
  async release(key: string, connectionId: string, budget: TimeBudget | undefined): Promise<void> {
    const owners = partKey(key, "owners");
    // Before it is out, as nobody would look where this is broken off behind that.
    await this.#lookLater(key, budget);
    const left = await fromStore(this.#store.members.remove(owners, connectionId, budget));
    // And behind it, as without a grace time somebody may have looked in between.
    if (left !== undefined) await this.#lookLater(key, budget);
  }

  /**
   * A subscriber is told of this stream. That its owner is gone may have been lost with the process that was to look,
   * so each process sees to it once.
   * @throws {LiftError} STORE_FAILED
   */
  async meet(key: string, { user, since }: LiveStream, budget: TimeBudget | undefined): Promise<void> {
    const isKnown = this.#met.get(key)?.since === since;
    const now = this.#elapsed();
    this.#met.delete(key);
    this.#met.set(key, { since, at: now });
    if (isKnown) return;
    this.#forget(now);
    try {
      if (!(await this.#isThere(key, user))) await this.#lookLater(key, budget);
    } catch (error) {
      // Who meets it next sees to it.
      this.#met.delete(key);
      throw error;
    }
  }

  /** One that is forgotten is looked for once more, which puts its end off: not one that is asked for all the time. */
  #forget(now: number): void {
    for (const [key, { at }] of this.#met) {
      const { size } = this.#met;
      if (size <= MET_MAX || (at > now - MET_MS && size <= MET_LIMIT)) return;
      this.#met.delete(key);
    }
  }

  /** Ends a stream whose owner has not come back. */
  async look(item: ScheduledItem, tick: Tick, scope: Scope, core: Core): Promise<void> {
    const { id: key } = item;
    const live = await core.streamLog.live(key, tick);
    if (live === undefined || (await this.#isThere(key, live.user))) return;
    // The owner may have come back and left again since: then the grace has begun anew.
    if (!(await tick.isStillDue(item))) return;
    await endStream(key, "owner_left", scope, core, (now) => now.since === live.since);
  }

  async #isThere(key: string, userId: string): Promise<boolean> {
    const owners = await allFromStore(this.#store.members.listPresence(partKey(key, "owners"), this.#now()));
    return owners.some((owner) => owner.userId === userId);
  }

  async #lookLater(key: string, budget: TimeBudget | undefined): Promise<void> {
    const graceMs = this.#channels.namespaceOf(key)?.live?.graceMs ?? 0;
    const item = { kind: OWNER_LEFT, id: key, dueAt: this.#now() + graceMs, data: {} };
    await (this.#schedule && fromStore(this.#schedule.put(item, budget)));
  }
}

export async function streamStart(
  { channel: text, data }: StreamStartPayload,
  session: Session,
  core: Core,
): Promise<void> {
  const { identity, budget } = session;
  const channel = core.channels.find(text, identity.tenantId);
  await assertMay("publish", identity, channel);
  assertLive(channel);
  const { key } = channel;
  const { userId: user } = identity;
  if (user === undefined) throw new LiftError("UNAUTHORIZED", { message: "Who is anonymous owns no stream" });
  await assertRate("stream_start", channel, session);
  assertOwn(await core.streamLog.live(key, budget), user);
  // Before there is anything to own: when this connection ends, somebody looks.
  await core.streams.hold(key, user, session, core);
  const viewers = await core.viewers.count(key);
  const start = (live: LiveStream | undefined) => {
    assertOwn(live, user);
    const since = live?.since ?? core.now();
    return { live: { user, since, viewers, ...(data === undefined ? {} : { data }) } };
  };
  const { event, stored } = (await core.streamLog.append(key, start, budget))!;
  const told = fanOutStored(partKey(key, "streams"), stored, session, core);
  const [answered] = await Promise.all([answer<"stream_start">(session, event), told]);
  if (!answered) await core.sweep.ended(session, core, [partKey(key, "owners")]);
}

export async function streamEnd(
  { channel: text }: StreamEndPayload,
  session: Session,
  core: Core,
): Promise<void> {
  const { identity, budget } = session;
  const channel = core.channels.find(text, identity.tenantId);
  assertLive(channel);
  const live = await core.streamLog.live(channel.key, budget);
  // Whether somebody streams is not told to whoever asks; who owns a stream ends it, whatever they may do by now.
  if (live === undefined || live.user !== identity.userId) await assertMay("publish", identity, channel);
  await endStream(channel.key, "ended", session, core, (live) => {
    assertOwn(live, identity.userId);
    return true;
  });
  await answer<"stream_end">(session, {});
}

export async function stream({ channel: text }: StreamPayload, session: Session, core: Core): Promise<void> {
  const channel = core.channels.find(text, session.identity.tenantId);
  await assertMay("subscribe", session.identity, channel);
  assertLive(channel);
  const live = await liveIn(channel, session.budget, core);
  await answer<"stream">(session, live === undefined ? {} : { live });
}

/** Who streams, and how many watch by now. @throws {LiftError} STORE_FAILED */
export async function liveIn(
  { key, namespace }: Channel,
  budget: TimeBudget | undefined,
  { streamLog, streams, viewers }: Core,
): Promise<LiveStream | undefined> {
  const live = namespace.live && (await streamLog.live(key, budget));
  if (live === undefined) return undefined;
  const [count] = await Promise.all([viewers.count(key), streams.meet(key, live, budget)]);
  return { ...live, viewers: count };
}

/**
 * Ends a stream, and tells the members.
 * @param applies whether the one that there is now is meant; what it throws, this throws
 * @returns whether there was one
 */
export async function endStream(
  key: string,
  reason: "ended" | "owner_left",
  scope: Scope,
  core: Core,
  applies: (live: LiveStream) => boolean = () => true,
): Promise<boolean> {
  const decide = (live: LiveStream | undefined) =>
    live !== undefined && applies(live) ? { ended: { user: live.user, reason } } : undefined;
  const ended = await core.streamLog.append(key, decide, scope.budget);
  if (ended === undefined) return false;
  await fanOutStored(partKey(key, "streams"), ended.stored, scope, core);
  return true;
}

/** @throws {LiftError} FORBIDDEN */
function assertOwn(live: LiveStream | undefined, userId: string | undefined): void {
  if (live !== undefined && live.user !== userId) {
    throw new LiftError("FORBIDDEN", { message: "Somebody else streams there" });
  }
}
