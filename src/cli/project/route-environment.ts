import { AsyncLocalStorage } from "node:async_hooks";

/** Environment variables of one route's handler. */
export type RouteEnvironment = { readonly [name: string]: string };

const current = new AsyncLocalStorage<RouteEnvironment>();
let installed: NodeJS.ProcessEnv | undefined;

/**
 * Runs `work` and its asynchronous continuations with additional variables in `process.env`. The handlers of all routes
 * share a process, and their events overlap.
 */
export function withEnvironment<Result>(environment: RouteEnvironment, work: () => Result): Result {
  if (process.env !== installed) {
    installed = new Proxy(process.env, TRAPS);
    process.env = installed;
  }
  return current.run(environment, work);
}

const TRAPS: ProxyHandler<NodeJS.ProcessEnv> = {
  get: (env, name) => ownValue(name) ?? Reflect.get(env, name),
  has: (env, name) => ownValue(name) !== undefined || Reflect.has(env, name),
  ownKeys: (env) => [...new Set([...Reflect.ownKeys(env), ...Object.keys(current.getStore() ?? {})])],
  getOwnPropertyDescriptor(env, name) {
    const value = ownValue(name);
    if (value === undefined) return Reflect.getOwnPropertyDescriptor(env, name);
    return { value, writable: true, enumerable: true, configurable: true };
  },
};

function ownValue(name: string | symbol): string | undefined {
  const own = current.getStore();
  return own !== undefined && typeof name === "string" && Object.hasOwn(own, name) ? own[name] : undefined;
}
