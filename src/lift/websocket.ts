import {
  type BroadcastResult,
  type ConnectionInfo,
  type Connections,
  type Data,
  isConnectEvent,
  type PostOptions,
  type PostOutcome,
  type WebSocketEvent,
} from "../apigw/index.ts";
import { connectionsOf } from "./delivery.ts";
import { LiftError } from "./errors.ts";
import { stringify } from "./json.ts";
import type { Settings } from "./options.ts";

/** Sends to this event's connection and to any other. For trusted server code: it takes whatever id it is given. */
export class WebSocketContext {
  readonly #event: WebSocketEvent;
  readonly #settings: Settings;

  constructor(event: WebSocketEvent, settings: Settings) {
    this.#event = event;
    this.#settings = settings;
  }

  get connectionId(): string {
    return this.#event.requestContext.connectionId;
  }

  /**
   * Sends to the connection that this event came from.
   * @throws {LiftError} NOT_CONNECTED in `$connect`
   * @throws {ConnectionsError} see `Connections.post`
   */
  sendMessage(data: Data, options?: PostOptions): Promise<PostOutcome> {
    return this.sendMessageTo(this.connectionId, data, options);
  }

  /** `sendMessage`, with a value as JSON. @throws {LiftError} also NOT_JSON */
  async sendJSON(value: unknown, options?: PostOptions): Promise<PostOutcome> {
    // Awaited here, as an async function that returns a promise takes three turns to settle, and this is each reply.
    return await this.sendMessageTo(this.connectionId, stringify(value), options);
  }

  /** Sends to one connection; `gone` when it is no more. Throws as `sendMessage` does. */
  async sendMessageTo(connectionId: string, data: Data, options?: PostOptions): Promise<PostOutcome> {
    const outcome = await this.#reach(connectionId).post(connectionId, data, options);
    if (outcome === "gone") await this.#settings.gone.found([connectionId]);
    return outcome;
  }

  /** `sendMessageTo`, with a value as JSON. @throws {LiftError} also NOT_JSON */
  async sendJSONTo(connectionId: string, value: unknown, options?: PostOptions): Promise<PostOutcome> {
    return this.sendMessageTo(connectionId, stringify(value), options);
  }

  /**
   * Sends the same to many: a result for each, in the order of `ids`; one recipient's failure is no other's.
   * @throws {ConnectionsError} PAYLOAD_TOO_LARGE, before anything is sent
   */
  async broadcastMessage(
    ids: Iterable<string> | AsyncIterable<string>,
    data: Data,
    options?: PostOptions,
  ): Promise<BroadcastResult[]> {
    const results = await connectionsOf(this.#event, this.#settings).broadcast(ids, data, options);
    const gone: string[] = [];
    for (const { outcome, connectionId } of results) if (outcome === "gone") gone.push(connectionId);
    if (gone.length > 0) await this.#settings.gone.found(gone);
    return results;
  }

  /** `broadcastMessage`, with a value as JSON, written once. @throws {LiftError} also NOT_JSON */
  async broadcastJSON(
    ids: Iterable<string> | AsyncIterable<string>,
    value: unknown,
    options?: PostOptions,
  ): Promise<BroadcastResult[]> {
    return this.broadcastMessage(ids, stringify(value), options);
  }

  /**
   * Closes a connection, by default this event's. `false`: it was gone already.
   * @throws {LiftError} NOT_CONNECTED in `$connect`, where a status refuses
   */
  async disconnect(connectionId = this.connectionId, options?: PostOptions): Promise<boolean> {
    return this.#reach(connectionId).disconnect(connectionId, options);
  }

  /** Since when a connection, by default this event's, stands, and from where. `undefined`: gone. */
  async getConnectionInfo(
    connectionId = this.connectionId,
    options?: PostOptions,
  ): Promise<ConnectionInfo | undefined> {
    return this.#reach(connectionId).get(connectionId, options);
  }

  #reach(connectionId: string): Connections {
    if (isConnectEvent(this.#event) && connectionId === this.connectionId)
      throw new LiftError("NOT_CONNECTED");
    return connectionsOf(this.#event, this.#settings);
  }
}
