import {
  type BroadcastOptions,
  type BroadcastReport,
  type ConnectionInfo,
  type Connections,
  ConnectionsError,
  type MessageData,
  type PostOptions,
  type PostOutcome,
  runBroadcast,
  type SendOutcome,
} from "../../apigw/index.ts";
import { SENT } from "../../internal/sent.ts";
import type { GatewaySettings } from "../options.ts";
import { CLOSE_REASONS } from "../sockets/close-codes.ts";
import { byteLength, type Frame, textFrame, textFrameOnce } from "../sockets/frames.ts";
import { isConnectionId } from "../sockets/ids.ts";
import type { ConnectionRegistry } from "../sockets/registry.ts";
import type { LiveConnection } from "../sockets/socket.ts";
import type { Throttle } from "../throttle.ts";

const GONE = Promise.resolve<PostOutcome>("gone");

/** The @connections port for the sockets of this process: no HTTP, no signature, and one frame for all recipients. */
export class LocalConnections implements Connections {
  readonly #registry: ConnectionRegistry;
  readonly #throttle: Throttle;
  readonly #settings: GatewaySettings;

  constructor(registry: ConnectionRegistry, throttle: Throttle, settings: GatewaySettings) {
    this.#registry = registry;
    this.#throttle = throttle;
    this.#settings = settings;
  }

  post(connectionId: string, data: MessageData, options?: PostOptions): Promise<PostOutcome> {
    try {
      options?.signal?.throwIfAborted();
      const frame = textFrameOnce(data, this.#settings.limits.frameBytes, this.#length(data));
      return this.#send(connectionId, frame, this.#settings.clock.elapsed()) === "sent" ? SENT : GONE;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async broadcast(
    ids: Iterable<string> | AsyncIterable<string>,
    data: MessageData,
    options?: BroadcastOptions,
  ): Promise<BroadcastReport> {
    const frame = textFrame(data, this.#settings.limits.frameBytes, this.#length(data));
    const { clock } = this.#settings;
    const now = Symbol.iterator in ids ? clock.elapsed() : undefined;
    const send = (id: string) => this.#deliver(id, frame, now ?? clock.elapsed());
    return runBroadcast({ concurrency: 1, send }, ids, options);
  }

  async get(connectionId: string, options?: PostOptions): Promise<ConnectionInfo | undefined> {
    const connection = this.#find(connectionId, options);
    if (!connection) return undefined;
    const { connectedAt, sourceIp, userAgent } = connection.details;
    return {
      connectedAt,
      lastActiveAt: connection.lastActiveAt,
      identity: userAgent === undefined ? { sourceIp } : { sourceIp, userAgent },
    };
  }

  async disconnect(connectionId: string, options?: PostOptions): Promise<boolean> {
    const connection = this.#find(connectionId, options);
    connection?.close(CLOSE_REASONS.deleted, this.#settings.deleteCloseCode);
    return connection !== undefined;
  }

  #find(connectionId: string, options: PostOptions | undefined) {
    options?.signal?.throwIfAborted();
    return this.#admit(connectionId);
  }

  /** @throws {ConnectionsError} PAYLOAD_TOO_LARGE */
  #length(data: MessageData): number {
    const { messageBytes } = this.#settings.limits;
    const length = byteLength(data);
    if (length <= messageBytes) return length;
    throw new ConnectionsError("PAYLOAD_TOO_LARGE", `A message has at most ${messageBytes} bytes`);
  }

  #deliver(connectionId: string, frame: Frame, now: number): SendOutcome {
    try {
      return this.#send(connectionId, frame, now);
    } catch (error) {
      if (error instanceof ConnectionsError) return error;
      throw error;
    }
  }

  #send(connectionId: string, frame: Frame, now: number): PostOutcome {
    const outcome = this.#admit(connectionId)?.send(frame, now) ?? "closed";
    if (outcome === "full") {
      throw new ConnectionsError(
        "LIMIT_EXCEEDED",
        "The send buffer of the client is full, because it reads too slowly",
      );
    }
    return outcome === "sent" ? "sent" : "gone";
  }

  /** Finds a connection and counts the request. Checks the form of an id only when no connection has it. */
  #admit(connectionId: string): LiveConnection | undefined {
    if (!this.#throttle.take()) throw new ConnectionsError("LIMIT_EXCEEDED", "Too many requests");
    const connection = this.#registry.get(connectionId);
    if (!connection && !isConnectionId(connectionId)) {
      throw new ConnectionsError("BAD_REQUEST", `Invalid connectionId: ${connectionId}`);
    }
    return connection;
  }
}
