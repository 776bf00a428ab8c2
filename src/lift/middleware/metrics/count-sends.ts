import type {
  BroadcastOptions,
  BroadcastReport,
  Connections,
  MessageData,
  PostOptions,
  PostOutcome,
} from "../../../apigw/index.ts";
import type { AnyContext } from "../../context.ts";

/** Sends of one event, error frames included. */
export interface SendCounts {
  /** Messages that were sent. */
  readonly sent: number;
  /** Sends to connections that were gone. */
  readonly gone: number;
  /** Sends that failed. */
  readonly failed: number;
  /** Bytes of the sent messages, counted per recipient. */
  readonly sentBytes: number;
}

type MutableCounts = { -readonly [Name in keyof SendCounts]: number };

/** Starts counting the sends of an event. The counts are updated with each send. */
export function countSends(ctx: AnyContext): SendCounts {
  const counts: MutableCounts = { sent: 0, gone: 0, failed: 0, sentBytes: 0 };
  ctx.instrument({ connections: (connections) => new CountingConnections(connections, counts) });
  return counts;
}

class CountingConnections implements Connections {
  readonly #connections: Connections;
  readonly #counts: MutableCounts;

  constructor(connections: Connections, counts: MutableCounts) {
    this.#connections = connections;
    this.#counts = counts;
  }

  async post(connectionId: string, data: MessageData, options?: PostOptions): Promise<PostOutcome> {
    try {
      const outcome = await this.#connections.post(connectionId, data, options);
      if (outcome === "sent") {
        this.#counts.sent++;
        this.#counts.sentBytes += Buffer.byteLength(data);
      } else this.#counts.gone++;
      return outcome;
    } catch (error) {
      this.#counts.failed++;
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
      this.#counts.sent += report.sent;
      this.#counts.gone += report.gone;
      this.#counts.failed += report.failed;
      this.#counts.sentBytes += report.sent * Buffer.byteLength(data);
      return report;
    } catch (error) {
      this.#counts.failed++;
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
