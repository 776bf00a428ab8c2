import type { Schedule } from "../../store/index.ts";
import type { ClientRequest } from "../call-context.ts";
import { subChannelFromKey } from "../channel-keys.ts";
import type { Channels } from "../channels.ts";
import { awaitStore } from "../errors.ts";

/** The kind of the scheduled item that checks whether a connection is still open. */
export const CHECK_CONNECTION = "streamer:sweep";

/** The service closes a connection after 10 minutes without a message. */
export const IDLE_MS = 10 * 60_000;

/** The data of a watched connection in the schedule. */
export interface WatchedConnection {
  readonly endpoint: string;
  /** The connection had missed a heartbeat at the last check. A heartbeat replaces the item, and with it this mark. */
  readonly isSuspect?: boolean;
}

/** Schedules checks of connections whose end members would notice. Each connection has one item in the schedule. */
export class ConnectionWatch {
  /** The interval of clients' heartbeats. Absent: only the service's idle limit ends connections. */
  readonly heartbeatMs: number | undefined;
  readonly #schedule: Schedule | undefined;
  readonly #channels: Channels;
  readonly #now: () => number;

  constructor(
    schedule: Schedule | undefined,
    channels: Channels,
    now: () => number,
    heartbeatMs: number | undefined,
  ) {
    this.#schedule = schedule;
    this.#channels = channels;
    this.#now = now;
    this.heartbeatMs = heartbeatMs;
  }

  /**
   * Schedules a connection's next check, in place of an earlier one.
   * @param delayMs ms until the check; default: the heartbeat interval, else the service's idle limit
   * @throws {LiftError} STORE_FAILED
   */
  async start(
    { ctx, budget }: Pick<ClientRequest, "ctx" | "budget">,
    delayMs = this.heartbeatMs ?? IDLE_MS,
  ): Promise<void> {
    const dueAt = this.#now() + delayMs;
    const { endpoint } = ctx.asWebSocket();
    const item = { kind: CHECK_CONNECTION, id: ctx.connectionId, dueAt, data: { endpoint } };
    await (this.#schedule && awaitStore(this.#schedule.put(item, budget)));
  }

  /** @throws {LiftError} STORE_FAILED */
  async onHeartbeat(request: ClientRequest): Promise<void> {
    if (this.heartbeatMs !== undefined) await this.start(request);
  }

  /**
   * Returns whether a connection in these channels must be watched, because presence, a viewer count or a live stream
   * depends on it.
   * @param isUser whether the connection belongs to a user
   */
  isRequired(keys: readonly string[], isUser: boolean): boolean {
    return keys.some((key) => {
      const { presence = false, live } = this.#channels.namespaceOf(key) ?? {};
      return subChannelFromKey(key) === "owners" || live !== undefined || (presence && isUser);
    });
  }
}
