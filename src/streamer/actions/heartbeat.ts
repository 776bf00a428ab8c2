import { LiftError } from "../../lift/index.ts";
import type { HeartbeatPayload, Position } from "../../protocol/index.ts";
import { authorize } from "../access.ts";
import type { ClientRequest } from "../call-context.ts";
import type { Channels } from "../channels.ts";
import { awaitStore } from "../errors.ts";
import type { ConnectionWatch } from "../membership/connection-watch.ts";
import type { ReadableHistory } from "../readable-history.ts";
import { sendResponse } from "../responses.ts";

/**
 * Handles `heartbeat`. It keeps the connection's presence alive, and it answers with the heads of channels that differ from
 * the client's positions. A head is the position of a channel's newest message, so a client without it has missed messages.
 */
export class HeartbeatAction {
  readonly #channels: Channels;
  readonly #history: ReadableHistory;
  readonly #watch: ConnectionWatch;

  constructor(channels: Channels, history: ReadableHistory, watch: ConnectionWatch) {
    this.#channels = channels;
    this.#history = history;
    this.#watch = watch;
  }

  async run({ positions = new Map() }: HeartbeatPayload, request: ClientRequest): Promise<void> {
    const changed = new Map<string, Position>();
    const checks = [...positions].map(async ([name, position]) => {
      const head = await this.#readHead(name, request);
      if (head === undefined) return;
      if (head.epoch !== position.epoch || head.offset !== position.offset) changed.set(name, head);
    });
    await Promise.all([...checks, this.#watch.onHeartbeat(request)]);
    await sendResponse<"heartbeat">(request, { heads: Object.fromEntries(changed) });
  }

  /**
   * Returns `undefined` for a channel without history, and for one that is unknown or that the client may not read any more:
   * an error for one channel would refuse the heartbeat for all of them.
   */
  async #readHead(name: string, { identity, budget }: ClientRequest): Promise<Position | undefined> {
    try {
      const channel = this.#channels.get(name, identity);
      await authorize("subscribe", identity, channel);
      if (channel.namespace.retention === undefined) return undefined;
      return await awaitStore(this.#history.readHead(channel.key, budget));
    } catch (thrown) {
      if (thrown instanceof LiftError && (thrown.code === "FORBIDDEN" || thrown.code === "NOT_FOUND"))
        return undefined;
      throw thrown;
    }
  }
}
