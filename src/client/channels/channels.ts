import {
  type ChannelMessage,
  type Json,
  MAX_MESSAGES,
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

/** All channels of a client, on one or two sessions: two while one replaces the other. */
export class Channels implements ConnectionEvents, SubscriptionSyncEvents, GapRepairEvents {
  /** The channels that have subscriptions, by name. */
  readonly desired = new Map<string, Channel>();
  readonly #settings: ResolvedOptions;
  readonly #link: ConnectionManager;
  readonly #requests: RequestQueue;
  readonly #reportError: (error: ClientError) => void;
  readonly #syncs = new Map<Session, SubscriptionSync>();
  #syncing = false;

  /** @param reportError called with errors that no subscription handles */
  constructor(
    settings: ResolvedOptions,
    link: ConnectionManager,
    requests: RequestQueue,
    reportError: (reportError: ClientError) => void,
  ) {
    this.#settings = settings;
    this.#link = link;
    this.#requests = requests;
    this.#reportError = reportError;
  }

  session(): Session | undefined {
    return this.#link.session;
  }

  /** @throws {ClientError} INVALID_CHANNEL, INVALID_OPTION, NOT_JSON */
  subscribe(name: string, options: SubscribeOptions = {}): OpenSubscription {
    checkSubscribe(name, options);
    const { recent = 0, state, signal } = options;
    const known = this.desired.get(name);
    const channel = known ?? new Channel(name, recent, this.#reportError);
    this.desired.set(name, channel);
    const subscription = new OpenSubscription(name, options, (ended) => {
      channel.subscriptions.delete(ended);
      this.#sync();
    });
    channel.subscriptions.add(subscription);
    if (known && recent > 0) {
      subscription.buffer(() => void this.#deliverHistory(channel, subscription, recent));
    }
    if (channel.isSubscribed) subscription.confirm();
    if (state !== undefined) {
      if (channel.isSubscribed) this.setPresence(name, state).catch(this.#reportError);
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
      // The server refuses it for a channel that the user is not in.
      if (!channel) return session.request("set_presence", { channel: name, state }, { signal });
      const sync = this.#syncs.get(session);
      if (!sync) throw connectionClosed();
      return sync.sendState(channel);
    });
  }

  message(message: PushedMessage): void {
    const channel = this.desired.get(message.channel);
    if (!channel) return;
    channel.receive(message);
    // The next messages close most gaps.
    this.#repair(channel, this.#settings.gapMs);
  }

  async attach(session: Session): Promise<boolean> {
    const sync = new SubscriptionSync(session, this.#settings, this);
    this.#syncs.set(session, sync);
    await sync.sync();
    return sync.complete;
  }

  detach(session: Session): void {
    this.#syncs.get(session)?.stop();
    this.#syncs.delete(session);
  }

  /** The channels' positions, split into frames. */
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

  onHeartbeat(): void {
    for (const { name: channel, isSubscribed, stale, live } of this.desired.values()) {
      if (!isSubscribed) continue;
      stale.emit();
      // The server does not resend a lost start or end of a live stream. A failed request is retried with the next heartbeat.
      if (live.changes.size > 0) {
        this.#requests.request("stream", { channel }).then(live.startFetch(), () => {});
      }
    }
  }

  subscribed(channel: Channel, asked: Position | undefined, answer: Subscribed): void {
    // With a second session the client was connected all the time.
    channel.subscribed(asked, answer, this.#syncs.size === 1);
    this.#repair(channel, 0);
  }

  refused(channel: Channel, error: ClientError): void {
    if (this.desired.get(channel.name) === channel) this.desired.delete(channel.name);
    const handled = [...channel.subscriptions].map((subscription) => subscription.end(error));
    if (handled.includes(false)) this.#reportError(error);
  }

  #repair(channel: Channel, waitMs: number): void {
    if (channel.order.hasGap) void repairGap(channel, waitMs, this.#settings, this);
  }

  /** Delivers recent messages to a later subscription. The first one gets them with the channel. */
  async #deliverHistory(channel: Channel, subscription: OpenSubscription, limit: number): Promise<void> {
    // Waits for a connection, as the subscription does.
    const lifetime = new AbortController();
    subscription.ready.catch(() => lifetime.abort());
    let recent: readonly ChannelMessage[] = [];
    try {
      if (channel.order.position) {
        const payload = { channel: channel.name, limit };
        const options = { signal: lifetime.signal, whileIdle: true };
        recent = (await this.#requests.retry(options, (session) => session.request("history", payload)))
          .messages;
      }
    } catch (error) {
      if (!subscription.ended) this.#reportError(error as ClientError);
    }
    subscription.replay(recent);
  }

  /** Sends changed subscriptions to the sessions. Changes of the same turn share a frame. */
  #sync(): void {
    if (this.#syncing) return;
    this.#syncing = true;
    queueMicrotask(() => {
      this.#syncing = false;
      for (const [name, { subscriptions }] of this.desired) {
        if (subscriptions.size === 0) this.desired.delete(name);
      }
      for (const sync of this.#syncs.values()) void sync.sync();
    });
  }
}

function checkSubscribe(name: string, { recent = 0, bufferSize = 1, state }: SubscribeOptions): void {
  checkChannel(name);
  checkInteger("recent", recent, 0, MAX_MESSAGES);
  checkInteger("bufferSize", bufferSize, 1);
  serialize({ state });
}

/** @throws {ClientError} INVALID_CHANNEL */
export function checkChannel(name: string): void {
  if (typeof name === "string" && parseChannelName(name)) return;
  throw new ClientError("INVALID_CHANNEL", "A channel is namespace:name");
}
