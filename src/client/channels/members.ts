import type { Json, PresenceMessage, UserPresence } from "../../protocol/index.ts";
import { Emitter } from "../emitter.ts";
import type { ClientError } from "../errors.ts";
import type { RequestQueue } from "../requests/request-queue.ts";
import type { Channels } from "./channels.ts";
import { LruMap } from "./lru-map.ts";
import { unsubscribed } from "./subscription.ts";

/** The users in a channel, kept up to date until `close`. */
export interface Members<State = Json> extends Iterable<UserPresence<State>> {
  /** The channel of the members. */
  readonly channel: string;
  /** The users by id. */
  readonly users: ReadonlyMap<string, UserPresence<State>>;
  /** Resolves with the server's first response. Rejects when the server refuses the channel, or after `close`. */
  readonly ready: Promise<void>;
  /** Calls the listener after every change. @returns a function that removes it */
  onChange(listener: (members: Members<State>) => void): () => void;
  /** Stops watching the channel. */
  close(): void;
}

/** Watches the users in a channel. @throws {ClientError} INVALID_CHANNEL */
export function openMembers(
  channel: string,
  channels: Channels,
  requests: RequestQueue,
  reportError: (error: ClientError) => void,
): Members {
  const { promise: ready, resolve, reject } = Promise.withResolvers<void>();
  const changes = new Emitter<Members>();
  const list = new MemberList();
  /** Messages that arrived since the last request; `undefined` without one. */
  let buffered: PresenceMessage[] | undefined;

  const apply = (message: PresenceMessage) => {
    buffered?.push(message);
    if (list.apply(message)) changes.emit(members);
  };
  const refresh = async () => {
    const messages: PresenceMessage[] = [];
    buffered = messages;
    try {
      const users: UserPresence[] = [];
      for (let cursor = {}, more = true; more; ) {
        const page = await requests.request("presence", { channel, ...cursor });
        if (buffered !== messages) return;
        users.push(...page.users);
        cursor = { after: users.at(-1)?.user };
        more = page.more && page.users.length > 0;
      }
      buffered = undefined;
      list.replace(users);
      for (const message of messages) list.apply(message);
      resolve();
      changes.emit(members);
    } catch (error) {
      // The next connection refreshes the list.
      if (buffered !== messages || (error as ClientError).code === "CONNECTION_CLOSED") return;
      reject(error);
      reportError(error as ClientError);
    }
  };

  const subscription = channels.subscribe(channel, { onPresence: apply });
  const { stale, isSubscribed } = channels.desired.get(channel)!;
  const stopListening = stale.on(() => void refresh());
  const members: Members = {
    channel,
    ready,
    get users() {
      return list.users;
    },
    [Symbol.iterator]: () => list.users.values(),
    onChange: (listener) => changes.on(listener),
    close() {
      buffered = undefined;
      stopListening();
      subscription.unsubscribe();
      reject(unsubscribed());
    },
  };
  ready.catch(() => {});
  subscription.ready.catch(reject);
  if (isSubscribed) void refresh();
  return members;
}

/** The users in a channel, built from presence messages. */
export class MemberList {
  users = new Map<string, UserPresence>();
  /** The time of each user's last message. Keeps users who left, so that a late message does not bring them back. */
  readonly #lastSeen = new LruMap<number>();

  replace(users: readonly UserPresence[]): void {
    this.users = new Map(users.map((user) => [user.user, user]));
    this.#lastSeen.clear();
  }

  /** @returns whether the message changed the list */
  apply({ user, event, at, state }: PresenceMessage): boolean {
    const known = this.users.get(user);
    if (at < (this.#lastSeen.get(user) ?? known?.since ?? 0)) return false;
    this.#lastSeen.set(user, at);
    if (event === "leave") return this.users.delete(user);
    this.users.set(user, { user, since: known?.since ?? at, ...(state !== undefined && { state }) });
    return true;
  }
}
