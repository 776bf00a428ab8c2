import type { ChannelMessage, Json, Subscribed } from "../../protocol/index.ts";
import type { PushedMessage } from "../connection/session.ts";
import { Emitter } from "../emitter.ts";
import type { ClientError } from "../errors.ts";
import { LiveStreamState } from "./live-stream-state.ts";
import { LruMap } from "./lru-map.ts";
import { MessageOrder } from "./message-order.ts";
import { historyLost, type OpenSubscription } from "./subscription.ts";

/** One channel, shared by all its subscriptions in this client. */
export class Channel {
  readonly name: string;
  readonly order: MessageOrder;
  readonly subscriptions = new Set<OpenSubscription>();
  /** Emits when the list of members may be incomplete: after a subscription, and after each heartbeat. */
  readonly stale = new Emitter<void>();
  readonly live = new LiveStreamState();
  #applyLive = this.live.startFetch();
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

  setState(state: Json | undefined): void {
    this.state = state;
    this.version++;
  }

  /** Call before a `subscribe` request. @returns the position to send */
  startFetch(): MessageOrder["position"] {
    this.#applyLive = this.live.startFetch();
    return this.order.startFetch();
  }

  receive(message: PushedMessage): void {
    if (message.type === "message" && message.position) {
      this.order.add(message);
      return;
    }
    if (this.#seen.has(message.id)) return;
    this.#seen.set(message.id, true);
    if (message.type === "message") this.#deliver(message);
    else if (message.type === "presence") this.#notify((subscription) => subscription.presence(message));
    else this.live.apply(message);
  }

  /** @param reconnected whether the client had no connection before */
  subscribed(from: MessageOrder["position"], result: Subscribed, reconnected: boolean): void {
    this.isSubscribed = true;
    this.#recovering = reconnected && !!from;
    this.order.apply(from, result);
    this.#notify((subscription) => subscription.confirm());
    this.#applyLive(result);
    this.stale.emit();
    this.settle();
  }

  /** Calls `onRecovered` once no message is missing after a reconnect. */
  settle(): void {
    if (!this.#recovering || this.order.hasGap) return;
    this.#recovering = false;
    this.#notify((subscription) => subscription.recovered());
  }

  #deliver(message: ChannelMessage): void {
    this.#notify((subscription) => subscription.deliver(message));
  }

  /** Skips subscriptions that end meanwhile. */
  #notify(notify: (subscription: OpenSubscription) => void): void {
    for (const subscription of [...this.subscriptions]) if (!subscription.ended) notify(subscription);
  }
}
