import { randomUUID } from "node:crypto";
import type { TimeSlices } from "../../internal/time-slices.ts";
import type { PresenceMessage } from "../../protocol/index.ts";
import type { ChannelStore, Json, TimeBudget } from "../../store/index.ts";
import type { Scope } from "../core.ts";
import { allFromStore, fromStore, log } from "../fan-out/errors.ts";
import type { FanOut } from "../fan-out/fan-out.ts";
import { channelKeyOf, channelOf, partOf } from "../keys.ts";
import type { Streams } from "../live-streams/live-streams.ts";
import type { Channels } from "../namespaces.ts";
import type { PresenceOrder } from "./presence-order.ts";
import type { Viewers } from "./viewer-count.ts";

/** What else happens where streams are. */
interface Audience {
  readonly channels: Channels;
  readonly streams: Streams;
  readonly viewers: Viewers;
}

/** A user whose presence has changed, and when. */
interface PresenceOf {
  readonly userId: string;
  readonly state?: Json;
  /** ms since the epoch. */
  readonly at: number;
}

/** Takes connections out of channels, and tells the members who comes and goes. */
export class Departures {
  readonly #store: ChannelStore;
  readonly #fanOut: FanOut;
  readonly #audience: Audience;
  readonly #slices: TimeSlices;
  readonly #order: PresenceOrder;
  readonly #now: () => number;

  constructor(
    store: ChannelStore,
    fanOut: FanOut,
    audience: Audience,
    slices: TimeSlices,
    order: PresenceOrder,
    now: () => number,
  ) {
    this.#store = store;
    this.#fanOut = fanOut;
    this.#audience = audience;
    this.#slices = slices;
    this.#order = order;
    this.#now = now;
  }

  /** Tells the members of a channel of a user, and takes out those that have left without a word. */
  async announce(
    key: string,
    event: PresenceMessage["event"],
    user: PresenceOf,
    scope: Scope,
  ): Promise<void> {
    await this.removeGone(await this.#tell(key, event, user, scope), scope, [key]);
  }

  /** Tells the members of a stream how many they are, if it is time, after somebody has come or gone. */
  async recount(key: string, scope: Scope): Promise<void> {
    await this.removeGone(await this.#recount(key, scope), scope, [key]);
  }

  /**
   * Removes connections from every channel they are in. A failure in one channel does not stop the others.
   * @param foundIn channels that they were found in, which the store's list of their channels may not have
   * @returns whether all of them were removed
   */
  async removeGone(
    connectionIds: readonly string[],
    scope: Scope,
    foundIn: readonly string[] = [],
  ): Promise<boolean> {
    let whole = true;
    const gone = new Map(connectionIds.map((id) => [id, foundIn]));
    // A Map iterates over entries that are added meanwhile: connections that a departure was sent to, and are gone too.
    for (const [connectionId, found] of gone) {
      await this.#slices.next();
      const failed = (error: unknown) => {
        whole = false;
        log(scope.logger, "error", "A channel was not left", { connectionId, error });
        return [];
      };
      const listed = await allFromStore(this.#store.members.listChannels(connectionId, scope.budget)).catch(
        failed,
      );
      const keys = new Set([...listed, ...found]);
      const leave = async (key: string) => {
        for (const id of await this.#leave(key, connectionId, scope)) if (!gone.has(id)) gone.set(id, [key]);
      };
      await Promise.all([...keys].map((key) => leave(key).catch(failed)));
    }
    return whole;
  }

  /** Resolves to whom it found gone. */
  async #leave(key: string, connectionId: string, scope: Scope): Promise<readonly string[]> {
    if (partOf(key) === "owners") {
      await this.#audience.streams.release(channelKeyOf(key), connectionId, scope.budget);
      return [];
    }
    const left = await this.remove(key, connectionId, scope.budget);
    const gone = left === undefined ? [] : await this.#tell(key, "leave", left, scope);
    return [...gone, ...(await this.#recount(key, scope))];
  }

  /** Takes a connection out of one channel. Resolves to the user who has left with it. @throws {LiftError} STORE_FAILED */
  async remove(
    key: string,
    connectionId: string,
    budget: TimeBudget | undefined,
  ): Promise<PresenceOf | undefined> {
    const askedAt = this.#now();
    const left = await fromStore(this.#store.members.remove(key, connectionId, budget));
    return left && { ...left, at: this.#order.leftAt(key, left, askedAt) };
  }

  async #recount(key: string, scope: Scope): Promise<readonly string[]> {
    const { channels, viewers } = this.#audience;
    return channels.namespaceOf(key)?.live === undefined ? [] : viewers.changed(key, scope);
  }

  /** What is told is not stored, and who was not told asks for `presence`. Resolves to whom it found gone. */
  async #tell(
    key: string,
    event: PresenceMessage["event"],
    { userId, state, at }: PresenceOf,
    scope: Scope,
  ): Promise<readonly string[]> {
    // When many leave at once, all are removed before the first event is sent: fewer connections receive it.
    await this.#slices.next();
    const message: PresenceMessage = {
      type: "presence",
      id: randomUUID(),
      channel: channelOf(key),
      event,
      user: userId,
      at,
      ...(state === undefined || event === "leave" ? {} : { state }),
    };
    try {
      const reached = () => this.#slices.next();
      const { complete, gone } = await this.#fanOut.send(key, JSON.stringify(message), scope, { reached });
      if (!complete) log(scope.logger, "warn", "There was no time to tell all of a presence", { event });
      return gone;
    } catch (error) {
      log(scope.logger, "error", "A presence was not told", { event, error });
      return [];
    }
  }
}
