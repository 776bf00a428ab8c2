import {
  type ChannelMessage,
  CLIENT_LIMITS,
  type Json,
  type Position,
  parseChannelName,
  type Subscribed,
} from "../../protocol/index.ts";
import type { ConnectionEvents, ConnectionManager } from "../connection/connection-manager.ts";
import { connectionClosed, type PushedMessage, type Session, serialize } from "../connection/session.ts";
import { ClientError } from "../errors.ts";
import { checkInteger, type ResolvedOptions } from "../options.ts";
import { splitIntoFrames } from "../requests/chunking.ts";
import type { RequestQueue } from "../requests/request-queue.ts";
import type { RequestOptions } from "../requests/timeouts.ts";
import { Channel } from "./channel.ts";
import { type GapRepairEvents, repairGap } from "./gap-repair.ts";
import { OpenSubscription, type SubscribeOptions } from "./subscription.ts";
import { SubscriptionSync, type SubscriptionSyncEvents } from "./subscription-sync.ts";

/** All channels, over whatever sessions there are. */
export class Channels implements ConnectionEvents, SubscriptionSyncEvents, GapRepairEvents {
  /** By name: all that somebody subscribes to. */
  readonly desired = new Map<string, Channel>();
  readonly #settings: ResolvedOptions;
  readonly #link: ConnectionManager;
  readonly #requests: RequestQueue;
  readonly #error: (error: ClientError) => void;
  readonly #rosters = new Map<Session, SubscriptionSync>();
  #syncing = false;

  /** @param error told what no subscription takes */
  constructor(
    settings: ResolvedOptions,
    link: ConnectionManager,
    requests: RequestQueue,
    error: (error: ClientError) => void,
  ) {
    this.#settings = settings;
    this.#link = link;
    this.#requests = requests;
    this.#error = error;
  }

  session(): Session | undefined {
    return this.#link.session;
  }

  /** @throws {ClientError} INVALID_CHANNEL, INVALID_OPTION, NOT_JSON */
  subscribe(name: string, options: SubscribeOptions = {}): OpenSubscription {
    check(name, options);
    const { recent = 0, state, signal } = options;
    const known = this.desired.get(name);
    const channel = known ?? new Channel(name, recent, this.#error);
    this.desired.set(name, channel);
    const subscription = new OpenSubscription(name, options, (ended) => {
      channel.subscriptions.delete(ended);
      this.#sync();
    });
    channel.subscriptions.add(subscription);
    if (known && recent > 0) {
      subscription.waitForHistory(() => void this.#past(channel, subscription, recent));
    }
    if (channel.isSubscribed) subscription.confirm();
    if (state !== undefined) {
      if (channel.isSubscribed) this.setPresence(name, state).catch(this.#error);
      else channel.setState(state);
    }
    if (signal?.aborted) subscription.unsubscribe();
    this.#sync();
    return subscription;
  }

  /** @throws {ClientError} NOT_JSON */
  setPresence(name: string, state: Json | undefined, patience?: RequestOptions): Promise<unknown> {
    serialize({ state });
    this.desired.get(name)?.setState(state);
    return this.#requests.run(patience, async (session, signal) => {
      const channel = this.desired.get(name);
      // Where the user is not, the server says so.
      if (!channel) return session.request("set_presence", { channel: name, state }, { signal });
      const roster = this.#rosters.get(session);
      if (!roster) throw connectionClosed();
      return roster.sendState(channel);
    });
  }

  message(message: PushedMessage): void {
    const channel = this.desired.get(message.channel);
    if (!channel) return;
    channel.receive(message);
    // Most of what comes out of order is put right by what comes next.
    this.#repair(channel, this.#settings.gapMs);
  }

  async attach(session: Session): Promise<boolean> {
    const roster = new SubscriptionSync(session, this.#settings, this);
    this.#rosters.set(session, roster);
    await roster.sync();
    return roster.isComplete;
  }

  detach(session: Session): void {
    this.#rosters.get(session)?.stop();
    this.#rosters.delete(session);
  }

  /** Where the channels are, in frames. */
  positions(): { readonly [channel: string]: Position }[] {
    const known = [...this.desired.values()].flatMap(({ name, order: { position } }) =>
      position ? [[name, position] as const] : [],
    );
    return splitIntoFrames(known, (entry) => entry).map((entries) => Object.fromEntries(entries));
  }

  observeHeads(observeHeads: { readonly [channel: string]: Position }): void {
    for (const [name, head] of Object.entries(observeHeads)) {
      const channel = this.desired.get(name);
      if (!channel) continue;
      channel.order.observeHead(head);
      this.#repair(channel, 0);
    }
  }

  heartbeatDone(): void {
    for (const { name: channel, isSubscribed, presenceStale, live } of this.desired.values()) {
      if (!isSubscribed) continue;
      presenceStale.emit();
      // A start or an end that was lost on its way is not told again. What fails is asked with the next heartbeat.
      if (live.changes.size > 0) {
        this.#requests.request("stream", { channel }).then(live.startFetch(), () => {});
      }
    }
  }

  subscribed(channel: Channel, asked: Position | undefined, answer: Subscribed): void {
    // With another session beside this one it was never away.
    channel.applySubscribed(asked, answer, this.#rosters.size === 1);
    this.#repair(channel, 0);
  }

  refused(channel: Channel, error: ClientError): void {
    if (this.desired.get(channel.name) === channel) this.desired.delete(channel.name);
    const heard = [...channel.subscriptions].map((subscription) => subscription.end(error));
    if (heard.includes(false)) this.#error(error);
  }

  #repair(channel: Channel, waitMs: number): void {
    if (channel.order.hasGap) void repairGap(channel, waitMs, this.#settings, this);
  }

  /** A second subscription's past: the first one's has been asked for with the channel. */
  async #past(channel: Channel, subscription: OpenSubscription, limit: number): Promise<void> {
    // Without a connection it waits, as the subscription does.
    const ending = new AbortController();
    subscription.ready.catch(() => ending.abort());
    let past: readonly ChannelMessage[] = [];
    try {
      if (channel.order.position) {
        const asked = { channel: channel.name, limit };
        const sending = { signal: ending.signal, waitWhileIdle: true };
        past = (await this.#requests.retry(sending, (session) => session.request("history", asked))).messages;
      }
    } catch (error) {
      if (!subscription.ended) this.#error(error as ClientError);
    }
    subscription.startAfter(past);
  }

  /** What is wanted has changed. What changes at the same time goes in one frame. */
  #sync(): void {
    if (this.#syncing) return;
    this.#syncing = true;
    queueMicrotask(() => {
      this.#syncing = false;
      for (const [name, { subscriptions }] of this.desired) {
        if (subscriptions.size === 0) this.desired.delete(name);
      }
      for (const roster of this.#rosters.values()) void roster.sync();
    });
  }
}

function check(name: string, { recent = 0, bufferSize = 1, state }: SubscribeOptions): void {
  checkChannel(name);
  checkInteger("recent", recent, 0, CLIENT_LIMITS.messages);
  checkInteger("bufferSize", bufferSize, 1);
  serialize({ state });
}

/** @throws {ClientError} INVALID_CHANNEL */
export function checkChannel(name: string): void {
  if (typeof name === "string" && parseChannelName(name)) return;
  throw new ClientError("INVALID_CHANNEL", "A channel is namespace:name");
}
