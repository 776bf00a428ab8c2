import { type ChannelMessage, LIMITS, utf8Length } from "../protocol/index.ts";
import type { StoredMessage } from "../store/index.ts";

/** A stored message, as clients get it. */
export function channelMessage(channel: string, epoch: string, message: StoredMessage): ChannelMessage {
  const { id, data, at, userId, offset } = message;
  return {
    type: "message",
    id,
    channel,
    data,
    at,
    ...(userId === undefined ? {} : { user: userId }),
    position: { epoch, offset },
  };
}

export function channelMessages(
  channel: string,
  epoch: string,
  messages: readonly StoredMessage[],
): ChannelMessage[] {
  return messages.map((message) => channelMessage(channel, epoch, message));
}

/** The bytes that are left in an answer for what is listed in it. */
export class Space {
  #bytes: number;

  /** @param around what stands in the frame besides */
  constructor(around: unknown) {
    this.#bytes = LIMITS.frameBytes - sizeOf(around);
  }

  get isFull(): boolean {
    return this.#bytes <= 0;
  }

  /** Takes as many of the first as fit. */
  first<T>(items: readonly T[]): readonly T[] {
    const end = items.findIndex((item) => !this.#take(item));
    return end === -1 ? items : items.slice(0, end);
  }

  /** Takes as many of the last as fit. */
  last<T>(items: readonly T[]): readonly T[] {
    const end = items.findLastIndex((item) => !this.#take(item));
    return items.slice(end + 1);
  }

  /** `false`: it does not fit, and nothing after it does. */
  #take(item: unknown): boolean {
    this.#bytes -= sizeOf(item) + 1;
    return this.#bytes >= 0;
  }
}

/** As JSON, in bytes. */
export function sizeOf(value: unknown): number {
  return utf8Length(JSON.stringify(value));
}
