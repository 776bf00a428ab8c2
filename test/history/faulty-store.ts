import { AsyncLocalStorage } from "node:async_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type ChannelStore,
  type RequestStore,
  type Schedule,
  type ScheduledItem,
  StoreError,
} from "../../src/store/index.ts";
import type { FaultInjector } from "./fault-injector.ts";

/** The event that the current code handles. */
export const invocations = new AsyncLocalStorage<{ readonly crash: () => void }>();

const ITERATIONS: readonly unknown[] = [
  "listChannels",
  "listMembers",
  "listPresence",
  "listPendingFanOuts",
  "listDue",
  "listOpen",
  "listFailed",
];
/** Methods without a call to the store. */
const SYNCHRONOUS: readonly unknown[] = ["parseTableStreamImage", "close"];
const APPENDS: readonly unknown[] = ["append", "appendAfter"];
const SLOW_MS = [50, 600] as const;

/** Fails and delays calls, and crashes the handler or the process before or after a message is stored. */
export function faultyStore(
  { history, members, chunks, requests }: ChannelStore,
  faults: FaultInjector,
): ChannelStore {
  return {
    ...(requests && { requests: withRequestFaults(requests, faults) }),
    history: withFaults(history, faults),
    members: withFaults(members, faults),
    chunks: withFaults(chunks, faults),
  };
}

/** Rejects some calls with STORE_UNAVAILABLE. */
export function withThrottling(
  { history, members, chunks, requests }: ChannelStore,
  faults: FaultInjector,
): ChannelStore {
  const before = () => {
    if (faults.inject("storeThrottled")) throw new StoreError("STORE_UNAVAILABLE", "Simulated throttling");
  };
  return {
    history: withCheck(history, before),
    members: withCheck(members, before),
    chunks: withCheck(chunks, before),
    ...(requests && { requests: withCheck(requests, before) }),
  };
}

/** Makes items of one kind due earlier by a factor, as if time ran faster for them. */
export function withEarlierItems(schedule: Schedule, kind: string, factor: number): Schedule {
  const makeEarlier = (item: ScheduledItem) => {
    const now = Date.now();
    return item.kind === kind ? { ...item, dueAt: now + (item.dueAt - now) / factor } : item;
  };
  return new Proxy(schedule, {
    get(target, name) {
      if (name === "put") {
        const put: Schedule["put"] = (item, budget) => target.put(makeEarlier(item), budget);
        return put;
      }
      const value = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

type Method = (...args: unknown[]) => unknown;

/** A worker outlives its invocation, so it ends with the process only. */
function withRequestFaults(requests: RequestStore, faults: FaultInjector): RequestStore {
  const before = () => {
    if (faults.inject("requestsThrottled")) throw new StoreError("STORE_UNAVAILABLE", "Simulated throttling");
  };
  return withCheck(withFaults(requests, faults, true), before);
}

function withFaults<Port extends object>(port: Port, faults: FaultInjector, isRequests = false): Port {
  return new Proxy(port, {
    get(target, name) {
      const method = Reflect.get(target, name);
      if (typeof method !== "function") return method;
      const inner: Method = (...args) => Reflect.apply(method, target, args);
      if (SYNCHRONOUS.includes(name)) return inner;
      return ITERATIONS.includes(name)
        ? (...args: unknown[]) => iterate(inner, args, faults)
        : (...args: unknown[]) =>
            isRequests
              ? callRequests(inner, args, faults)
              : call(inner, args, APPENDS.includes(name), faults);
    },
  });
}

function withCheck<Port extends object>(port: Port, before: () => void): Port {
  return new Proxy(port, {
    get(target, name) {
      const method = Reflect.get(target, name);
      if (typeof method !== "function") return method;
      const inner: Method = (...args) => Reflect.apply(method, target, args);
      if (SYNCHRONOUS.includes(name)) return inner;
      return ITERATIONS.includes(name)
        ? async function* (...args: unknown[]) {
            before();
            yield* inner(...args) as AsyncIterable<unknown>;
          }
        : async (...args: unknown[]) => {
            before();
            return inner(...args);
          };
    },
  });
}

async function* iterate(inner: Method, args: unknown[], faults: FaultInjector): AsyncGenerator<unknown> {
  await delayOrFail(faults);
  yield* inner(...args) as AsyncIterable<unknown>;
}

async function call(
  inner: Method,
  args: unknown[],
  appends: boolean,
  faults: FaultInjector,
): Promise<unknown> {
  if (appends) await maybeCrash("before the store", "handlerCrashesBefore", faults);
  await delayOrFail(faults);
  const result = await inner(...args);
  if (appends) await maybeCrash("after the store", "handlerCrashesAfter", faults);
  if (faults.inject("storeFailsAfter")) throw new Error("Simulated failure after the call");
  return result;
}

async function callRequests(inner: Method, args: unknown[], faults: FaultInjector): Promise<unknown> {
  const { crash } = faults;
  const crashes = crash?.requestCalls !== undefined && crash.requestCalls-- <= 0 ? crash.when : undefined;
  if (crashes === "before the store") process.kill(process.pid, "SIGKILL");
  await delayOrFail(faults);
  const result = await inner(...args);
  if (crashes === "after the store") process.kill(process.pid, "SIGKILL");
  if (faults.inject("storeFailsAfter")) throw new Error("Simulated failure after the call");
  return result;
}

async function delayOrFail(faults: FaultInjector): Promise<void> {
  if (faults.inject("storeSlow")) await sleep(faults.random.between(...SLOW_MS));
  if (faults.inject("storeFails")) throw new Error("Simulated failure of the store");
}

/** Ends the process, or the handler as Lambda ends a function: its pending work never continues. */
async function maybeCrash(
  when: "before the store" | "after the store",
  fault: "handlerCrashesBefore" | "handlerCrashesAfter",
  faults: FaultInjector,
): Promise<void> {
  if (faults.crash?.when === when && faults.crash.requestCalls === undefined)
    process.kill(process.pid, "SIGKILL");
  const invocation = invocations.getStore();
  if (invocation === undefined || !faults.inject(fault)) return;
  invocation.crash();
  await new Promise(() => {});
}
