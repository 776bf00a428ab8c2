import type { LambdaContext, WebSocketEvent } from "../apigw/index.ts";

/** The read-only half of a context: the event and its Lambda context. */
export class EventInput {
  /** The event as API Gateway sent it. */
  readonly event: WebSocketEvent;
  /** The second argument of the Lambda handler. */
  readonly lambda: LambdaContext;
  /** The registered key whose handler runs: `$default` when the event's own key is not registered. */
  readonly route: string;
  #headers: Map<string, string> | undefined;

  constructor(event: WebSocketEvent, lambda: LambdaContext, route: string) {
    this.event = event;
    this.lambda = lambda;
    this.route = route;
  }

  /** Id of the connection. It is unique within the API. */
  get connectionId(): string {
    return this.event.requestContext.connectionId;
  }

  /** Id of the event. It is on each log line. */
  get requestId(): string {
    return this.event.requestContext.requestId;
  }

  /** The route key that API Gateway selected. `route` is the registered one. */
  get routeKey(): string {
    return this.event.requestContext.routeKey;
  }

  /**
   * Returns a query parameter of the upgrade request. Available on `$connect` only. A repeated parameter has its last
   * value.
   * @example
   * const room = ctx.query("room") ?? "lobby";
   */
  query(name: string): string | undefined {
    const query = "queryStringParameters" in this.event ? this.event.queryStringParameters : undefined;
    return query !== undefined && Object.hasOwn(query, name) ? query[name] : undefined;
  }

  /**
   * Returns a header of the upgrade request. Available on `$connect` only. The name is case-insensitive; a repeated header
   * has its last value.
   * @example
   * const language = ctx.header("accept-language");
   */
  header(name: string): string | undefined {
    this.#headers ??= new Map(
      Object.entries("headers" in this.event ? this.event.headers : {}).map(([key, value]) => [
        key.toLowerCase(),
        value,
      ]),
    );
    return this.#headers.get(name.toLowerCase());
  }

  /** Returns the ms until Lambda stops the function. */
  remainingTime(): number {
    return this.lambda.getRemainingTimeInMillis();
  }
}
