import type { Json, PresenceMessage, UserPresence } from "../../protocol/index.ts";
import { Emitter } from "../emitter.ts";
import type { ClientError } from "../errors.ts";
import type { RequestQueue } from "../requests/request-queue.ts";
import type { Channels } from "./channels.ts";
import { LruMap } from "./lru-map.ts";
import { unsubscribed } from "./subscription.ts";

/** Who is in a channel, kept up to date. It is listened to as long as this is open. */
export interface Members<State = Json> extends Iterable<UserPresence<State>> {
  readonly channel: string;
  /** By user id. */
  readonly users: ReadonlyMap<string, UserPresence<State>>;
  /** Of the server's first answer. Rejects when the channel is refused, or this is closed before. */
  readonly ready: Promise<void>;
  /** Called after every change. @returns what ends it */
  onChange(listener: (members: Members<State>) => void): () => void;
  close(): void;
}

/** @throws {ClientError} INVALID_CHANNEL */
export function openMembers(
  channel: string,
  channels: Channels,
  requests: RequestQueue,
  tellError: (error: ClientError) => void,
): Members {
  const { promise: ready, resolve, reject } = Promise.withResolvers<void>();
  const changes = new Emitter<Members>();
  const list = new MemberList();
  let asked = 0;
  let answered = 0;
  /** What has come since the server was asked. */
  let since: PresenceMessage[] = [];

  const take = (message: PresenceMessage) => {
    if (asked !== answered) since.push(message);
    if (list.apply(message)) changes.emit(members);
  };
  const ask = async () => {
    const turn = ++asked;
    since = [];
    try {
      const users: UserPresence[] = [];
      for (let page = {}, more = true; more; ) {
        const answer = await requests.request("presence", { channel, ...page });
        if (turn !== asked) return;
        users.push(...answer.users);
        page = { after: users.at(-1)?.user };
        more = answer.more && answer.users.length > 0;
      }
      answered = turn;
      list.replace(users);
      for (const message of since) list.apply(message);
      resolve();
      changes.emit(members);
    } catch (thrown) {
      const error = thrown as ClientError;
      // Without a connection it is asked again when there is one.
      if (turn !== asked || error.code === "CONNECTION_CLOSED") return;
      reject(error);
      tellError(error);
    }
  };

  const subscription = channels.subscribe(channel, { onPresence: take });
  const { presenceStale, isSubscribed } = channels.desired.get(channel)!;
  const stopListening = presenceStale.on(() => void ask());
  const members: Members = {
    channel,
    ready,
    get users() {
      return list.users;
    },
    [Symbol.iterator]: () => list.users.values(),
    onChange: (listener) => changes.on(listener),
    close() {
      asked++;
      stopListening();
      subscription.unsubscribe();
      reject(unsubscribed());
    },
  };
  ready.catch(() => {});
  subscription.ready.catch(reject);
  if (isSubscribed) void ask();
  return members;
}

/** Who is there, by what is told of them. */
class MemberList {
  users = new Map<string, UserPresence>();
  /** When each was last heard of, who has left as well, lest what comes late brings them back. */
  readonly #heard = new LruMap<number>();

  replace(users: readonly UserPresence[]): void {
    this.users = new Map(users.map((user) => [user.user, user]));
    this.#heard.clear();
  }

  /** @returns whether it changes anything */
  apply({ user, event, at, state }: PresenceMessage): boolean {
    const known = this.users.get(user);
    if (at < (this.#heard.get(user) ?? known?.since ?? 0)) return false;
    this.#heard.set(user, at);
    if (event === "leave") return this.users.delete(user);
    this.users.set(user, { user, since: known?.since ?? at, ...(state !== undefined && { state }) });
    return true;
  }
}
