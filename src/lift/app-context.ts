import type { StandardSchemaV1 } from "@standard-schema/spec";
import { type Connections, isConnectEvent, type LambdaContext, type WebSocketEvent } from "../apigw/index.ts";
import type { Connection, ConnectionStore } from "../store/index.ts";
import { connectionsOf } from "./connections/by-endpoint.ts";
import { WebSocketContext } from "./connections/websocket.ts";
import { type AnyState, Context, type ReadAction } from "./context.ts";
import { LiftError } from "./errors.ts";
import { ConnectionState, StoredState } from "./event-state.ts";
import type { AppSettings, Instruments } from "./settings.ts";
import { ownField, parseBody, validate } from "./validate.ts";

const UNPARSED = Symbol("unparsed");

/** The context of an app's events: it reads messages, sends them, and reads and writes rows. */
export class AppContext<State extends object = AnyState, Input = unknown> extends Context<State, Input> {
  #settings: AppSettings;
  #parsed: unknown = UNPARSED;
  #webSocket: WebSocketContext | undefined;

  constructor(
    event: WebSocketEvent,
    lambda: LambdaContext,
    settings: AppSettings,
    route?: string,
    readAction?: ReadAction,
  ) {
    super(event, lambda, settings, route, readAction);
    this.#settings = settings;
  }

  override body(field: string): unknown {
    return ownField(this.#parse(), field);
  }

  override async bind<Schema extends StandardSchemaV1>(
    schema: Schema,
  ): Promise<StandardSchemaV1.InferOutput<Schema>> {
    return validate(schema, this.#parse());
  }

  override asWebSocket(): WebSocketContext {
    if (this.#webSocket === undefined) {
      if (typeof this.connectionId !== "string") throw new LiftError("NOT_WEBSOCKET");
      this.#webSocket = new WebSocketContext(this.event, this.#settings, this.lambda);
    }
    return this.#webSocket;
  }

  override instrument(instruments: Instruments): void {
    super.instrument(instruments);
    const connections = instruments.connections?.(this.openConnections());
    if (connections === undefined) return;
    this.#settings = { ...this.#settings, connections };
    this.#webSocket = undefined;
  }

  protected override openConnections(): Connections {
    return connectionsOf(this.event, this.#settings);
  }

  protected override openState(store: ConnectionStore, row: Connection | null | undefined): ConnectionState {
    if (isConnectEvent(this.event)) return new ConnectionState();
    return new StoredState(store, this.connectionId, this.lambda, row);
  }

  #parse(): unknown {
    if (this.#parsed === UNPARSED) {
      this.#parsed = "body" in this.event ? parseBody(this.event.body) : undefined;
    }
    return this.#parsed;
  }
}
