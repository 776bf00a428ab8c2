import type { AnyContext, BroadcastReport, Lift, Logger, Tick } from "../lift/index.ts";
import type { TimeBudget } from "../store/index.ts";
import type { Identity } from "./access.ts";

/** Context of an event, of a scheduled action or of a server-side call. */
export interface CallContext {
  /** Absent: the call has no deadline of its own. */
  readonly budget: TimeBudget | undefined;
  readonly logger: Logger;
  /** Sends a frame to connections at one endpoint. The report lists only the connections that did not receive it. */
  broadcast(endpoint: string, connectionIds: readonly string[], frame: string): Promise<BroadcastReport>;
}

/** Context of one client's message. */
export interface ClientRequest extends CallContext {
  readonly ctx: AnyContext;
  readonly identity: Identity;
  /** Identifies the response to the client. */
  readonly requestId: string;
}

/** Sends through the event's own connection where it can, so that middleware on the event observes the messages. */
export function createEventContext(ctx: AnyContext, app: Lift): CallContext {
  const ws = ctx.asWebSocket();
  const { lambda: budget, logger } = ctx;
  return {
    budget,
    logger,
    broadcast: (endpoint, ids, frame) =>
      endpoint === ws.endpoint
        ? ws.broadcastMessage(ids, frame, { results: "unsent" })
        : app.broadcast(endpoint, ids, frame, { context: budget, results: "unsent" }),
  };
}

export function createServerContext(budget: TimeBudget | undefined, app: Lift, logger: Logger): CallContext {
  const options = { results: "unsent", ...(budget && { context: budget }) } as const;
  return {
    budget,
    logger,
    broadcast: (endpoint, ids, frame) => app.broadcast(endpoint, ids, frame, options),
  };
}

export function createTickContext(tick: Tick, app: Lift): CallContext {
  const { logger, signal, connectionsAt } = tick;
  return {
    budget: tick,
    logger,
    broadcast: (endpoint, ids, frame) =>
      app.broadcast(endpoint, ids, frame, {
        context: tick,
        signal,
        connections: connectionsAt(endpoint),
        results: "unsent",
      }),
  };
}
