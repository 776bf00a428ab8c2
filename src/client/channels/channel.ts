import type { ChannelMessage, Json, Subscribed } from "../../protocol/index.ts";
import type { PushedMessage } from "../connection/session.ts";
import { Emitter } from "../emitter.ts";
import type { ClientError } from "../errors.ts";
import { Live } from "./live.ts";
import { Recent } from "./lru-set.ts";
import { Sequence } from "./message-order.ts";
import { historyLost, type OpenSubscription } from "./subscription.ts";

/** One channel, whoever listens to it in this client. */
export class Channel {
  readonly name: string;
  readonly sequence: Sequence;
  readonly subscriptions = new Set<OpenSubscription>();
  /** What was told of who is there may not be all: the server has just taken it, or it is time to look again. */
  readonly stale = new Emitter<void>();
  readonly live = new Live();
  #liveAnswered = this.live.asking();
  /** Ids of what has no position. */
  readonly #seen = new Recent<true>();
  /** What is asked for the first time. */
  readonly recent: number;
  /** What the user shows of themself. */
  state: Json | undefined;
  /** How often they have shown something else. */
  shows = 0;
  /** The server has answered for it. */
  taken = false;
  /** Somebody asks for what is missing. */
  repairing = false;
  /** It comes back after a time without a connection. */
  #recovering = false;

  /** @param unheard told what no subscription takes */
  constructor(name: string, recent: number, unheard: (error: ClientError) => void) {
    this.name = name;
    this.recent = recent;
    this.sequence = new Sequence({
      handOn: (message) => this.#handOn(message),
      lost: (position) => {
        this.#recovering = false;
        this.#tell((subscription) => {
          if (!subscription.lost(position)) unheard(historyLost(name, position));
        });
      },
    });
  }

  show(state: Json | undefined): void {
    this.state = state;
    this.shows++;
  }

  /** It is about to be asked for. */
  asking(): Sequence["position"] {
    this.#liveAnswered = this.live.asking();
    return this.sequence.asking();
  }

  take(message: PushedMessage): void {
    if (message.type === "message" && message.position) {
      this.sequence.take(message);
      return;
    }
    if (this.#seen.has(message.id)) return;
    this.#seen.set(message.id, true);
    if (message.type === "message") this.#handOn(message);
    else if (message.type === "presence") this.#tell((subscription) => subscription.presence(message));
    else this.live.take(message);
  }

  /** @param back after a time without a connection */
  answered(asked: Sequence["position"], answer: Subscribed, back: boolean): void {
    this.taken = true;
    this.#recovering = back && !!asked;
    this.sequence.read(asked, answer);
    this.#tell((subscription) => subscription.taken());
    this.#liveAnswered(answer);
    this.stale.emit();
    this.settled();
  }

  /** Tells that nothing is missing any more, if it was. */
  settled(): void {
    if (!this.#recovering || this.sequence.behind) return;
    this.#recovering = false;
    this.#tell((subscription) => subscription.recovered());
  }

  #handOn(message: ChannelMessage): void {
    this.#tell((subscription) => subscription.message(message));
  }

  /** Who ends meanwhile is told nothing more. */
  #tell(what: (subscription: OpenSubscription) => void): void {
    for (const subscription of [...this.subscriptions]) if (!subscription.ended) what(subscription);
  }
}
