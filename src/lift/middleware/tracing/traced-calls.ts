import { type Attributes, type Span, SpanKind, SpanStatusCode } from "@opentelemetry/api";
import type {
  BroadcastOptions,
  BroadcastReport,
  Connections,
  MessageData,
  PostOptions,
} from "../../../apigw/index.ts";
import { logText } from "../../../internal/redact.ts";
import type { Connection, ConnectionStore, Json, TimeBudget } from "../../../store/index.ts";

/** Starts a child of the active span. */
export type StartSpan = (name: string, kind: SpanKind, attributes: Attributes) => Span;

/**
 * Runs a call, and ends its span with the outcome. Records the code or name of an error, but not its message, which may
 * contain secrets.
 */
async function inSpan<Value>(
  span: Span,
  call: () => Promise<Value>,
  describe?: (value: Value) => Attributes,
): Promise<Value> {
  try {
    const value = await call();
    if (describe !== undefined) span.setAttributes(describe(value));
    return value;
  } catch (error) {
    markFailed(span, error);
    throw error;
  } finally {
    span.end();
  }
}

function markFailed(span: Span, error: unknown): void {
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown };
  const kind = typeof code === "string" ? code : typeof name === "string" ? name : "unknown";
  span.setAttribute("error.type", errorType(kind)).setStatus({ code: SpanStatusCode.ERROR });
}

/** Truncates and redacts a code or name: errors of other libraries and of applications may have secrets there too. */
export function errorType(kind: string): string {
  return logText(kind, 100);
}

/** Records a span per call of the @connections API. */
export class TracedConnections implements Connections {
  readonly #connections: Connections;
  readonly #start: StartSpan;

  constructor(connections: Connections, start: StartSpan) {
    this.#connections = connections;
    this.#start = start;
  }

  post(connectionId: string, data: MessageData, options?: PostOptions) {
    const span = this.#span("post", { "messaging.message.body.size": Buffer.byteLength(data) });
    return inSpan(
      span,
      () => this.#connections.post(connectionId, data, options),
      (outcome) => ({ "lift.send.outcome": outcome }),
    );
  }

  broadcast(ids: Iterable<string> | AsyncIterable<string>, data: MessageData, options?: BroadcastOptions) {
    const span = this.#span("broadcast", { "messaging.message.body.size": Buffer.byteLength(data) });
    return inSpan(span, () => this.#connections.broadcast(ids, data, options), outcomes);
  }

  get(connectionId: string, options?: PostOptions) {
    return inSpan(this.#span("get"), () => this.#connections.get(connectionId, options));
  }

  disconnect(connectionId: string, options?: PostOptions) {
    return inSpan(this.#span("disconnect"), () => this.#connections.disconnect(connectionId, options));
  }

  #span(operation: string, attributes: Attributes = {}): Span {
    return this.#start(`@connections ${operation}`, SpanKind.CLIENT, attributes);
  }
}

/** Leaves out `connecting`: Lift derives it from the report of this API, in which such recipients are `gone`. */
function outcomes({ sent, gone, failed }: BroadcastReport): Attributes {
  return {
    "messaging.batch.message_count": sent + gone + failed,
    "lift.send.sent": sent,
    "lift.send.gone": gone,
    "lift.send.failed": failed,
  };
}

/** Records a span per call of a store, except `peek`, which reads memory. */
export class TracedStore implements ConnectionStore {
  readonly #store: ConnectionStore;
  readonly #start: StartSpan;
  readonly peek?: NonNullable<ConnectionStore["peek"]>;

  constructor(store: ConnectionStore, start: StartSpan) {
    this.#store = store;
    this.#start = start;
    if (store.peek !== undefined) this.peek = (id, now) => store.peek?.(id, now);
  }

  save(connection: Connection, budget?: TimeBudget) {
    return inSpan(this.#span("save"), () => this.#store.save(connection, budget));
  }

  get(id: string, budget?: TimeBudget, options?: { readonly removed?: boolean }) {
    return inSpan(this.#span("get"), () => this.#store.get(id, budget, options));
  }

  delete(id: string, budget?: TimeBudget, options?: { readonly keep?: boolean }) {
    return inSpan(this.#span("delete"), () => this.#store.delete(id, budget, options));
  }

  setState(id: string, entries: { readonly [key: string]: Json | undefined }, budget?: TimeBudget) {
    return inSpan(this.#span("setState"), () => this.#store.setState(id, entries, budget));
  }

  updateState(
    id: string,
    key: string,
    change: (current: Json | undefined) => Json | undefined,
    budget?: TimeBudget,
  ) {
    return inSpan(this.#span("updateState"), () => this.#store.updateState(id, key, change, budget));
  }

  listByUser(userId: string) {
    return this.#list("listByUser", () => this.#store.listByUser(userId));
  }

  listByTenant(tenantId: string) {
    return this.#list("listByTenant", () => this.#store.listByTenant(tenantId));
  }

  count() {
    return inSpan(this.#span("count"), () => this.#store.count());
  }

  async *#list(operation: string, list: () => AsyncIterable<Connection>): AsyncGenerator<Connection> {
    const span = this.#span(operation);
    let rows = 0;
    try {
      for await (const row of list()) {
        rows++;
        yield row;
      }
    } catch (error) {
      markFailed(span, error);
      throw error;
    } finally {
      span.setAttribute("db.response.returned_rows", rows).end();
    }
  }

  #span(operation: string): Span {
    const attributes = { "db.operation.name": operation };
    return this.#start(`ConnectionStore ${operation}`, SpanKind.CLIENT, attributes);
  }
}
