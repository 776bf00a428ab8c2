import type { AnyContext, Lift, Logger, Tick } from "../lift/index.ts";
import type { TimeBudget } from "../store/index.ts";
import type { Scope } from "./core.ts";

/** An event's: by its own way of sending, so that what observes the event sees what it sends. */
export function eventScope(ctx: AnyContext, app: Lift): Scope {
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

/** That of a call of the server's own. */
export function serverScope(budget: TimeBudget | undefined, app: Lift, logger: Logger): Scope {
  const options = { results: "unsent", ...(budget && { context: budget }) } as const;
  return {
    budget,
    logger,
    broadcast: (endpoint, ids, frame) => app.broadcast(endpoint, ids, frame, options),
  };
}

/** That of a scheduled action. */
export function tickScope(tick: Tick, app: Lift): Scope {
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
