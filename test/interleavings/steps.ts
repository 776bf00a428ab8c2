import type { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import type { ChannelStore } from "../../src/store/index.ts";
import type { Step } from "../support/interleaving.ts";

type Method = (...args: unknown[]) => unknown;

/** Synchronous calls: nothing can run in between. */
const SYNCHRONOUS: readonly unknown[] = ["peek", "listAll", "parseTableStreamImage", "close"];

/** Runs every call of a port as a step. An iteration takes a step for each item. */
export function withSteps<Port extends object>(port: Port, step: Step): Port {
  return new Proxy(port, {
    get(target, name) {
      const method = Reflect.get(target, name);
      if (typeof method !== "function") return method;
      const call: Method = (...args) => Reflect.apply(method, target, args);
      if (SYNCHRONOUS.includes(name)) return call;
      return String(name).startsWith("list")
        ? (...args: unknown[]) => iterate(call(...args) as AsyncIterable<unknown>, step)
        : (...args: unknown[]) => step(async () => call(...args));
    },
  });
}

/** Runs every call of a channel store as a step. */
export function channelStoreWithSteps(store: ChannelStore, step: Step): ChannelStore {
  const { history, members, chunks, requests } = store;
  return {
    history: withSteps(history, step),
    members: withSteps(members, step),
    chunks: withSteps(chunks, step),
    ...(requests && { requests: withSteps(requests, step) }),
  };
}

/** Runs every request of a client as a step. */
export function clientWithSteps(client: DynamoDBClient, step: Step): DynamoDBClient {
  client.middlewareStack.add((next) => (args) => step(() => next(args)), { step: "initialize" });
  return client;
}

async function* iterate(items: AsyncIterable<unknown>, step: Step): AsyncGenerator<unknown> {
  const iterator = items[Symbol.asyncIterator]();
  for (;;) {
    const next = await step(() => iterator.next());
    if (next.done) return;
    yield next.value;
  }
}
