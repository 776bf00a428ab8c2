import type { ChannelMessage, Json, PresenceMessage, Subscribed } from "../../protocol/index.ts";
import { callListener, Emitter } from "../emitter.ts";
import type { ClientError } from "../errors.ts";
import { LruMap } from "./lru-map.ts";
import { MessageOrder } from "./message-order.ts";
import { historyLost, type OpenSubscription } from "./subscription.ts";

/** One channel, shared by all its subscriptions in this client. */
export class Channel {
  readonly name: string;
  readonly order: MessageOrder;
  readonly subscriptions = new Set<OpenSubscription>();
  /** Emits before each `subscribe` request. */
  readonly subscribing = new Emitter<void>();
  /**
   * Emits when messages without a position may have been missed: after a subscription, with the server's response, and after
   * each heartbeat.
   */
  readonly stale = new Emitter<Subscribed | undefined>();
  /** Ids of messages without a position. */
  readonly #seen = new LruMap<true>();
  /** How many recent messages the first subscription asks for. */
  readonly recent: number;
  /** The user's presence state. */
  state: Json | undefined;
  /** Counts changes of `state`. */
  version = 0;
  /** Whether the server has confirmed a subscription. */
  isSubscribed = false;
  /** Whether `repairGap` is running. */
  repairing = false;
  /** Whether the channel catches up after a lost connection. */
  #recovering = false;

  /** @param reportError called with errors that no subscription handles */
  constructor(name: string, recent: number, reportError: (error: ClientError) => void) {
    this.name = name;
    this.recent = recent;
    this.order = new MessageOrder({
      deliver: (message) => this.#deliver(message),
      lost: (position) => {
        this.#recovering = false;
        this.#notify((subscription) => {
          if (!subscription.lost(position)) reportError(historyLost(name, position));
        });
      },
    });
  }

  /** Whether it has subscriptions. */
  get isRead(): boolean {
    return this.subscriptions.size > 0;
  }

  setState(state: Json | undefined): void {
    this.state = state;
    this.version++;
  }

  /** Call before a `subscribe` request. @returns the position to send */
  startFetch(): MessageOrder["position"] {
    this.subscribing.emit();
    return this.order.startFetch();
  }

  receive(message: ChannelMessage): void {
    if (message.position) this.order.add(message);
    else if (this.isNew(message)) this.#deliver(message);
  }

  /** Whether a message without a position arrives for the first time. */
  isNew({ id }: { readonly id: string }): boolean {
    const isNew = !this.#seen.has(id);
    if (isNew) this.#seen.set(id, true);
    return isNew;
  }

  presence(message: PresenceMessage): void {
    this.#notify(({ options }) => callListener(options.onPresence, message));
  }

  /** @param reconnected whether the client had no connection before */
  subscribed(from: MessageOrder["position"], result: Subscribed, reconnected: boolean): void {
    this.isSubscribed = true;
    this.#recovering = reconnected && !!from;
    this.order.apply(from, result);
    this.#notify((subscription) => subscription.confirm());
    this.stale.emit(result);
    this.settle();
  }

  /** Calls `onRecovered` once no message is missing after a reconnect. */
  settle(): void {
    if (!this.#recovering || this.order.hasGap) return;
    this.#recovering = false;
    this.#notify(({ options }) => callListener<void>(options.onRecovered, undefined));
  }

  #deliver(message: ChannelMessage): void {
    this.#notify((subscription) => subscription.deliver(message));
  }

  /** Skips subscriptions that end meanwhile. */
  #notify(notify: (subscription: OpenSubscription) => void): void {
    for (const subscription of [...this.subscriptions])
      if (!subscription.signal.aborted) notify(subscription);
  }
}
