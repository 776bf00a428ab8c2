import { AsyncLocalStorage, createHook } from "node:async_hooks";
import type { LambdaHandler } from "../../apigw/index.ts";
import type { LoadedApp } from "../project/loaded-app.ts";

/**
 * Wraps handlers that take a callback, so that they end as in Lambda's older runtimes.
 * @param warn called with the route key each time such a handler returns no promise
 */
export function supportCallbacks(loaded: LoadedApp, warn: (key: string) => void): LoadedApp {
  const wrap = <Event>(key: string, handler: LambdaHandler<Event>): LambdaHandler<Event> =>
    handler.length < 3 ? handler : wrapCallbackHandler(handler, () => warn(key));
  if (loaded.kind === "app") return loaded;
  if (loaded.kind === "handler") return { ...loaded, handler: wrap("the handler", loaded.handler) };
  const { authorizer } = loaded;
  return {
    ...loaded,
    handlers: new Map([...loaded.handlers].map(([key, handler]) => [key, wrap(key, handler)])),
    authorizer: authorizer && wrap("authorizer", authorizer),
  };
}

function wrapCallbackHandler<Event>(handler: LambdaHandler<Event>, warn: () => void): LambdaHandler<Event> {
  // Keep three parameters, because the gateway waits for the callback only then.
  return (event, context, callback) => {
    const loop = new InvocationEventLoop();
    const returned = loop.run(() =>
      handler(event, context, (error, value) => {
        // Read it now, because the handler may have changed it.
        if (context.callbackWaitsForEmptyEventLoop) loop.whenEmpty(() => callback(error, value));
        else callback(error, value);
      }),
    );
    if (typeof (returned as { then?: unknown } | undefined)?.then !== "function") warn();
    return returned;
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

/** Interval of the check, in ms. No event reports when an idle socket of a pool is unreferenced. */
const CHECK_MS = 5;

/** The pending work of one invocation. In Lambda, an invocation has the event loop to itself. */
export class InvocationEventLoop {
  readonly #open = new Map<number, object>();

  /** Runs the invocation. */
  run<Result>(work: () => Result): Result {
    hook.enable();
    return current.run(this, work);
  }

  /** Calls `then` when the invocation has no pending work. */
  whenEmpty(then: () => void): void {
    // Leave the invocation's context, so that the check does not wait for its own timer.
    current.exit(() => {
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

const current = new AsyncLocalStorage<InvocationEventLoop>();
const owners = new Map<number, InvocationEventLoop>();

const hook = createHook({
  init(id, type, _trigger, resource) {
    if (KEEPS_ALIVE.has(type)) current.getStore()?.add(id, resource);
  },
  destroy(id) {
    owners.get(id)?.delete(id);
  },
});
