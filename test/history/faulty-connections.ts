import type {
  BroadcastOptions,
  BroadcastReport,
  ConnectionInfo,
  Connections,
  MessageData,
  PostOptions,
  PostOutcome,
} from "../../src/apigw/index.ts";
import type { FaultInjector } from "./fault-injector.ts";

const LATE_MS = [5, 400] as const;

/** Loses, duplicates and delays messages, so that later ones overtake them. The port promises acceptance only. */
export class FaultyConnections implements Connections {
  readonly #inner: Connections;
  readonly #faults: FaultInjector;

  constructor(inner: Connections, faults: FaultInjector) {
    this.#inner = inner;
    this.#faults = faults;
  }

  async post(connectionId: string, data: MessageData, options?: PostOptions): Promise<PostOutcome> {
    if (this.#faults.inject("answerLost")) return "sent";
    return this.#isDeliveredNow(connectionId, data) ? this.#inner.post(connectionId, data, options) : "sent";
  }

  async broadcast(
    ids: Iterable<string> | AsyncIterable<string>,
    data: MessageData,
    options?: BroadcastOptions,
  ): Promise<BroadcastReport> {
    const now: string[] = [];
    let diverted = 0;
    for await (const id of ids) {
      if (!this.#faults.inject("deliveryLost") && this.#isDeliveredNow(id, data)) now.push(id);
      else diverted++;
    }
    const report = await this.#inner.broadcast(now, data, options);
    return { ...report, sent: report.sent + diverted };
  }

  get(connectionId: string, options?: PostOptions): Promise<ConnectionInfo | undefined> {
    return this.#inner.get(connectionId, options);
  }

  disconnect(connectionId: string, options?: PostOptions): Promise<boolean> {
    return this.#inner.disconnect(connectionId, options);
  }

  /** Applies the faults of one delivery. `false` when the message must not be sent now. */
  #isDeliveredNow(connectionId: string, data: MessageData): boolean {
    if (this.#faults.inject("deliveryTwice")) this.#sendLater(connectionId, data);
    if (!this.#faults.inject("deliveryLate")) return true;
    this.#sendLater(connectionId, data);
    return false;
  }

  #sendLater(connectionId: string, data: MessageData): void {
    const send = () => void this.#inner.post(connectionId, data).catch(() => {});
    setTimeout(send, this.#faults.random.between(...LATE_MS));
  }
}
