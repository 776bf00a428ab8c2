import type { LambdaHandler } from "../apigw/index.ts";
import type { Program } from "./program.ts";

/** Calls `warn`, with the route's key, whenever a handler takes a callback and returns no promise. */
export function withCallbackWarning(program: Program, warn: (key: string) => void): Program {
  const warning = <Event>(key: string, handler: LambdaHandler<Event>): LambdaHandler<Event> =>
    handler.length < 3 ? handler : warnsOfCallback(handler, () => warn(key));
  if (program.kind === "app") return program;
  if (program.kind === "handler") return { ...program, handler: warning("the handler", program.handler) };
  const { authorizer } = program;
  return {
    ...program,
    handlers: new Map([...program.handlers].map(([key, handler]) => [key, warning(key, handler)])),
    authorizer: authorizer && warning("authorizer", authorizer),
  };
}

function warnsOfCallback<Event>(handler: LambdaHandler<Event>, warn: () => void): LambdaHandler<Event> {
  // With three parameters too: by their number the gateway tells whether to wait for the callback.
  return (event, context, callback) => {
    const answer = handler(event, context, callback);
    if (typeof (answer as { then?: unknown } | undefined)?.then !== "function") warn();
    return answer;
  };
}
