import type { ChannelMessage, Position } from "../../protocol/index.ts";

/** How many messages wait for a missing one. Later messages are fetched from history with the gap. */
const MAX_BUFFERED = 1_000;

/** The part of a `subscribe` or `history` response that is about message order. */
export interface HistoryPage {
  /** The position of the channel's last message. */
  readonly position?: Position;
  readonly recovered?: boolean;
  readonly messages?: readonly ChannelMessage[];
}

export interface MessageOrderEvents {
  deliver(message: ChannelMessage): void;
  /** Messages after the last delivered one are lost; the channel continues from `position`. */
  lost(position: Position): void;
}

/**
 * Orders one channel's messages by offset. Accepts messages in any order and more than once; delivers each once, after its
 * predecessor. Sends no requests: `repairGap` fetches what is missing.
 */
export class MessageOrder {
  /** The position of the last delivered message; `undefined` before the first response. */
  position: Position | undefined;
  readonly #events: MessageOrderEvents;
  /** By the first offset of each message. */
  readonly #buffer = new Map<number, ChannelMessage>();
  /** The largest known offset of the epoch. */
  #headOffset = 0;
  /** Whether the channel may have messages that are not known here. */
  #isStale = false;

  constructor(events: MessageOrderEvents) {
    this.#events = events;
  }

  /** Whether messages are missing, or may be. */
  get hasGap(): boolean {
    return !!this.position && (this.#isStale || this.#headOffset > this.position.offset);
  }

  /** Adds a message that has arrived. */
  add(message: ChannelMessage): void {
    const at = message.position;
    if (!at || isReached(at, this.position)) return;
    if (this.position) {
      this.#raiseHead(at);
      if (at.epoch !== this.position.epoch) return;
    }
    const { from = at.offset } = message;
    const next = (this.position?.offset ?? 0) + 1;
    // A message that repeats delivered ones leaves a gap: history returns the rest.
    if (from === next || (from > next && this.#buffer.size < MAX_BUFFERED)) this.#buffer.set(from, message);
    else this.#isStale = true;
    this.#flush();
  }

  /** Notes the position of the channel's last message. */
  observeHead(head: Position): void {
    if (!this.position) return;
    this.#raiseHead(head);
    if (head.offset < this.position.offset) this.#isStale = true;
  }

  /** Call before a request that returns missing messages. @returns the position to send */
  startFetch(): Position | undefined {
    this.#isStale = false;
    return this.position;
  }

  /** Call when such a request has failed. */
  markStale(): void {
    this.#isStale = true;
  }

  /** Applies a response. @param from the position that its request sent */
  apply(from: Position | undefined, { position: head, recovered, messages = [] }: HistoryPage): void {
    if (!head) return;
    if (!this.position) {
      const [first] = messages;
      const at = first?.position;
      this.#moveTo(at ? { ...at, offset: (first.from ?? at.offset) - 1 } : head);
      this.#flush();
    } else if (recovered === false) {
      // A loss after another position than the current one does not matter.
      if (isSamePosition(from, this.position)) {
        this.#moveTo(head);
        this.#events.lost(head);
        this.#flush();
      }
      this.#isStale = true;
    }
    for (const message of messages) this.add(message);
    this.#raiseHead(head);
  }

  /** Stops waiting for messages that the server reports but does not return. */
  skipGap(): void {
    this.#isStale = false;
    this.#headOffset = 0;
    this.#buffer.clear();
  }

  /** Another epoch may be newer or older; only the server knows. */
  #raiseHead({ epoch, offset }: Position): void {
    if (epoch === this.position?.epoch) this.#headOffset = Math.max(this.#headOffset, offset);
    else this.#isStale = true;
  }

  #moveTo(position: Position): void {
    this.position = position;
    this.#headOffset = position.offset;
    for (const { position: at } of this.#buffer.values()) {
      if (at?.epoch === position.epoch) this.#raiseHead(at);
    }
    this.#dropReached(position);
  }

  /** A message that repeats delivered ones leaves a gap, because its last offset counts as known. */
  #dropReached({ epoch, offset }: Position): void {
    for (const [first, { position: at }] of this.#buffer) {
      if (first <= offset || at?.epoch !== epoch) this.#buffer.delete(first);
    }
  }

  #flush(): void {
    while (this.position) {
      const message = this.#buffer.get(this.position.offset + 1);
      if (!message?.position) return;
      this.#buffer.delete(this.position.offset + 1);
      this.position = message.position;
      // A message for several offsets replaces the buffered ones among them.
      if (message.from !== undefined) this.#dropReached(message.position);
      this.#events.deliver(message);
    }
  }
}

export function isSamePosition(one: Position | undefined, other: Position | undefined): boolean {
  return one?.epoch === other?.epoch && one?.offset === other?.offset;
}

/** Whether a reader at `than` has the message at `at`. */
export function isReached(at: Position | undefined, than: Position | undefined): boolean {
  return !!at && at.epoch === than?.epoch && at.offset <= than.offset;
}
