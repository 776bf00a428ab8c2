import type { Tick } from "../../lift/index.ts";
import type { Schedule, ScheduledItem, TimeBudget } from "../../store/index.ts";
import type { Core, Scope, Session } from "../core.ts";
import { allFromStore, fromStore } from "../fan-out/errors.ts";
import { partOf } from "../keys.ts";
import type { Channels } from "../namespaces.ts";

/** The kind of the items that look after connections. */
export const SWEEP = "streamer:sweep";

/** The service closes a connection that has been idle for so long. */
const IDLE_MS = 10 * 60_000;

/** A connection that may end at any moment is looked at again after so long. */
const AGAIN_MS = 60_000;

/**
 * Finds connections that have ended without a `$disconnect`, where they are seen or counted. Each has one item in the
 * schedule, which moves itself on as long as the connection is there.
 */
export class Sweep {
  readonly #schedule: Schedule | undefined;
  readonly #channels: Channels;
  readonly #now: () => number;
  /** How often clients say that they are there. Absent: only the service's idle limit ends connections. */
  readonly #heartbeatMs: number | undefined;

  /** @param heartbeatMs a connection that has missed one heartbeat is suspect, and one that misses two is closed */
  constructor(
    schedule: Schedule | undefined,
    channels: Channels,
    now: () => number,
    heartbeatMs: number | undefined,
  ) {
    this.#schedule = schedule;
    this.#channels = channels;
    this.#now = now;
    this.#heartbeatMs = heartbeatMs;
  }

  /**
   * Begins to look after a connection that may not have been looked after before.
   * @param inMs from when on
   * @throws {LiftError} STORE_FAILED
   */
  async watch(
    { ctx, budget }: Pick<Session, "ctx" | "budget">,
    inMs = this.#heartbeatMs ?? IDLE_MS,
  ): Promise<void> {
    const dueAt = this.#now() + inMs;
    const item = { kind: SWEEP, id: ctx.connectionId, dueAt, data: { endpoint: ctx.asWebSocket().endpoint } };
    await (this.#schedule && fromStore(this.#schedule.put(item, budget)));
  }

  /**
   * Removes a connection that has ended from its channels. The next tick finds those that fail: nothing else may ever be
   * sent there.
   * @param foundIn channels that it was just added to
   * @returns whether all of them were left
   * @throws {LiftError} STORE_FAILED
   */
  async ended(
    session: Scope & Pick<Session, "ctx">,
    { departures }: Core,
    foundIn: readonly string[] = [],
  ): Promise<boolean> {
    const whole = await departures.removeGone([session.ctx.connectionId], session, foundIn);
    if (!whole) await this.watch(session, 0);
    return whole;
  }

  /** A client has said that it is there. @throws {LiftError} STORE_FAILED */
  async heard(session: Session): Promise<void> {
    if (this.#heartbeatMs !== undefined) await this.watch(session);
  }

  /** Whether one of these is a channel in which the connection of a user, or of nobody, would be missed. */
  isSeenIn(keys: readonly string[], userId: string | undefined): boolean {
    return this.#isSeenIn(keys, userId !== undefined);
  }

  #isSeenIn(keys: readonly string[], isUser: boolean): boolean {
    return keys.some((key) => {
      const { presence = false, live } = this.#channels.namespaceOf(key) ?? {};
      return partOf(key) === "owners" || live !== undefined || (presence && isUser);
    });
  }

  /** What a tick does with an item. In turn with the connection's own messages, as far as this process has them. */
  look(item: ScheduledItem, tick: Tick, scope: Scope, core: Core): Promise<void> {
    return core.turns.run(item.id, () => this.#look(item, tick, scope, core));
  }

  async #look(item: ScheduledItem, tick: Tick, scope: Scope, { store, departures }: Core): Promise<void> {
    const { id, data } = item;
    const { endpoint, isSuspect = false } = data as unknown as Watched;
    // The connection's own messages went first, and a heartbeat among them has moved the item.
    if (!(await tick.isStillDue(item))) return;
    // Who has left is looked after no more, and watched again when they come back.
    const keys = await allFromStore(store.members.listChannels(id, tick));
    if (keys.length === 0) return;
    const connections = tick.connectionsAt(endpoint);
    const options: { signal: AbortSignal; budget: TimeBudget } = { signal: tick.signal, budget: tick };
    const info = await connections.get(id, options);
    if (info !== undefined) {
      if (!this.#isSeenIn(keys, true)) return;
      const again = this.#lookAgain(info, isSuspect);
      if (again !== undefined) {
        const next: Watched = { endpoint, ...(again.isSuspect && { isSuspect: true }) };
        // A heartbeat may have moved the item meanwhile: then this look says nothing.
        if (!(await tick.isStillDue(item))) return;
        return tick.schedule.put({ ...item, dueAt: again.dueAt, data: { ...next } }, tick);
      }
      if (!(await tick.isStillDue(item))) return;
      // It must not go on believing that it is subscribed: if it is there after all, it comes back.
      await connections.disconnect(id, options);
    }
    if (!(await departures.removeGone([id], scope))) throw new Error("The log has what was not left");
  }

  /** When a connection that is open is looked at next; `undefined`: it has sent no heartbeat for too long. */
  #lookAgain({ lastActiveAt }: { readonly lastActiveAt: number }, isSuspect: boolean) {
    const now = this.#now();
    if (this.#heartbeatMs === undefined) {
      // At most as late as if it had been active just now: a date from the future is not trusted.
      const idleAt = Math.min(lastActiveAt, now) + IDLE_MS;
      return { dueAt: Math.max(idleAt, now + AGAIN_MS), isSuspect: false };
    }
    // The wall clock may have jumped since the last heartbeat: only a second look, an interval later, can tell.
    return isSuspect ? undefined : { dueAt: now + this.#heartbeatMs, isSuspect: true };
  }
}

/** The data of a connection in the schedule. */
interface Watched {
  readonly endpoint: string;
  /** It has missed a heartbeat by the clock of the last tick. A heartbeat takes that back. */
  readonly isSuspect?: boolean;
}
