import { AsyncLocalStorage } from "node:async_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { type ChannelStore, type Schedule, type ScheduledItem, StoreError } from "../../src/store/index.ts";
import type { Mischief } from "./fault-injector.ts";

/** The event that is being handled, if one is. */
export const invocations = new AsyncLocalStorage<{ readonly crash: () => void }>();

const STREAMS: readonly unknown[] = ["listChannels", "listMembers", "listPresence", "listPendingFanOuts"];
/** They ask the store nothing. */
const SYNCHRONOUS: readonly unknown[] = ["parseTableStreamImage", "close"];
const APPENDS: readonly unknown[] = ["append", "appendAfter"];
const SLOW_MS = [50, 600] as const;

/** A store whose calls fail and dawdle, and in which handlers and the process end before and after a message is kept. */
export function faultyStore({ history, members, chunks }: ChannelStore, mischief: Mischief): ChannelStore {
  return {
    history: faulty(history, mischief),
    members: faulty(members, mischief),
    chunks: faulty(chunks, mischief),
  };
}

/** A store that has too much to do now and then, and says so. */
export function throttled({ history, members, chunks }: ChannelStore, mischief: Mischief): ChannelStore {
  const before = () => {
    if (mischief.happens("storeThrottled")) throw new StoreError("STORE_UNAVAILABLE", "Too much at once");
  };
  return {
    history: preceded(history, before),
    members: preceded(members, before),
    chunks: preceded(chunks, before),
  };
}

/** A schedule in which items of a kind are due earlier, as if their time went faster. */
export function hurried(schedule: Schedule, kind: string, times: number): Schedule {
  const sooner = (item: ScheduledItem) => {
    const now = Date.now();
    return item.kind === kind ? { ...item, dueAt: now + (item.dueAt - now) / times } : item;
  };
  return new Proxy(schedule, {
    get(target, name) {
      if (name === "put") {
        const put: Schedule["put"] = (item, budget) => target.put(sooner(item), budget);
        return put;
      }
      const value = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

type Method = (...args: unknown[]) => unknown;

function faulty<Part extends object>(part: Part, mischief: Mischief): Part {
  return new Proxy(part, {
    get(target, name) {
      const method = Reflect.get(target, name);
      if (typeof method !== "function") return method;
      const inner: Method = (...args) => Reflect.apply(method, target, args);
      if (SYNCHRONOUS.includes(name)) return inner;
      return STREAMS.includes(name)
        ? (...args: unknown[]) => stream(inner, args, mischief)
        : (...args: unknown[]) => call(inner, args, APPENDS.includes(name), mischief);
    },
  });
}

function preceded<Part extends object>(part: Part, before: () => void): Part {
  return new Proxy(part, {
    get(target, name) {
      const method = Reflect.get(target, name);
      if (typeof method !== "function") return method;
      const inner: Method = (...args) => Reflect.apply(method, target, args);
      if (SYNCHRONOUS.includes(name)) return inner;
      return STREAMS.includes(name)
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

async function* stream(inner: Method, args: unknown[], mischief: Mischief): AsyncGenerator<unknown> {
  await before(mischief);
  yield* inner(...args) as AsyncIterable<unknown>;
}

async function call(inner: Method, args: unknown[], appends: boolean, mischief: Mischief): Promise<unknown> {
  if (appends) await end("before the store", "handlerCrashesBefore", mischief);
  await before(mischief);
  const result = await inner(...args);
  if (appends) await end("after the store", "handlerCrashesAfter", mischief);
  if (mischief.happens("storeFailsAfter")) throw new Error("The store has failed, after it had done it");
  return result;
}

async function before(mischief: Mischief): Promise<void> {
  if (mischief.happens("storeSlow")) await sleep(mischief.random.between(...SLOW_MS));
  if (mischief.happens("storeFails")) throw new Error("The store has failed");
}

/** Ends the process, or the handler as a function's end does: what it has begun never goes on. */
async function end(
  when: "before the store" | "after the store",
  chance: "handlerCrashesBefore" | "handlerCrashesAfter",
  mischief: Mischief,
): Promise<void> {
  if (mischief.deadly === when) process.kill(process.pid, "SIGKILL");
  const invocation = invocations.getStore();
  if (invocation === undefined || !mischief.happens(chance)) return;
  invocation.crash();
  await new Promise(() => {});
}
