import {
  type BroadcastOptions,
  type BroadcastReport,
  type ConnectionInfo,
  type Connections,
  ConnectionsError,
  MAX_MESSAGE_BYTES,
  type MessageData,
  type PostOptions,
  type PostOutcome,
  runBroadcast,
  type SendOutcome,
} from "../../apigw/index.ts";

export interface RecordedMessage {
  readonly connectionId: string;
  /** As text, whatever it was sent as. */
  readonly data: string;
}

/** An @connections API in memory: every connection is there until it is said to be gone. */
export function recordingConnections(): RecordingConnections {
  return new RecordingConnections();
}

export class RecordingConnections implements Connections {
  readonly #sent: RecordedMessage[] = [];
  readonly #gone = new Set<string>();
  readonly #throttled = new Set<string>();
  readonly #disconnected: string[] = [];
  #maxBytes = MAX_MESSAGE_BYTES;

  /** Everything that was sent, in order. */
  get sent(): readonly RecordedMessage[] {
    return this.#sent;
  }

  /** The connections that were closed by `disconnect`, in order. */
  get disconnected(): readonly string[] {
    return this.#disconnected;
  }

  /** What one connection was sent. */
  sentTo(connectionId: string): string[] {
    return this.#sent.filter((message) => message.connectionId === connectionId).map(({ data }) => data);
  }

  /** `sentTo`, parsed. */
  jsonSentTo(connectionId: string): unknown[] {
    return this.sentTo(connectionId).map((data) => JSON.parse(data));
  }

  /** From now on these are no more. */
  gone(...connectionIds: string[]): this {
    for (const id of connectionIds) this.#gone.add(id);
    return this;
  }

  /** From now on a post to these fails with LIMIT_EXCEEDED. */
  throttled(...connectionIds: string[]): this {
    for (const id of connectionIds) this.#throttled.add(id);
    return this;
  }

  /** From now on a message of more than `bytes`, by default any, fails with PAYLOAD_TOO_LARGE. */
  tooLarge(bytes = 0): this {
    this.#maxBytes = bytes;
    return this;
  }

  async post(connectionId: string, data: MessageData, options?: PostOptions): Promise<PostOutcome> {
    options?.signal?.throwIfAborted();
    this.#checkSize(data);
    if (this.#gone.has(connectionId)) return "gone";
    if (this.#throttled.has(connectionId)) throw new ConnectionsError("LIMIT_EXCEEDED", "Too many requests");
    this.#sent.push({ connectionId, data: typeof data === "string" ? data : Buffer.from(data).toString() });
    return "sent";
  }

  async broadcast(
    ids: Iterable<string> | AsyncIterable<string>,
    data: MessageData,
    options?: BroadcastOptions,
  ): Promise<BroadcastReport> {
    this.#checkSize(data);
    return runBroadcast({ concurrency: 1, send: (id) => this.#postOne(id, data) }, ids, options);
  }

  async get(connectionId: string, options?: PostOptions): Promise<ConnectionInfo | undefined> {
    options?.signal?.throwIfAborted();
    if (this.#gone.has(connectionId)) return undefined;
    return { connectedAt: 0, lastActiveAt: 0, identity: { sourceIp: "127.0.0.1" } };
  }

  async disconnect(connectionId: string, options?: PostOptions): Promise<boolean> {
    options?.signal?.throwIfAborted();
    if (this.#gone.has(connectionId)) return false;
    this.#gone.add(connectionId);
    this.#disconnected.push(connectionId);
    return true;
  }

  async #postOne(connectionId: string, data: MessageData): Promise<SendOutcome> {
    return this.post(connectionId, data).catch((error: ConnectionsError) => error);
  }

  #checkSize(data: MessageData): void {
    const bytes = Buffer.byteLength(data);
    if (bytes <= this.#maxBytes) return;
    throw new ConnectionsError("PAYLOAD_TOO_LARGE", `${bytes} bytes are more than ${this.#maxBytes}`);
  }
}
