/**
 * Stand-in for the framework that Go Lift 1.0.x was before `app.WebSocket()`: routes in the style of HTTP, and a context that
 * each handler converts with `asWebSocket()`. It follows the pattern of the migration guide, with its cost: the conversion
 * creates a client of the SDK for each event. It sends the handler's status to API Gateway, which the original did not.
 * It is here to be compared with, not to be used.
 */
import {
  ApiGatewayManagementApiClient,
  PostToConnectionCommand,
} from "@aws-sdk/client-apigatewaymanagementapi";
import type { APIGatewayProxyWebsocketEventV2 } from "aws-lambda";

type Event = APIGatewayProxyWebsocketEventV2 & {
  readonly queryStringParameters?: { readonly [name: string]: string | undefined };
};
type Method = "CONNECT" | "MESSAGE" | "DISCONNECT";
type Handler = (ctx: OldContext) => Promise<void>;

export class OldLift {
  readonly #routes = new Map<string, Handler>();
  readonly #endpoint: string | undefined;

  constructor({ endpoint }: { readonly endpoint?: string | undefined } = {}) {
    this.#endpoint = endpoint;
  }

  handle(method: Method, path: string, handler: Handler): this {
    this.#routes.set(`${method} ${path}`, handler);
    return this;
  }

  /** The Lambda handler of all routes. */
  start() {
    return async (event: Event) => {
      const method = event.requestContext.eventType;
      const handler = this.#routes.get(`${method} /${method.toLowerCase()}`);
      if (handler === undefined) return { statusCode: 404 };
      const ctx = new OldContext(event, this.#endpoint);
      await handler(ctx);
      return ctx.result;
    };
  }
}

export class OldContext {
  readonly event: Event;
  readonly #endpoint: string | undefined;
  #statusCode = 200;
  #body: string | undefined;

  constructor(event: Event, endpoint: string | undefined) {
    this.event = event;
    this.#endpoint = endpoint;
  }

  query(name: string): string | undefined {
    return this.event.queryStringParameters?.[name];
  }

  get body(): string {
    return this.event.body ?? "";
  }

  status(code: number): this {
    this.#statusCode = code;
    return this;
  }

  json(value: object): void {
    this.#body = JSON.stringify(value);
  }

  get result() {
    return { statusCode: this.#statusCode, ...(this.#body === undefined ? {} : { body: this.#body }) };
  }

  /** @throws {Error} when the event is not from a WebSocket API */
  asWebSocket(): OldWebSocketContext {
    const { connectionId, domainName, stage } = this.event.requestContext;
    if (!connectionId) throw new Error("Context is not from a WebSocket event");
    return new OldWebSocketContext(connectionId, this.#endpoint ?? `https://${domainName}/${stage}`);
  }
}

export class OldWebSocketContext {
  readonly connectionId: string;
  readonly endpoint: string;
  readonly #api: ApiGatewayManagementApiClient;

  constructor(connectionId: string, endpoint: string) {
    this.connectionId = connectionId;
    this.endpoint = endpoint;
    this.#api = new ApiGatewayManagementApiClient({ endpoint, maxAttempts: 6 });
  }

  /** Rejects with the SDK's error, such as a `GoneException`. */
  async sendMessage(text: string): Promise<void> {
    await this.#api.send(new PostToConnectionCommand({ ConnectionId: this.connectionId, Data: text }));
  }
}
