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

/** A message that was sent. */
export interface RecordedMessage {
  /** Id of the recipient. */
  readonly connectionId: string;
  /** The message as text, also when it was sent as bytes. */
  readonly data: string;
}

/**
 * Returns an @connections API in memory, which records all sends. Every id counts as connected until `gone`.
 * @example
 * const connections = recordingConnections().gone("id-2");
 * const app = new Lift({ connections });
 */
export function recordingConnections(): RecordingConnections {
  return new RecordingConnections();
}

/** An @connections API in memory, which records all sends. `recordingConnections` creates one. */
export class RecordingConnections implements Connections {
  readonly #sent: RecordedMessage[] = [];
  readonly #gone = new Set<string>();
  readonly #throttled = new Set<string>();
  readonly #disconnected: string[] = [];
  #maxBytes = MAX_MESSAGE_BYTES;

  /** All sent messages, in order. */
  get sent(): readonly RecordedMessage[] {
    return this.#sent;
  }

  /** Ids of the connections that `disconnect` closed, in order. */
  get disconnected(): readonly string[] {
    return this.#disconnected;
  }

  /** Returns the messages to one connection. */
  sentTo(connectionId: string): string[] {
    return this.#sent.filter((message) => message.connectionId === connectionId).map(({ data }) => data);
  }

  /** Returns the messages to one connection, parsed as JSON. */
  jsonSentTo(connectionId: string): unknown[] {
    return this.sentTo(connectionId).map((data) => JSON.parse(data));
  }

  /** Marks connections as closed: sends to them return `gone`. */
  gone(...connectionIds: string[]): this {
    for (const id of connectionIds) this.#gone.add(id);
    return this;
  }

  /** Makes sends to these connections fail with LIMIT_EXCEEDED. */
  throttled(...connectionIds: string[]): this {
    for (const id of connectionIds) this.#throttled.add(id);
    return this;
  }

  /** Makes messages of more than `bytes` bytes fail with PAYLOAD_TOO_LARGE. Default 0: all messages. */
  tooLarge(bytes = 0): this {
    this.#maxBytes = bytes;
    return this;
  }

  /** Records a message. @throws {ConnectionsError} LIMIT_EXCEEDED, PAYLOAD_TOO_LARGE */
  async post(connectionId: string, data: MessageData, options?: PostOptions): Promise<PostOutcome> {
    options?.signal?.throwIfAborted();
    this.#checkSize(data);
    if (this.#gone.has(connectionId)) return "gone";
    if (this.#throttled.has(connectionId)) throw new ConnectionsError("LIMIT_EXCEEDED", "Too many requests");
    this.#sent.push({ connectionId, data: typeof data === "string" ? data : Buffer.from(data).toString() });
    return "sent";
  }

  /** Records a message to each connection. @throws {ConnectionsError} PAYLOAD_TOO_LARGE */
  async broadcast(
    ids: Iterable<string> | AsyncIterable<string>,
    data: MessageData,
    options?: BroadcastOptions,
  ): Promise<BroadcastReport> {
    this.#checkSize(data);
    return runBroadcast({ concurrency: 1, send: (id) => this.#postOne(id, data) }, ids, options);
  }

  /** Returns fixed information about a connection; `undefined` when it is gone. */
  async get(connectionId: string, options?: PostOptions): Promise<ConnectionInfo | undefined> {
    options?.signal?.throwIfAborted();
    if (this.#gone.has(connectionId)) return undefined;
    return { connectedAt: 0, lastActiveAt: 0, identity: { sourceIp: "127.0.0.1" } };
  }

  /** Records a close. Returns `false` when the connection was already gone. */
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
    throw new ConnectionsError(
      "PAYLOAD_TOO_LARGE",
      `The message has ${bytes} bytes; the limit is ${this.#maxBytes}`,
    );
  }
}
