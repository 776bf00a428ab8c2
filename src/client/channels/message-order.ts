import type { ChannelMessage, Position } from "../../protocol/index.ts";

/** How many messages wait for those before them; what comes beyond is fetched with the gap. */
const HELD_MAX = 1_000;

/** What an answer says of a channel: that of `subscribe`, or of `history`. */
export interface HistoryPage {
  /** Of the last message. */
  readonly position?: Position;
  readonly recovered?: boolean;
  readonly messages?: readonly ChannelMessage[];
}

export interface MessageOrderEvents {
  deliver(message: ChannelMessage): void;
  /** What followed the last message can't be had any more; it goes on from here. */
  lost(position: Position): void;
}

/**
 * One channel's messages, put in order by their offsets: from anywhere, in any order, as often as they like to come;
 * each is handed on once, behind its predecessor. It only judges: who asks for what is missing is not its business.
 */
export class MessageOrder {
  /** Of the last message handed on; `undefined` until the first answer. */
  position: Position | undefined;
  readonly #events: MessageOrderEvents;
  readonly #held = new Map<number, ChannelMessage>();
  /** The largest offset of the epoch that is known to exist. */
  #target = 0;
  /** What is there is not known: it has to be asked for. */
  #doubtful = false;

  constructor(events: MessageOrderEvents) {
    this.#events = events;
  }

  /** Something is missing. */
  get hasGap(): boolean {
    return !!this.position && (this.#doubtful || this.#target > this.position.offset);
  }

  /** A message that has arrived. */
  add(message: ChannelMessage): void {
    const at = message.position;
    if (!at || isReached(at, this.position)) return;
    // Another epoch may be the next or the last one: the server knows.
    if (this.position && at.epoch !== this.position.epoch) {
      this.#doubtful = true;
      return;
    }
    if (this.position) this.#target = Math.max(this.#target, at.offset);
    const next = at.offset === (this.position?.offset ?? 0) + 1;
    if (next || this.#held.size < HELD_MAX) this.#held.set(at.offset, message);
    else this.#doubtful = true;
    this.#release();
  }

  /** The channel's last message is said to be here. */
  observeHead(head: Position): void {
    if (!this.position) return;
    if (head.epoch === this.position.epoch) this.#target = Math.max(this.#target, head.offset);
    if (!isSamePosition(head, this.position)) this.#doubtful = true;
  }

  /** From here on an answer will say what is missing. @returns what to ask with */
  startFetch(): Position | undefined {
    this.#doubtful = false;
    return this.position;
  }

  /** The answer has not come. */
  markStale(): void {
    this.#doubtful = true;
  }

  /** An answer has come. @param asked the position that was asked with */
  applyPage(asked: Position | undefined, { position: head, recovered, messages = [] }: HistoryPage): void {
    if (!head) return;
    if (!this.position) {
      const first = messages[0]?.position;
      this.#goTo(first ? { epoch: first.epoch, offset: first.offset - 1 } : head);
      this.#release();
    } else if (recovered === false) {
      // What is behind another position than the one it has by now is of no concern.
      if (isSamePosition(asked, this.position)) this.#lose(head);
      this.#doubtful = true;
    }
    for (const message of messages) this.add(message);
    if (head.epoch === this.position?.epoch) this.#target = Math.max(this.#target, head.offset);
    else this.#doubtful = true;
  }

  /** What is known to be there can't be had though the server says that nothing is lost: stops asking for it. */
  abandonGap(): void {
    this.#doubtful = false;
    this.#target = 0;
    this.#held.clear();
  }

  #lose(position: Position): void {
    this.#goTo(position);
    this.#events.lost(position);
    this.#release();
  }

  #goTo(position: Position): void {
    this.position = position;
    this.#target = position.offset;
    for (const [offset, { position: at }] of this.#held) {
      if (at?.epoch !== position.epoch || offset <= position.offset) this.#held.delete(offset);
      else this.#target = Math.max(this.#target, offset);
    }
  }

  #release(): void {
    while (this.position) {
      const message = this.#held.get(this.position.offset + 1);
      if (!message?.position) return;
      this.#held.delete(message.position.offset);
      this.position = message.position;
      this.#events.deliver(message);
    }
  }
}

export function isSamePosition(one: Position | undefined, other: Position | undefined): boolean {
  return one?.epoch === other?.epoch && one?.offset === other?.offset;
}

/** Whether somebody who is at `than` has it. */
export function isReached(at: Position | undefined, than: Position | undefined): boolean {
  return !!at && at.epoch === than?.epoch && at.offset <= than.offset;
}
