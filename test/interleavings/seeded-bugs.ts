// Bugs in the stores. A scenario must find each of them.
import type {
  ChannelHistory,
  ChannelMembers,
  ConnectionStore,
  RequestStore,
  Schedule,
} from "../../src/store/index.ts";
import { withMethods } from "../history/seeded-bugs.ts";
import { collect } from "../streamer/simulation.ts";
import type { Backend, Stores } from "./backend.ts";

interface SeededBug {
  /** Returns the stores of a container with the bug. Their calls are steps. */
  readonly seed: (stores: Stores) => Stores;
  /** The title of the scenario that finds the bug. */
  readonly scenario: string;
}

export const SEEDED_BUGS: { readonly [bug: string]: SeededBug } = {
  "a connection that joins after the history was read": {
    seed: (stores) => {
      const { history, members } = stores.store;
      const joins: (() => Promise<unknown>)[] = [];
      const join = async () => {
        for (const add of joins.splice(0)) await add();
      };
      return withBugs(stores, {
        members: { add: async (...args) => joins.push(() => members.add(...args)) < 0 },
        history: {
          read: async (...args) => history.read(...args).finally(join),
          readHead: async (...args) => history.readHead(...args).finally(join),
        },
      });
    },
    scenario: "a publish and a reconnect",
  },
  "a process that remembers that nobody watches a request": {
    seed: (stores) => {
      const { members } = stores.store;
      const unwatched = new Set<string>();
      const listMembers: ChannelMembers["listMembers"] = async function* (channel, ...rest) {
        if (unwatched.has(channel)) return;
        const pages = await collect(members.listMembers(channel, ...rest));
        if (pages.length === 0) unwatched.add(channel);
        yield* pages;
      };
      return withBugs(stores, { members: { listMembers } });
    },
    scenario: "a request's run and a watcher that attaches",
  },
  "a watcher that joins after the output was read": {
    seed: (stores) => {
      const { members, requests } = stores.store;
      const joins: (() => Promise<unknown>)[] = [];
      return withBugs(stores, {
        members: { add: async (...args) => joins.push(() => members.add(...args)) < 0 },
        requests: {
          readOutput: async (...args) => {
            const page = await requests!.readOutput(...args);
            for (const add of joins.splice(0)) await add();
            return page;
          },
        },
      });
    },
    scenario: "a request's run and a watcher that attaches",
  },
  "a user who is looked up before the join is stored": {
    seed: (stores) => {
      const { members } = stores.store;
      const add: ChannelMembers["add"] = async (channel, member, budget) => {
        const present = await collect(members.listPresence(channel, member.joinedAt));
        await members.add(channel, member, budget);
        return !present.some(({ userId }) => userId === member.userId);
      };
      return withBugs(stores, { members: { add } });
    },
    scenario: "the subscribes of two tabs",
  },
  "a subscription that a disconnect cannot find yet": {
    seed: (stores) => {
      const { members } = stores.store;
      const listed = new Map<string, number>();
      // As an index that lags: a connection's first list is empty.
      const listChannels: ChannelMembers["listChannels"] = async function* (id, budget) {
        const channels = await collect(members.listChannels(id, budget));
        listed.set(id, (listed.get(id) ?? 0) + 1);
        if (listed.get(id) !== 1) yield* channels;
      };
      return withBugs(stores, { members: { listChannels } });
    },
    scenario: "a subscribe with presence and a $disconnect",
  },
  "an append that does not compare the head": {
    seed: (stores) => {
      const { history } = stores.store;
      const appendAfter: ChannelHistory["appendAfter"] = (channel, _after, message, retention, budget) =>
        history.append(channel, message, retention, budget);
      return withBugs(stores, { history: { appendAfter } });
    },
    scenario: "two users' starts",
  },
  "a message that is marked as delivered before it is sent": {
    seed: (stores) => {
      const { history } = stores.store;
      const append: ChannelHistory["append"] = async (channel, ...rest) => {
        const appended = await history.append(channel, ...rest);
        await history.markDelivered(channel, appended.message.offset);
        return appended;
      };
      return withBugs(stores, { history: { append } });
    },
    scenario: "a publisher that dies at any moment and a recovery",
  },
  "a delete of an item that was rescheduled": {
    seed: (stores) => {
      const { schedule } = stores;
      const remove: Schedule["delete"] = async (item, budget) => {
        const current = await schedule.get(item, budget);
        if (current !== undefined) await schedule.delete(current, budget);
      };
      return withBugs(stores, { schedule: { delete: remove } });
    },
    scenario: "the check of a connection and its heartbeat",
  },
  "an update of a connection's state in two calls": {
    seed: (stores) => {
      const { connectionStore } = stores;
      const updateState: ConnectionStore["updateState"] = async (id, key, change, budget) => {
        const next = change((await connectionStore.get(id, budget))?.state[key]);
        await connectionStore.setState(id, { [key]: next }, budget);
        return next;
      };
      return withBugs(stores, { connectionStore: { updateState } });
    },
    scenario: "two atomic updates of one key",
  },
  "a save after the delete": {
    seed: (stores) => {
      const { connectionStore } = stores;
      const remove: ConnectionStore["delete"] = async (id, ...rest) => {
        if ((await connectionStore.get(id)) !== undefined) await connectionStore.delete(id, ...rest);
      };
      return withBugs(stores, { connectionStore: { delete: remove } });
    },
    scenario: "a $connect and its $disconnect",
  },
  "a put that keeps the later time": {
    seed: (stores) => {
      const { schedule } = stores;
      const put: Schedule["put"] = async (item, budget) => {
        const current = await schedule.get(item, budget);
        if (current === undefined || current.dueAt <= item.dueAt) await schedule.put(item, budget);
      };
      return withBugs(stores, { schedule: { put } });
    },
    scenario: "two refreshes",
  },
};

/** Returns a backend whose containers have a bug. */
export function backendWithBug(backend: Backend, { seed }: SeededBug): Backend {
  return {
    ...backend,
    share: (name) => {
      const shared = backend.share(name);
      return { ...shared, open: (step) => seed(shared.open(step)) };
    },
  };
}

interface Bugs {
  readonly history?: Partial<ChannelHistory>;
  readonly members?: Partial<ChannelMembers>;
  readonly requests?: Partial<RequestStore>;
  readonly connectionStore?: Partial<ConnectionStore>;
  readonly schedule?: Partial<Schedule>;
}

function withBugs({ store, connectionStore, schedule }: Stores, bugs: Bugs): Stores {
  const history = withMethods(store.history, bugs.history);
  const members = withMethods(store.members, bugs.members);
  const requests = store.requests && withMethods(store.requests, bugs.requests);
  return {
    store: { ...store, history, members, ...(requests && { requests }) },
    connectionStore: withMethods(connectionStore, bugs.connectionStore),
    schedule: withMethods(schedule, bugs.schedule),
  };
}
