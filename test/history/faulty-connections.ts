import type {
  BroadcastOptions,
  BroadcastReport,
  ConnectionInfo,
  Connections,
  MessageData,
  PostOptions,
  PostOutcome,
} from "../../src/apigw/index.ts";
import type { Mischief } from "./fault-injector.ts";

const LATE_MS = [5, 400] as const;

/** Loses, doubles and delays what is sent, so that it is overtaken: "handed over" is all that is ever promised. */
export class FaultyConnections implements Connections {
  readonly #inner: Connections;
  readonly #mischief: Mischief;

  constructor(inner: Connections, mischief: Mischief) {
    this.#inner = inner;
    this.#mischief = mischief;
  }

  async post(connectionId: string, data: MessageData, options?: PostOptions): Promise<PostOutcome> {
    if (this.#mischief.happens("answerLost")) return "sent";
    return this.#goesThrough(connectionId, data) ? this.#inner.post(connectionId, data, options) : "sent";
  }

  async broadcast(
    ids: Iterable<string> | AsyncIterable<string>,
    data: MessageData,
    options?: BroadcastOptions,
  ): Promise<BroadcastReport> {
    const now: string[] = [];
    let others = 0;
    for await (const id of ids) {
      if (!this.#mischief.happens("deliveryLost") && this.#goesThrough(id, data)) now.push(id);
      else others++;
    }
    const report = await this.#inner.broadcast(now, data, options);
    return { ...report, sent: report.sent + others };
  }

  get(connectionId: string, options?: PostOptions): Promise<ConnectionInfo | undefined> {
    return this.#inner.get(connectionId, options);
  }

  disconnect(connectionId: string, options?: PostOptions): Promise<boolean> {
    return this.#inner.disconnect(connectionId, options);
  }

  /** `false`: it was taken care of. */
  #goesThrough(connectionId: string, data: MessageData): boolean {
    if (this.#mischief.happens("deliveryTwice")) this.#later(connectionId, data);
    if (!this.#mischief.happens("deliveryLate")) return true;
    this.#later(connectionId, data);
    return false;
  }

  #later(connectionId: string, data: MessageData): void {
    const send = () => void this.#inner.post(connectionId, data).catch(() => {});
    setTimeout(send, this.#mischief.random.between(...LATE_MS));
  }
}
