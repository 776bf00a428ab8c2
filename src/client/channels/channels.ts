import {
  type ChannelMessage,
  type ErrorMessage,
  type Json,
  MAX_MESSAGES,
  type Position,
  parseChannelName,
  type RequestMessage,
  type ResponseMessage,
  type ServerMessage,
  type Subscribed,
} from "../../protocol/index.ts";
import type { ConnectionEvents, ConnectionManager } from "../connection/connection-manager.ts";
import { type Session, serialize } from "../connection/session.ts";
import { Emitter } from "../emitter.ts";
import { ClientError, featureMissing } from "../errors.ts";
import { checkInteger, type ResolvedOptions } from "../options.ts";
import { splitIntoFrames } from "../requests/chunking.ts";
import { MESSAGE, type Shape } from "../requests/message-handlers.ts";
import type { RequestQueue } from "../requests/request-queue.ts";
import { onAbort } from "../requests/timeouts.ts";
import { Channel } from "./channel.ts";
import { repairGap } from "./gap-repair.ts";
import { OpenSubscription, type SubscribeOptions } from "./subscription.ts";
import { SubscriptionSync, type SubscriptionSyncEvents } from "./subscription-sync.ts";

/** A message that belongs to a channel. */
type PushedToChannel = Exclude<ServerMessage, ResponseMessage | ErrorMessage | RequestMessage>;

/** All channels of a client, on one or two sessions: two while one replaces the other. */
export class Channels implements ConnectionEvents, SubscriptionSyncEvents {
  /** The channels that have subscriptions, by name. */
  readonly desired = new Map<string, Channel>();
  /** Emits after each heartbeat. */
  readonly heartbeats = new Emitter<void>();
  /** Emits each new channel. */
  readonly created = new Emitter<Channel>();
  /** Sets the user's state with a subscription. `undefined` without the feature `presence`. */
  setState: ((channel: Channel, state: Json) => void) | undefined;
  readonly #settings: ResolvedOptions;
  readonly #link: ConnectionManager;
  readonly #requests: RequestQueue;
  readonly #reportError: (error: ClientError) => void;
  readonly syncs = new Map<Session, SubscriptionSync>();
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
    this.on("message", MESSAGE, (channel, message) => channel.receive(message));
  }

  /** Handles the messages of a type that belong to a channel with subscriptions. */
  on<Type extends PushedToChannel["type"]>(
    type: Type,
    shape: Shape,
    handle: (channel: Channel, message: Extract<PushedToChannel, { type: Type }>) => void,
  ): void {
    this.#link.handlers.on(type, shape, (message) => {
      const pushed = message as Extract<PushedToChannel, { type: Type }>;
      const channel = this.desired.get(pushed.channel);
      if (!channel) return;
      handle(channel, pushed);
      // The next messages close most gaps.
      this.#repair(channel, this.#settings.gapMs);
    });
  }

  /** @throws {ClientError} INVALID_CHANNEL, INVALID_OPTION, NOT_JSON */
  subscribe(name: string, options: SubscribeOptions = {}): OpenSubscription {
    const { recent = 0, bufferSize = 1, state, signal, onPresence } = options;
    checkChannel(name);
    checkInteger("recent", recent, 0, MAX_MESSAGES);
    checkInteger("bufferSize", bufferSize, 1);
    serialize({ state });
    if (!this.setState && (onPresence || state !== undefined)) {
      throw featureMissing(onPresence ? "onPresence" : "state", "presence");
    }
    const known = this.desired.get(name);
    const channel = known ?? new Channel(name, recent, this.#reportError);
    if (!known) {
      this.desired.set(name, channel);
      this.created.emit(channel);
    }
    const subscription = new OpenSubscription(name, options, (ended) => {
      channel.subscriptions.delete(ended);
      this.#sync();
    });
    channel.subscriptions.add(subscription);
    if (known && recent > 0) {
      subscription.buffer(() => void this.#deliverHistory(channel, subscription, recent));
    }
    if (channel.isSubscribed) subscription.confirm();
    if (state !== undefined) this.setState?.(channel, state);
    onAbort(signal, subscription.signal, subscription.unsubscribe);
    this.#sync();
    return subscription;
  }

  async attach(session: Session): Promise<boolean> {
    const sync = new SubscriptionSync(session, this.#settings, this);
    this.syncs.set(session, sync);
    await sync.sync();
    return sync.complete;
  }

  detach(session: Session): void {
    this.syncs.get(session)?.stop();
    this.syncs.delete(session);
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
    this.heartbeats.emit();
    for (const { isSubscribed, stale } of this.desired.values()) if (isSubscribed) stale.emit(undefined);
  }

  subscribed(channel: Channel, asked: Position | undefined, answer: Subscribed): void {
    // With a second session the client was connected all the time.
    channel.subscribed(asked, answer, this.syncs.size === 1);
    this.#repair(channel, 0);
  }

  refused(channel: Channel, error: ClientError): void {
    if (this.desired.get(channel.name) === channel) this.desired.delete(channel.name);
    const handled = [...channel.subscriptions].map((subscription) => subscription.end(error));
    if (handled.includes(false)) this.#reportError(error);
  }

  #repair(channel: Channel, waitMs: number): void {
    if (!channel.order.hasGap) return;
    void repairGap(channel, waitMs, this.#settings, this.#link, (error) => this.refused(channel, error));
  }

  /** Delivers recent messages to a later subscription. The first one gets them with the channel. */
  async #deliverHistory(channel: Channel, subscription: OpenSubscription, limit: number): Promise<void> {
    // Waits for a connection, as the subscription does.
    const { signal } = subscription;
    let recent: readonly ChannelMessage[] = [];
    try {
      if (channel.order.position) {
        const payload = { channel: channel.name, limit };
        const options = { signal, whileIdle: true };
        recent = (await this.#requests.retry(options, (session) => session.request("history", payload)))
          .messages;
      }
    } catch (error) {
      if (!signal.aborted) this.#reportError(error as ClientError);
    }
    subscription.replay(recent);
  }

  /** Sends changed subscriptions to the sessions. Changes of the same turn share a frame. */
  #sync(): void {
    if (this.#syncing) return;
    this.#syncing = true;
    queueMicrotask(() => {
      this.#syncing = false;
      for (const [name, { isRead }] of this.desired) if (!isRead) this.desired.delete(name);
      for (const sync of this.syncs.values()) void sync.sync();
    });
  }
}

/** @throws {ClientError} INVALID_CHANNEL */
export function checkChannel(name: string): void {
  if (typeof name === "string" && parseChannelName(name)) return;
  throw new ClientError("INVALID_CHANNEL", "A channel is namespace:name");
}
