import {
  type BroadcastOptions,
  type BroadcastReport,
  type ConnectionInfo,
  type Connections,
  isConnectEvent,
  type LambdaContext,
  type MessageData,
  type PostOptions,
  type PostOutcome,
  type WebSocketEvent,
} from "../../apigw/index.ts";
import { LiftError } from "../errors.ts";
import { stringify } from "../json.ts";
import type { Settings } from "../options.ts";
import { broadcastAt } from "./broadcast.ts";
import { connectionsOf, endpointOf } from "./by-endpoint.ts";
import { rowExpiry } from "./lifetime.ts";

/** Sends to this event's connection and to any other. For trusted server code: it takes whatever id it is given. */
export class WebSocketContext {
  readonly #event: WebSocketEvent;
  readonly #settings: Settings;
  readonly #lambda: LambdaContext;

  constructor(event: WebSocketEvent, settings: Settings, lambda: LambdaContext) {
    this.#event = event;
    this.#settings = settings;
    this.#lambda = lambda;
  }

  get connectionId(): string {
    return this.#event.requestContext.connectionId;
  }

  /** The @connections endpoint of the event's API, as rows keep it: `https://{domainName}/{stage}`. */
  get endpoint(): string {
    return endpointOf(this.#event);
  }

  /** From when on the event's connection can't be open any more, as its row keeps it; ms since the epoch. */
  get expiresAt(): number {
    return rowExpiry(this.#event, this.#settings);
  }

  /**
   * Sends to the connection that this event came from.
   * @throws {LiftError} NOT_CONNECTED in `$connect`
   * @throws {ConnectionsError} see `Connections.post`
   */
  sendMessage(data: MessageData, options?: PostOptions): Promise<PostOutcome> {
    return this.sendMessageTo(this.connectionId, data, options);
  }

  /** `sendMessage`, with a value as JSON. @throws {LiftError} also NOT_JSON */
  sendJSON(value: unknown, options?: PostOptions): Promise<PostOutcome> {
    return this.sendJSONTo(this.connectionId, value, options);
  }

  /**
   * Sends to one connection. `gone` when it is no more: then its row is removed. `connecting` when its row is younger
   * than five minutes, and it was gone twice: its `$connect` may not have finished. Throws as `sendMessage` does.
   */
  async sendMessageTo(connectionId: string, data: MessageData, options?: PostOptions): Promise<PostOutcome> {
    const connections = this.#reach(connectionId);
    const timed = this.#timed(options);
    const outcome = await connections.post(connectionId, data, timed);
    if (outcome !== "gone") return outcome;
    const sendAgain = () => connections.post(connectionId, data, timed);
    return this.#settings.gone.settle(connectionId, this.endpoint, sendAgain, this.#lambda);
  }

  /** `sendMessageTo`, with a value as JSON. @throws {LiftError} also NOT_JSON */
  sendJSONTo(connectionId: string, value: unknown, options?: PostOptions): Promise<PostOutcome> {
    // Not async, which would be another promise for each reply.
    try {
      return this.sendMessageTo(connectionId, stringify(value), options);
    } catch (notJson) {
      return Promise.reject(notJson);
    }
  }

  /**
   * Sends the same to many; one recipient's failure is no other's. It stops before the function's time is over (1.3 s,
   * see the option `deadlineMarginMs`), or when its signal fires, and says what remains.
   * With the option `results` the report has one for each, in the order of `ids`.
   * Of those that are gone or connecting see `sendMessageTo`.
   * @throws {ConnectionsError} PAYLOAD_TOO_LARGE, before anything is sent
   */
  async broadcastMessage(
    ids: Iterable<string> | AsyncIterable<string>,
    data: MessageData,
    options: BroadcastOptions = {},
  ): Promise<BroadcastReport> {
    const connections = connectionsOf(this.#event, this.#settings);
    return broadcastAt(this.endpoint, connections, ids, data, this.#settings, this.#lambda, options);
  }

  /** `broadcastMessage`, with a value as JSON, written once. @throws {LiftError} also NOT_JSON */
  async broadcastJSON(
    ids: Iterable<string> | AsyncIterable<string>,
    value: unknown,
    options?: BroadcastOptions,
  ): Promise<BroadcastReport> {
    return this.broadcastMessage(ids, stringify(value), options);
  }

  /**
   * Closes a connection, by default this event's. `false`: it was gone already.
   * @throws {LiftError} NOT_CONNECTED in `$connect`, where a status refuses
   */
  async disconnect(connectionId = this.connectionId, options?: PostOptions): Promise<boolean> {
    return this.#reach(connectionId).disconnect(connectionId, this.#timed(options));
  }

  /** Since when a connection, by default this event's, stands, and from where. `undefined`: gone. */
  async getConnectionInfo(
    connectionId = this.connectionId,
    options?: PostOptions,
  ): Promise<ConnectionInfo | undefined> {
    return this.#reach(connectionId).get(connectionId, this.#timed(options));
  }

  /** Retries end before the function does. */
  #timed(options: PostOptions | undefined): PostOptions {
    return options === undefined ? { budget: this.#lambda } : { budget: this.#lambda, ...options };
  }

  #reach(connectionId: string): Connections {
    if (isConnectEvent(this.#event) && connectionId === this.connectionId)
      throw new LiftError("NOT_CONNECTED");
    return connectionsOf(this.#event, this.#settings);
  }
}
