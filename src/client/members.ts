import type { Json, PresenceMessage, UserPresence } from "../protocol/index.ts";
import type { Channel } from "./channel.ts";
import { Emitter } from "./emitter.ts";
import type { ClientError } from "./errors.ts";
import type { Requests } from "./requests.ts";
import type { Subscription } from "./subscription.ts";

/** How many of those who have left are remembered, lest what comes late brings them back. */
const GONE_MAX = 1_000;

/** Who is in a channel, kept up to date. It is listened to as long as this is open. */
export interface Members<State = Json> extends Iterable<UserPresence<State>> {
  readonly channel: string;
  /** By user id. */
  readonly users: ReadonlyMap<string, UserPresence<State>>;
  /** The server has not told of all of them: there are more than one frame takes. */
  readonly more: boolean;
  /** Of the server's first answer. Rejects when the channel is refused, or this is closed before. */
  readonly ready: Promise<void>;
  /** Called after every change. @returns what ends it */
  onChange(listener: (members: Members<State>) => void): () => void;
  close(): void;
}

export interface MembersParts {
  readonly requests: Requests;
  readonly error: (error: ClientError) => void;
  /** Subscribes, with these ears. */
  subscribe(onPresence: (message: PresenceMessage) => void): { subscription: Subscription; channel: Channel };
}

export class LiveMembers implements Members {
  readonly channel: string;
  readonly ready: Promise<void>;
  readonly #parts: MembersParts;
  readonly #changes = new Emitter<Members>();
  readonly #subscription: Subscription;
  readonly #stopListening: () => void;
  #users = new Map<string, UserPresence>();
  /** When each was last heard of. */
  #heard = new Map<string, number>();
  /** What has come since the server was asked. */
  #since: PresenceMessage[] = [];
  #asked = 0;
  #answered = 0;
  #more = false;
  #become!: { resolve(): void; reject(error: unknown): void };

  constructor(parts: MembersParts) {
    this.#parts = parts;
    this.ready = new Promise((resolve, reject) => {
      this.#become = { resolve, reject };
    });
    this.ready.catch(() => {});
    const { subscription, channel } = parts.subscribe((message) => this.#take(message));
    this.#subscription = subscription;
    this.channel = channel.name;
    subscription.ready.catch((error) => this.#become.reject(error));
    this.#stopListening = channel.stale.on(() => void this.#ask());
    if (channel.taken) void this.#ask();
  }

  get users(): ReadonlyMap<string, UserPresence> {
    return this.#users;
  }

  get more(): boolean {
    return this.#more;
  }

  [Symbol.iterator](): Iterator<UserPresence> {
    return this.#users.values();
  }

  onChange(listener: (members: Members) => void): () => void {
    return this.#changes.on(listener);
  }

  close(): void {
    this.#asked++;
    this.#stopListening();
    this.#subscription.unsubscribe();
    this.#become.reject(undefined);
  }

  async #ask(): Promise<void> {
    const asked = ++this.#asked;
    this.#since = [];
    try {
      const { users, more } = await this.#parts.requests.ask("presence", { channel: this.channel });
      if (asked !== this.#asked) return;
      this.#answered = asked;
      this.#more = more;
      this.#users = new Map(users.map((user) => [user.user, user]));
      this.#heard = new Map();
      for (const message of this.#since) this.#apply(message);
      this.#become.resolve();
      this.#changes.emit(this);
    } catch (error) {
      // Without a connection it is asked again when there is one.
      if (asked !== this.#asked || (error as ClientError).code === "CONNECTION_CLOSED") return;
      this.#become.reject(error);
      this.#parts.error(error as ClientError);
    }
  }

  #take(message: PresenceMessage): void {
    if (this.#asked !== this.#answered) this.#since.push(message);
    if (this.#apply(message)) this.#changes.emit(this);
  }

  /** @returns whether it changes anything */
  #apply({ user, event, at, state }: PresenceMessage): boolean {
    const known = this.#users.get(user);
    if (at < (this.#heard.get(user) ?? known?.since ?? 0)) return false;
    this.#heard.set(user, at);
    if (event === "leave") {
      this.#forget();
      return this.#users.delete(user);
    }
    this.#users.set(user, { user, since: known?.since ?? at, ...(state === undefined ? {} : { state }) });
    return true;
  }

  #forget(): void {
    if (this.#heard.size - this.#users.size <= GONE_MAX) return;
    for (const user of this.#heard.keys()) {
      if (!this.#users.has(user)) this.#heard.delete(user);
    }
  }
}
