import type { ChannelMessage, Json, Subscribed } from "../../protocol/index.ts";
import type { PushedMessage } from "../connection/session.ts";
import { Emitter } from "../emitter.ts";
import type { ClientError } from "../errors.ts";
import { LiveStreamState } from "./live-stream-state.ts";
import { LruMap } from "./lru-map.ts";
import { MessageOrder } from "./message-order.ts";
import { historyLost, type OpenSubscription } from "./subscription.ts";

/** One channel, whoever listens to it in this client. */
export class Channel {
  readonly name: string;
  readonly order: MessageOrder;
  readonly subscriptions = new Set<OpenSubscription>();
  /** What was told of who is there may not be all: the server has just taken it, or it is time to look again. */
  readonly presenceStale = new Emitter<void>();
  readonly live = new LiveStreamState();
  #liveAnswered = this.live.startFetch();
  /** Ids of what has no position. */
  readonly #seen = new LruMap<true>();
  /** What is asked for the first time. */
  readonly recent: number;
  /** What the user shows of themself. */
  state: Json | undefined;
  /** How often they have shown something else. */
  stateVersion = 0;
  /** The server has answered for it. */
  isSubscribed = false;
  /** Somebody asks for what is missing. */
  isRepairing = false;
  /** It comes back after a time without a connection. */
  #recovering = false;

  /** @param unheard told what no subscription takes */
  constructor(name: string, recent: number, unheard: (error: ClientError) => void) {
    this.name = name;
    this.recent = recent;
    this.order = new MessageOrder({
      deliver: (message) => this.#handOn(message),
      lost: (position) => {
        this.#recovering = false;
        this.#tell((subscription) => {
          if (!subscription.lost(position)) unheard(historyLost(name, position));
        });
      },
    });
  }

  setState(state: Json | undefined): void {
    this.state = state;
    this.stateVersion++;
  }

  /** It is about to be asked for. */
  startFetch(): MessageOrder["position"] {
    this.#liveAnswered = this.live.startFetch();
    return this.order.startFetch();
  }

  receive(message: PushedMessage): void {
    if (message.type === "message" && message.position) {
      this.order.add(message);
      return;
    }
    if (this.#seen.has(message.id)) return;
    this.#seen.set(message.id, true);
    if (message.type === "message") this.#handOn(message);
    else if (message.type === "presence") this.#tell((subscription) => subscription.presence(message));
    else this.live.apply(message);
  }

  /** @param back after a time without a connection */
  applySubscribed(asked: MessageOrder["position"], answer: Subscribed, back: boolean): void {
    this.isSubscribed = true;
    this.#recovering = back && !!asked;
    this.order.applyPage(asked, answer);
    this.#tell((subscription) => subscription.confirm());
    this.#liveAnswered(answer);
    this.presenceStale.emit();
    this.reportRecovered();
  }

  /** Tells that nothing is missing any more, if it was. */
  reportRecovered(): void {
    if (!this.#recovering || this.order.hasGap) return;
    this.#recovering = false;
    this.#tell((subscription) => subscription.recovered());
  }

  #handOn(message: ChannelMessage): void {
    this.#tell((subscription) => subscription.deliver(message));
  }

  /** Who ends meanwhile is told nothing more. */
  #tell(what: (subscription: OpenSubscription) => void): void {
    for (const subscription of [...this.subscriptions]) if (!subscription.ended) what(subscription);
  }
}
