import type { GatewayLimits } from "../options.ts";

/** Handles a message, and calls `done` when that has ended. */
export type HandleMessage = (text: string, done: () => void) => void;

/** A socket whose reading can be paused. */
export interface PausableSource {
  pause(): void;
  resume(): void;
}

/** Messages of one connection that start in one turn of the event loop: a few milliseconds of work in a slow handler. */
const MAX_STARTS_PER_TURN = 16;

/**
 * The inbound messages of one connection. Limits how many are handled at once and how many start in one turn of the event
 * loop, so that a flooding client delays only itself. At either limit the socket is not read, and messages that were
 * already read wait here in order.
 */
export class InboundQueue {
  readonly #limit: number;
  readonly #source: PausableSource;
  readonly #handle: HandleMessage;
  #waiting: string[] = [];
  #running = 0;
  #startedInTurn = 0;
  #paused = false;
  #turn: NodeJS.Immediate | undefined;
  #onEmpty: (() => void) | undefined;

  constructor(
    { messagesInFlight }: Pick<GatewayLimits, "messagesInFlight">,
    source: PausableSource,
    handle: HandleMessage,
  ) {
    this.#limit = messagesInFlight;
    this.#source = source;
    this.#handle = handle;
  }

  push(text: string): void {
    if (this.#isFree && this.#waiting.length === 0) {
      this.#start(text);
      return;
    }
    this.#waiting.push(text);
    if (this.#paused) return;
    this.#paused = true;
    this.#source.pause();
  }

  /** Calls `then` when the queue is empty: now, or when the last message has started. */
  whenEmpty(then: () => void): void {
    if (this.#waiting.length === 0) then();
    else this.#onEmpty = then;
  }

  /** Drops the waiting messages. */
  clear(): void {
    this.#waiting = [];
    this.#onEmpty = undefined;
    if (this.#turn) clearImmediate(this.#turn);
    this.#turn = undefined;
  }

  get #isFree(): boolean {
    return this.#running < this.#limit && this.#startedInTurn < MAX_STARTS_PER_TURN;
  }

  #start(text: string): void {
    this.#running++;
    this.#startedInTurn++;
    if (this.#startedInTurn >= MAX_STARTS_PER_TURN) this.#schedule();
    this.#handle(text, this.#done);
  }

  readonly #done = (): void => {
    this.#running--;
    if (this.#paused) this.#schedule();
  };

  #schedule(): void {
    this.#turn ??= setImmediate(this.#resume);
  }

  readonly #resume = (): void => {
    this.#turn = undefined;
    this.#startedInTurn = 0;
    const waiting = this.#waiting;
    let next = 0;
    while (next < waiting.length && this.#isFree) {
      this.#start(waiting[next++]!);
      // The message may have closed the connection, and so have cleared the queue.
      if (waiting !== this.#waiting) return;
    }
    waiting.splice(0, next);
    if (waiting.length > 0) return;
    this.#onEmpty?.();
    if (this.#paused && this.#isFree) {
      this.#paused = false;
      this.#source.resume();
    }
  };
}
