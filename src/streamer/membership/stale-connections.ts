import type { KeyedQueue } from "../../internal/keyed-queue.ts";
import type { Tick } from "../../lift/index.ts";
import type { ChannelMembers, ScheduledItem } from "../../store/index.ts";
import type { CallContext, ClientRequest } from "../call-context.ts";
import { collectFromStore } from "../errors.ts";
import { type ConnectionWatch, IDLE_MS, type WatchedConnection } from "./connection-watch.ts";
import type { MemberRemover } from "./leave.ts";

/** ms until the next check of a connection that may end at any moment. */
const RECHECK_MS = 60_000;

interface StaleConnectionsOptions {
  readonly watch: ConnectionWatch;
  readonly members: ChannelMembers;
  readonly remover: MemberRemover;
  /** Serializes the work of each connection within this process. */
  readonly queue: KeyedQueue;
  /** ms since the epoch. */
  readonly now: () => number;
}

/** Finds watched connections that ended without a `$disconnect`, and removes them from their channels. */
export class StaleConnections {
  readonly #watch: ConnectionWatch;
  readonly #members: ChannelMembers;
  readonly #remover: MemberRemover;
  readonly #queue: KeyedQueue;
  readonly #now: () => number;

  constructor({ watch, members, remover, queue, now }: StaleConnectionsOptions) {
    this.#watch = watch;
    this.#members = members;
    this.#remover = remover;
    this.#queue = queue;
    this.#now = now;
  }

  /**
   * Removes a connection that has ended from its channels. After a failure it schedules a check for the next tick,
   * because no later send may discover the connection.
   * @param addedTo keys of channels that it was just added to
   * @returns whether it was removed from all of them
   * @throws {LiftError} STORE_FAILED
   */
  async removeEnded(
    request: CallContext & Pick<ClientRequest, "ctx">,
    addedTo: readonly string[] = [],
  ): Promise<boolean> {
    const isComplete = await this.#remover.removeGone([request.ctx.connectionId], request, addedTo);
    if (!isComplete) await this.#watch.start(request, 0);
    return isComplete;
  }

  /** Runs a scheduled check, after the messages of the connection that this process is handling. */
  onTick(item: ScheduledItem, tick: Tick, context: CallContext): Promise<void> {
    return this.#queue.run(item.id, () => this.#check(item, tick, context));
  }

  async #check(item: ScheduledItem, tick: Tick, context: CallContext): Promise<void> {
    const { id, data } = item;
    const { endpoint, isSuspect = false } = data as unknown as WatchedConnection;
    // A heartbeat in the queue before this check has moved the item.
    if (!(await tick.isStillDue(item))) return;
    // A connection without channels needs no watch; its next subscription starts one.
    const keys = await collectFromStore(this.#members.listChannels(id, tick));
    if (keys.length === 0) return;
    const connections = tick.connectionsAt(endpoint);
    const options = { signal: tick.signal, budget: tick };
    const info = await connections.get(id, options);
    if (info !== undefined) {
      if (!this.#watch.isRequired(keys, true)) return;
      const next = this.#nextCheck(info.lastActiveAt, isSuspect);
      // A heartbeat may have moved the item meanwhile, which must not be overwritten.
      if (!(await tick.isStillDue(item))) return;
      if (next !== undefined) {
        const watched: WatchedConnection = { endpoint, ...(next.isSuspect && { isSuspect: true }) };
        return tick.schedule.put({ ...item, dueAt: next.dueAt, data: { ...watched } }, tick);
      }
      // A client that still runs must not believe that it is subscribed: it reconnects after the close.
      await connections.disconnect(id, options);
    }
    const isComplete = await this.#remover.removeGone([id], context);
    if (!isComplete) throw new Error("The connection was not removed from all channels; see the log");
  }

  /** Returns when to check an open connection again; `undefined` when it has sent no heartbeat for too long. */
  #nextCheck(
    lastActiveAt: number,
    isSuspect: boolean,
  ): { readonly dueAt: number; readonly isSuspect: boolean } | undefined {
    const now = this.#now();
    const { heartbeatMs } = this.#watch;
    if (heartbeatMs === undefined) {
      // A date in the future is not trusted: the check is due no later than for a connection that is active now.
      const idleAt = Math.min(lastActiveAt, now) + IDLE_MS;
      return { dueAt: Math.max(idleAt, now + RECHECK_MS), isSuspect: false };
    }
    // The wall clock may have jumped since the last heartbeat, so only a second check, an interval later, decides.
    return isSuspect ? undefined : { dueAt: now + heartbeatMs, isSuspect: true };
  }
}
