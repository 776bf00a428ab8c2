import type { Tick } from "../lift/index.ts";
import type { Schedule, ScheduledItem, TimeBudget } from "../store/index.ts";
import type { Channels } from "./channels.ts";
import type { Core, Scope, Session } from "./core.ts";
import { allFromStore, fromStore } from "./failures.ts";
import { partOf } from "./keys.ts";

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
  /** Who has said nothing for so long has vanished. Absent: whoever the service has closed. */
  readonly #silenceMs: number | undefined;

  /** @param heartbeatMs how often clients say that they are there. One of two may be lost. */
  constructor(
    schedule: Schedule | undefined,
    channels: Channels,
    now: () => number,
    heartbeatMs: number | undefined,
  ) {
    this.#schedule = schedule;
    this.#channels = channels;
    this.#now = now;
    this.#silenceMs = heartbeatMs === undefined ? undefined : 2 * heartbeatMs;
  }

  /**
   * Begins to look after a connection that may not have been looked after before.
   * @param inMs from when on
   * @throws {LiftError} STORE_FAILED
   */
  async watch(
    { ctx, budget }: Pick<Session, "ctx" | "budget">,
    inMs = this.#silenceMs ?? IDLE_MS,
  ): Promise<void> {
    const dueAt = this.#now() + inMs;
    const item = { kind: SWEEP, id: ctx.connectionId, dueAt, data: { endpoint: ctx.asWebSocket().endpoint } };
    await (this.#schedule && fromStore(this.#schedule.put(item, budget)));
  }

  /**
   * Takes out a connection that has ended. What could not be left now, the next tick finds: nothing else may ever be sent
   * there. Resolves to whether all was left. @throws {LiftError} STORE_FAILED
   */
  async ended(session: Scope & Pick<Session, "ctx">, { departures }: Core): Promise<boolean> {
    const whole = await departures.removeGone([session.ctx.connectionId], session);
    if (!whole) await this.watch(session, 0);
    return whole;
  }

  /** A client has said that it is there. @throws {LiftError} STORE_FAILED */
  async heard(session: Session): Promise<void> {
    if (this.#silenceMs !== undefined) await this.watch(session);
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
    return core.turns.take(item.id, () => this.#look(item, tick, scope, core));
  }

  async #look(item: ScheduledItem, tick: Tick, scope: Scope, { store, departures }: Core): Promise<void> {
    const { id, data } = item;
    // Who has left is looked after no more, and watched again when they come back.
    const keys = await allFromStore(store.members.channelsOf(id, tick));
    if (keys.length === 0) return;
    const connections = tick.connectionsAt((data as { endpoint: string }).endpoint);
    const options: { signal: AbortSignal; budget: TimeBudget } = { signal: tick.signal, budget: tick };
    const info = await connections.get(id, options);
    if (info !== undefined && !this.#isSeenIn(keys, true)) return;
    if (info !== undefined && this.#silenceMs === undefined) {
      const dueAt = Math.max(info.lastActiveAt + IDLE_MS, this.#now() + AGAIN_MS);
      return tick.schedule.put({ ...item, dueAt }, tick);
    }
    // It must not go on believing that it is subscribed: if it is there after all, it comes back.
    if (info !== undefined) await connections.disconnect(id, options);
    if (!(await departures.removeGone([id], scope))) throw new Error("The log has what was not left");
  }
}
