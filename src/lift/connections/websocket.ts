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
import { SENT } from "../../internal/sent.ts";
import { LiftError } from "../errors.ts";
import { stringify } from "../json.ts";
import type { AppSettings } from "../settings.ts";
import { broadcastFrom } from "./broadcast.ts";
import { connectionsOf, endpointOf } from "./by-endpoint.ts";
import { rowExpiry } from "./connection-age.ts";

/**
 * Sends to this event's connection and to any other. Only trusted server code may choose the ids, because none is
 * checked.
 */
export class WebSocketContext {
  readonly #event: WebSocketEvent;
  readonly #settings: AppSettings;
  readonly #lambda: LambdaContext;

  constructor(event: WebSocketEvent, settings: AppSettings, lambda: LambdaContext) {
    this.#event = event;
    this.#settings = settings;
    this.#lambda = lambda;
  }

  /** Id of the connection that the event came from. */
  get connectionId(): string {
    return this.#event.requestContext.connectionId;
  }

  /** The @connections endpoint of the event's API, which rows store too: `https://{domainName}/{stage}`. */
  get endpoint(): string {
    return endpointOf(this.#event);
  }

  /** Time after which the event's connection cannot be open and its row expires, in ms since the epoch. */
  get expiresAt(): number {
    return rowExpiry(this.#event.requestContext.connectedAt, this.#settings.lifetimeMs);
  }

  /**
   * Sends to the connection that this event came from.
   * @throws {LiftError} NOT_CONNECTED on `$connect`
   * @throws {ConnectionsError} see `Connections.post`
   * @example
   * const outcome = await ws.sendMessage("hello");
   */
  sendMessage(data: MessageData, options?: PostOptions): Promise<PostOutcome> {
    return this.sendMessageTo(this.connectionId, data, options);
  }

  /** Sends a value as JSON; see `sendMessage`. @throws {LiftError} also NOT_JSON */
  sendJSON(value: unknown, options?: PostOptions): Promise<PostOutcome> {
    return this.sendJSONTo(this.connectionId, value, options);
  }

  /**
   * Sends to one connection. Throws as `sendMessage` does.
   * @returns `gone` when the connection is closed, after removing its row; `connecting` when two attempts found it gone but
   * its row is younger than five minutes, so that its `$connect` may not have finished
   * @example
   * if ((await ws.sendMessageTo(id, "hello")) === "gone") members.delete(id);
   */
  sendMessageTo(connectionId: string, data: MessageData, options?: PostOptions): Promise<PostOutcome> {
    // Not async, because that would add a promise to each reply.
    try {
      const connections = this.#connectionsFor(connectionId);
      const timed = this.#timed(options);
      const posted = connections.post(connectionId, data, timed);
      return posted === SENT ? posted : this.#settleGone(posted, connections, connectionId, data, timed);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async #settleGone(
    posted: Promise<PostOutcome>,
    connections: Connections,
    connectionId: string,
    data: MessageData,
    timed: PostOptions,
  ): Promise<PostOutcome> {
    const outcome = await posted;
    if (outcome !== "gone") return outcome;
    const sendAgain = () => connections.post(connectionId, data, timed);
    return this.#settings.gone.settle(connectionId, this.endpoint, sendAgain, this.#lambda);
  }

  /** Sends a value as JSON; see `sendMessageTo`. @throws {LiftError} also NOT_JSON */
  sendJSONTo(connectionId: string, value: unknown, options?: PostOptions): Promise<PostOutcome> {
    // Not async either; see `sendMessageTo`.
    try {
      return this.sendMessageTo(connectionId, stringify(value), options);
    } catch (notJson) {
      return Promise.reject(notJson);
    }
  }

  /**
   * Sends one message to many connections. A failed recipient does not affect the others. It stops 1.3 s before the end of
   * the function's time (`deadlineMarginMs` changes that) or when `signal` aborts, and reports the remaining ids.
   * Recipients that are gone or connecting are treated as by `sendMessageTo`.
   * @param options with `results: true` the report has a result per recipient, in the order of `ids`
   * @throws {ConnectionsError} PAYLOAD_TOO_LARGE, before anything is sent
   * @example
   * const { sent, gone } = await ws.broadcastMessage(members, "hello");
   */
  async broadcastMessage(
    ids: Iterable<string> | AsyncIterable<string>,
    data: MessageData,
    options: BroadcastOptions = {},
  ): Promise<BroadcastReport> {
    const source = { endpoint: this.endpoint, settings: this.#settings, budget: this.#lambda };
    return broadcastFrom(source, ids, data, options);
  }

  /** Sends a value as JSON, serialized once; see `broadcastMessage`. @throws {LiftError} also NOT_JSON */
  async broadcastJSON(
    ids: Iterable<string> | AsyncIterable<string>,
    value: unknown,
    options?: BroadcastOptions,
  ): Promise<BroadcastReport> {
    return this.broadcastMessage(ids, stringify(value), options);
  }

  /**
   * Closes a connection, by default this event's.
   * @returns `false` when it was already closed
   * @throws {LiftError} NOT_CONNECTED on `$connect`, where a status refuses the client
   * @throws {ConnectionsError} see `Connections.disconnect`
   */
  async disconnect(connectionId = this.connectionId, options?: PostOptions): Promise<boolean> {
    return this.#connectionsFor(connectionId).disconnect(connectionId, this.#timed(options));
  }

  /**
   * Returns when and from where a connection, by default this event's, was opened.
   * @returns `undefined` when it is closed
   * @throws {LiftError} NOT_CONNECTED on `$connect`
   */
  async getConnectionInfo(
    connectionId = this.connectionId,
    options?: PostOptions,
  ): Promise<ConnectionInfo | undefined> {
    return this.#connectionsFor(connectionId).get(connectionId, this.#timed(options));
  }

  /** The budget makes retries end before the function does. */
  #timed(options: PostOptions | undefined): PostOptions {
    return options === undefined ? { budget: this.#lambda } : { budget: this.#lambda, ...options };
  }

  #connectionsFor(connectionId: string): Connections {
    if (isConnectEvent(this.#event) && connectionId === this.connectionId) {
      throw new LiftError("NOT_CONNECTED");
    }
    return connectionsOf(this.#event, this.#settings);
  }
}
