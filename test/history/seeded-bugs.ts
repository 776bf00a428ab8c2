// Bugs, put into the running world: the checker must find each.
import type { ChannelMessage } from "../../src/client/index.ts";
import type { ChannelHistory, ChannelMembers, ChannelStore } from "../../src/store/index.ts";

/** One in so many. */
const RARELY = 20;

type StorePlant = (store: ChannelStore) => {
  readonly history?: Partial<ChannelHistory>;
  readonly members?: Partial<ChannelMembers>;
};

/** In the server. */
const STORE_PLANTS: { readonly [name: string]: StorePlant } = {
  "message acknowledged and not stored": ({ history }) => {
    let count = 0;
    return {
      history: {
        append: async (channel, message, retention, budget) => {
          if (++count % RARELY !== 0) return history.append(channel, message, retention, budget);
          const { epoch, offset } = await history.readHead(channel, budget);
          const { key: _, ...stored } = message;
          return { epoch, message: { ...stored, offset: offset + 1 }, duplicate: false };
        },
      },
    };
  },
  "message kept from everyone": ({ history, members }) => ({
    history: {
      read: async (channel, query, budget) => {
        const page = await history.read(channel, query, budget);
        return { ...page, messages: page.messages.filter(({ offset }) => offset % RARELY !== 0) };
      },
    },
    // Nobody is told, so that all depends on history.
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

type Hand = (message: ChannelMessage) => void;

/** In the clients, between the SDK and the application. */
const CLIENT_PLANTS: { readonly [name: string]: (hand: Hand) => Hand } = {
  "message dropped": (hand) => (message) => {
    if (!isChosen(message)) hand(message);
  },
  "message doubled": (hand) => (message) => {
    hand(message);
    if (isChosen(message)) hand(message);
  },
  "messages swapped": (hand) => {
    let held: ChannelMessage | undefined;
    return (message) => {
      if (held === undefined && isChosen(message)) {
        held = message;
        return;
      }
      hand(message);
      if (held !== undefined) hand(held);
      held = undefined;
    };
  },
};

export const PLANTS: readonly string[] = [...Object.keys(STORE_PLANTS), ...Object.keys(CLIENT_PLANTS)];

/** The violations that a bug explains. */
export const FOUND: { readonly [bug: string]: RegExp } = {
  "message acknowledged and not stored": /has both|stored twice|tail is missing|unjustified/,
  "message kept from everyone": /has .* behind|unjustified|tail is missing/,
  "unjustified recovered: false": /unjustified recovered: false/,
  "message to another tenant": /has seen \S+ of ([ab])\/\S+ in (?!\1)|another tenant's/,
  "presence ghost": /who have left/,
  "stream taken from its owner": /its owner was there|nobody streams, and sue does/,
  "message dropped": /missing or out of order/,
  "message doubled": /twice or out of order/,
  "messages swapped": /missing or out of order/,
};

export function plantedStore(store: ChannelStore, plant: string | undefined): ChannelStore {
  const planted = plant === undefined ? undefined : STORE_PLANTS[plant]?.(store);
  if (planted === undefined) return store;
  const { history, members, chunks } = store;
  return { history: over(history, planted.history), members: over(members, planted.members), chunks };
}

export function plantedHand(hand: Hand, plant: string | undefined): Hand {
  return (plant === undefined ? undefined : CLIENT_PLANTS[plant]?.(hand)) ?? hand;
}

/** The same with other methods; those that are not given run on what they belong to. */
export function over<Part extends object>(part: Part, methods: Partial<Part> | undefined): Part {
  return new Proxy(part, {
    get(target, name) {
      const method = Reflect.get(methods ?? {}, name) ?? Reflect.get(target, name);
      return typeof method === "function" ? method.bind(target) : method;
    },
  });
}

function isChosen({ position }: ChannelMessage): boolean {
  return (position?.offset ?? 0) % RARELY === 0;
}

function isRoom(channel: string): boolean {
  return channel.includes('"room:');
}

/** The connections of who streams there. */
function isOwners(channel: string): boolean {
  return channel.endsWith(',"owners"]');
}

async function* nothing() {}
