import type { GatewayLimits } from "../options.ts";

/** Handles a message, and calls `done` once it is no longer under way. */
export type HandleMessage = (text: string, done: () => void) => void;

/** The socket below: reading stops and goes on. */
export interface PausableSource {
  pause(): void;
  resume(): void;
}

/** So many of one connection begin in a turn of the event loop: some milliseconds of work for a slow handler. */
const MAX_STARTS_PER_TURN = 16;

/**
 * Bounds the messages of one connection that are under way, and those that begin in one turn of the event loop, so
 * that a client that floods waits and the others do not. Past either bound the socket is not read; messages that were
 * read in the same chunk wait here, in order.
 */
export class InboundQueue {
  readonly #limit: number;
  readonly #source: PausableSource;
  readonly #handle: HandleMessage;
  #waiting: string[] = [];
  #underWay = 0;
  #begunInTurn = 0;
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
      this.#begin(text);
      return;
    }
    this.#waiting.push(text);
    if (this.#paused) return;
    this.#paused = true;
    this.#source.pause();
  }

  /** Calls `then` when no message waits any more: at once, or after the last one has begun. */
  whenEmpty(then: () => void): void {
    if (this.#waiting.length === 0) then();
    else this.#onEmpty = then;
  }

  /** Drops what waits. */
  clear(): void {
    this.#waiting = [];
    this.#onEmpty = undefined;
    if (this.#turn) clearImmediate(this.#turn);
    this.#turn = undefined;
  }

  get #isFree(): boolean {
    return this.#underWay < this.#limit && this.#begunInTurn < MAX_STARTS_PER_TURN;
  }

  #begin(text: string): void {
    this.#underWay++;
    this.#begunInTurn++;
    if (this.#begunInTurn >= MAX_STARTS_PER_TURN) this.#schedule();
    this.#handle(text, this.#done);
  }

  readonly #done = (): void => {
    this.#underWay--;
    if (this.#paused) this.#schedule();
  };

  #schedule(): void {
    this.#turn ??= setImmediate(this.#goOn);
  }

  readonly #goOn = (): void => {
    this.#turn = undefined;
    this.#begunInTurn = 0;
    const waiting = this.#waiting;
    let next = 0;
    while (next < waiting.length && this.#isFree) this.#begin(waiting[next++]!);
    // A message may have ended its connection, and cleared this.
    if (waiting !== this.#waiting) return;
    waiting.splice(0, next);
    if (waiting.length > 0) return;
    this.#onEmpty?.();
    if (this.#paused && this.#isFree) {
      this.#paused = false;
      this.#source.resume();
    }
  };
}
