import type {
  BroadcastOptions,
  BroadcastReport,
  Connections,
  MessageData,
  PostOptions,
  PostOutcome,
} from "../../../apigw/index.ts";
import type { AnyContext } from "../../context.ts";

/** What one event sent, error frames included. */
export interface SendCounts {
  readonly sent: number;
  /** To connections that were no more. */
  readonly gone: number;
  readonly failed: number;
  /** Of what was sent, for each recipient. */
  readonly sentBytes: number;
}

type Tally = { -readonly [Name in keyof SendCounts]: number };

/** Counts from now on what an event sends. */
export function countSends(ctx: AnyContext): SendCounts {
  const tally: Tally = { sent: 0, gone: 0, failed: 0, sentBytes: 0 };
  ctx.instrument({ connections: (connections) => new CountingConnections(connections, tally) });
  return tally;
}

class CountingConnections implements Connections {
  readonly #connections: Connections;
  readonly #tally: Tally;

  constructor(connections: Connections, tally: Tally) {
    this.#connections = connections;
    this.#tally = tally;
  }

  async post(connectionId: string, data: MessageData, options?: PostOptions): Promise<PostOutcome> {
    try {
      const outcome = await this.#connections.post(connectionId, data, options);
      if (outcome === "sent") {
        this.#tally.sent++;
        this.#tally.sentBytes += Buffer.byteLength(data);
      } else this.#tally.gone++;
      return outcome;
    } catch (error) {
      this.#tally.failed++;
      throw error;
    }
  }

  async broadcast(
    ids: Iterable<string> | AsyncIterable<string>,
    data: MessageData,
    options?: BroadcastOptions,
  ): Promise<BroadcastReport> {
    try {
      const report = await this.#connections.broadcast(ids, data, options);
      this.#tally.sent += report.sent;
      this.#tally.gone += report.gone;
      this.#tally.failed += report.failed;
      this.#tally.sentBytes += report.sent * Buffer.byteLength(data);
      return report;
    } catch (error) {
      this.#tally.failed++;
      throw error;
    }
  }

  get(connectionId: string, options?: PostOptions) {
    return this.#connections.get(connectionId, options);
  }

  disconnect(connectionId: string, options?: PostOptions) {
    return this.#connections.disconnect(connectionId, options);
  }
}
