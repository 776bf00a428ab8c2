import { AsyncLocalStorage, createHook } from "node:async_hooks";
import type { LambdaHandler } from "../../apigw/index.ts";
import type { LoadedApp } from "../project/loaded-app.ts";

/**
 * Runs handlers that take a callback as Lambda's older runtimes do.
 * @param warn hears the route's key whenever one of them returns no promise
 */
export function supportCallbacks(program: LoadedApp, warn: (key: string) => void): LoadedApp {
  const wrap = <Event>(key: string, handler: LambdaHandler<Event>): LambdaHandler<Event> =>
    handler.length < 3 ? handler : wrapCallbackHandler(handler, () => warn(key));
  if (program.kind === "app") return program;
  if (program.kind === "handler") return { ...program, handler: wrap("the handler", program.handler) };
  const { authorizer } = program;
  return {
    ...program,
    handlers: new Map([...program.handlers].map(([key, handler]) => [key, wrap(key, handler)])),
    authorizer: authorizer && wrap("authorizer", authorizer),
  };
}

function wrapCallbackHandler<Event>(handler: LambdaHandler<Event>, warn: () => void): LambdaHandler<Event> {
  // With three parameters too: by their number the gateway tells whether to wait for the callback.
  return (event, context, callback) => {
    const loop = new InvocationEventLoop();
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

/** Resources that keep a process alive: timers, sockets, files, name look-ups, programs. */
const KEEPS_ALIVE = new Set([
  "FSREQCALLBACK",
  "FSREQPROMISE",
  "GETADDRINFOREQWRAP",
  "Immediate",
  "PIPEWRAP",
  "PROCESSWRAP",
  "TCPCONNECTWRAP",
  "TCPWRAP",
  "Timeout",
  "UDPWRAP",
  "WORKER",
]);

/** An idle socket of a pool stops to keep the process alive without an event that says so. */
const CHECK_MS = 5;

/** The pending work of one invocation: the event loop that it would have to itself in a Lambda. */
export class InvocationEventLoop {
  readonly #open = new Map<number, object>();

  /** Runs the invocation. */
  run<Result>(work: () => Result): Result {
    hook.enable();
    return running.run(this, work);
  }

  /** Calls `then` once nothing is under way any more. */
  whenEmpty(then: () => void): void {
    // Not of the invocation: it would wait for its own timer.
    running.exit(() => {
      const check = (): void => {
        if (this.#isEmpty()) then();
        else setTimeout(check, CHECK_MS);
      };
      setImmediate(check);
    });
  }

  add(id: number, resource: object): void {
    this.#open.set(id, resource);
    owners.set(id, this);
  }

  delete(id: number): void {
    this.#open.delete(id);
    owners.delete(id);
  }

  #isEmpty(): boolean {
    for (const resource of this.#open.values()) {
      const { hasRef } = resource as { hasRef?: () => boolean };
      if (hasRef === undefined || hasRef.call(resource)) return false;
    }
    return true;
  }
}

const running = new AsyncLocalStorage<InvocationEventLoop>();
const owners = new Map<number, InvocationEventLoop>();

const hook = createHook({
  init(id, type, _trigger, resource) {
    if (KEEPS_ALIVE.has(type)) running.getStore()?.add(id, resource);
  },
  destroy(id) {
    owners.get(id)?.delete(id);
  },
});
