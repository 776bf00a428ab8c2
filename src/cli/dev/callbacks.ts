import type { LambdaHandler } from "../../apigw/index.ts";
import { EventLoop } from "./empty-event-loop.ts";
import type { Program } from "./loaded-app.ts";

/**
 * Runs handlers that take a callback as Lambda's older runtimes do.
 * @param warn hears the route's key whenever one of them returns no promise
 */
export function withCallbacks(program: Program, warn: (key: string) => void): Program {
  const wrap = <Event>(key: string, handler: LambdaHandler<Event>): LambdaHandler<Event> =>
    handler.length < 3 ? handler : callbackHandler(handler, () => warn(key));
  if (program.kind === "app") return program;
  if (program.kind === "handler") return { ...program, handler: wrap("the handler", program.handler) };
  const { authorizer } = program;
  return {
    ...program,
    handlers: new Map([...program.handlers].map(([key, handler]) => [key, wrap(key, handler)])),
    authorizer: authorizer && wrap("authorizer", authorizer),
  };
}

function callbackHandler<Event>(handler: LambdaHandler<Event>, warn: () => void): LambdaHandler<Event> {
  // With three parameters too: by their number the gateway tells whether to wait for the callback.
  return (event, context, callback) => {
    const loop = new EventLoop();
    const answer = loop.run(() =>
      handler(event, context, (error, value) => {
        // The handler may have set it meanwhile.
        if (context.callbackWaitsForEmptyEventLoop) loop.whenEmpty(() => callback(error, value));
        else callback(error, value);
      }),
    );
    if (typeof (answer as { then?: unknown } | undefined)?.then !== "function") warn();
    return answer;
  };
}
