// Bugs for the running simulation. The checker must find each of them.
import type { ChannelMessage } from "../../src/client/index.ts";
import type { ChannelHistory, ChannelMembers, ChannelStore } from "../../src/store/index.ts";
import { REQUEST_BUGS } from "./seeded-request-bugs.ts";

/** A bug affects one message in this many. */
const INTERVAL = 20;

type StoreBug = (store: ChannelStore) => {
  readonly history?: Partial<ChannelHistory>;
  readonly members?: Partial<ChannelMembers>;
};

/** Bugs in the server's store. */
const STORE_BUGS: { readonly [name: string]: StoreBug } = {
  "message acknowledged and not stored": ({ history }) => {
    let count = 0;
    return {
      history: {
        append: async (channel, message, retention, budget) => {
          if (++count % INTERVAL !== 0) return history.append(channel, message, retention, budget);
          const { epoch, offset } = await history.readHead(channel, budget);
          const { key: _, ...stored } = message;
          return { epoch, message: { ...stored, offset: offset + 1 }, duplicate: false };
        },
      },
    };
  },
  "message withheld from everyone": ({ history, members }) => ({
    history: {
      read: async (channel, query, budget) => {
        const page = await history.read(channel, query, budget);
        return { ...page, messages: page.messages.filter(({ offset }) => offset % INTERVAL !== 0) };
      },
    },
    // Rooms deliver nothing, so that clients depend on the history.
    members: {
      listMembers: (channel, now) => (isRoom(channel) ? members.listMembers(channel, now) : nothing()),
    },
  }),
  "unjustified recovered: false": ({ history }) => ({
    history: {
      read: async (channel, query, budget) => {
        const page = await history.read(channel, query, budget);
        return query.after === undefined ? page : { ...page, messages: page.messages.slice(1) };
      },
    },
  }),
  "message to another tenant": ({ members }) => ({
    members: {
      listMembers: async function* (channel, now, cursor) {
        yield* members.listMembers(channel, now, cursor);
        yield* members.listMembers(channel.replace('["b"', '["a"'), now);
      },
    },
  }),
  "presence ghost": ({ members }) => ({
    members: {
      remove: async (channel, connectionId, budget) =>
        isRoom(channel) ? undefined : members.remove(channel, connectionId, budget),
    },
  }),
  "stream taken from its owner": ({ members }) => ({
    members: {
      listPresence: (channel, now) => (isOwners(channel) ? nothing() : members.listPresence(channel, now)),
    },
  }),
};

type MessageHandler = (message: ChannelMessage) => void;

/** Bugs in the clients, between the SDK and the application. */
const CLIENT_BUGS: { readonly [name: string]: (handler: MessageHandler) => MessageHandler } = {
  "message dropped": (handler) => (message) => {
    if (!isChosen(message)) handler(message);
  },
  "message doubled": (handler) => (message) => {
    handler(message);
    if (isChosen(message)) handler(message);
  },
  "messages swapped": (handler) => {
    let delayed: ChannelMessage | undefined;
    return (message) => {
      if (delayed === undefined && isChosen(message)) {
        delayed = message;
        return;
      }
      handler(message);
      if (delayed !== undefined) handler(delayed);
      delayed = undefined;
    };
  },
};

export const SEEDED_BUGS: readonly string[] = [
  ...Object.keys(STORE_BUGS),
  ...Object.keys(CLIENT_BUGS),
  ...Object.keys(REQUEST_BUGS),
];

/** Violations that each bug may cause. */
export const EXPECTED_VIOLATIONS: { readonly [bug: string]: RegExp } = {
  "message acknowledged and not stored": /has both|stored twice|last messages are missing|unjustified/,
  "message withheld from everyone": /has .* after|unjustified|last messages are missing/,
  "unjustified recovered: false": /unjustified recovered: false/,
  "message to another tenant": /received \S+ of ([ab])\/\S+ in (?!\1)|another tenant's/,
  "presence ghost": /who have left/,
  "stream taken from its owner": /its owner was connected|nobody streams instead of sue/,
  "message dropped": /missing or out of order/,
  "message doubled": /twice or out of order/,
  "messages swapped": /missing or out of order/,
  "lost completion":
    /after it had ended|has not ended|read \S+ as (PROCESSING|PENDING|RETRYING)|ended twice: COMPLETED|ended with NOT_FOUND instead of the result/,
  "request run twice": /ended twice|stale write/,
  "chunk dropped at take-over": /the output has a gap/,
  "write under an expired lease": /stale write/,
  "result for another tenant": /could read \S+ of another user/,
};

export function storeWithBug(store: ChannelStore, bug: string | undefined): ChannelStore {
  const requestBug = REQUEST_BUGS[bug ?? ""];
  if (requestBug !== undefined && store.requests !== undefined) {
    return { ...store, requests: withMethods(store.requests, requestBug(store.requests)) };
  }
  const bugs = STORE_BUGS[bug ?? ""]?.(store);
  if (bugs === undefined) return store;
  const { history, members, ...others } = store;
  return {
    history: withMethods(history, bugs.history),
    members: withMethods(members, bugs.members),
    ...others,
  };
}

export function handlerWithBug(handler: MessageHandler, bug: string | undefined): MessageHandler {
  return (bug === undefined ? undefined : CLIENT_BUGS[bug]?.(handler)) ?? handler;
}

/** Replaces some methods of a port. The others keep their receiver. */
export function withMethods<Port extends object>(port: Port, methods: Partial<Port> | undefined): Port {
  return new Proxy(port, {
    get(target, name) {
      const method = Reflect.get(methods ?? {}, name) ?? Reflect.get(target, name);
      return typeof method === "function" ? method.bind(target) : method;
    },
  });
}

function isChosen({ position }: ChannelMessage): boolean {
  return (position?.offset ?? 0) % INTERVAL === 0;
}

function isRoom(channel: string): boolean {
  return channel.includes('"room:');
}

/** Whether this is the internal channel of a stream's owners. */
function isOwners(channel: string): boolean {
  return channel.endsWith(',"owners"]');
}

async function* nothing() {}
