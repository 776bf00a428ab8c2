import {
  type BroadcastResult,
  type ConnectionInfo,
  type Connections,
  ConnectionsError,
  type Data,
  type PostOptions,
  type PostOutcome,
} from "../apigw/index.ts";
import { ENDINGS } from "./close-codes.ts";
import { byteLength, type Frame, textFrame } from "./frames.ts";
import { isConnectionId } from "./ids.ts";
import type { GatewaySettings } from "./options.ts";
import type { Registry } from "./registry.ts";
import type { Throttle } from "./throttle.ts";

const SENT = Promise.resolve<PostOutcome>("sent");
const GONE = Promise.resolve<PostOutcome>("gone");

/** The @connections port on this process's own sockets: no HTTP, no signature, one frame however many receive it. */
export class Delivery implements Connections {
  readonly #registry: Registry;
  readonly #throttle: Throttle;
  readonly #settings: GatewaySettings;

  constructor(registry: Registry, throttle: Throttle, settings: GatewaySettings) {
    this.#registry = registry;
    this.#throttle = throttle;
    this.#settings = settings;
  }

  post(connectionId: string, data: Data, options?: PostOptions): Promise<PostOutcome> {
    try {
      options?.signal?.throwIfAborted();
      return this.#send(connectionId, this.#frame(data)) === "sent" ? SENT : GONE;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async broadcast(
    ids: Iterable<string> | AsyncIterable<string>,
    data: Data,
    options?: PostOptions,
  ): Promise<BroadcastResult[]> {
    const frame = this.#frame(data);
    const results: BroadcastResult[] = [];
    // for await over a plain iterable would wait a microtask per recipient for nothing.
    if (Symbol.iterator in ids) {
      for (const id of ids) results.push(this.#deliver(id, frame, options));
    } else {
      for await (const id of ids) results.push(this.#deliver(id, frame, options));
    }
    return results;
  }

  async get(connectionId: string, options?: PostOptions): Promise<ConnectionInfo | undefined> {
    const connection = this.#find(connectionId, options);
    if (!connection) return undefined;
    const { connectedAt, sourceIp, userAgent } = connection.origin;
    return {
      connectedAt,
      lastActiveAt: connection.lastActiveAt,
      identity: userAgent === undefined ? { sourceIp } : { sourceIp, userAgent },
    };
  }

  async disconnect(connectionId: string, options?: PostOptions): Promise<boolean> {
    const connection = this.#find(connectionId, options);
    connection?.close(ENDINGS.deleted, this.#settings.deleteCloseCode);
    return connection !== undefined;
  }

  #find(connectionId: string, options: PostOptions | undefined) {
    options?.signal?.throwIfAborted();
    this.#admit(connectionId);
    return this.#registry.get(connectionId);
  }

  #frame(data: Data): Frame {
    const { messageBytes, frameBytes } = this.#settings.limits;
    if (byteLength(data) > messageBytes) {
      throw new ConnectionsError("PAYLOAD_TOO_LARGE", `A message has at most ${messageBytes} bytes`);
    }
    return textFrame(data, frameBytes);
  }

  #deliver(connectionId: string, frame: Frame, options: PostOptions | undefined): BroadcastResult {
    options?.signal?.throwIfAborted();
    try {
      return { connectionId, outcome: this.#send(connectionId, frame) };
    } catch (error) {
      if (error instanceof ConnectionsError) return { connectionId, outcome: "failed", error };
      throw error;
    }
  }

  #send(connectionId: string, frame: Frame): PostOutcome {
    this.#admit(connectionId);
    const outcome = this.#registry.get(connectionId)?.send(frame) ?? "closed";
    if (outcome === "full") {
      throw new ConnectionsError("LIMIT_EXCEEDED", "The client reads too slowly: its buffer is full");
    }
    return outcome === "sent" ? "sent" : "gone";
  }

  #admit(connectionId: string): void {
    if (!this.#throttle.take()) throw new ConnectionsError("LIMIT_EXCEEDED", "Too many requests");
    if (!isConnectionId(connectionId)) {
      throw new ConnectionsError("BAD_REQUEST", `Invalid connectionId: ${connectionId}`);
    }
  }
}
