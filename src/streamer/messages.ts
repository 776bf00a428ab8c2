import { type ChannelMessage, utf8Length } from "../protocol/index.ts";
import type { StoredMessage } from "../store/index.ts";
import { firstOffsetOf } from "./readable-history.ts";

/** Converts a stored message to the form that clients receive. */
export function toChannelMessage(channel: string, epoch: string, message: StoredMessage): ChannelMessage {
  const { id, data, at, userId, offset } = message;
  return {
    type: "message",
    id,
    channel,
    data,
    at,
    ...(userId === undefined ? {} : { user: userId }),
    position: { epoch, offset },
    ...(firstOffsetOf(message) === offset ? {} : { from: firstOffsetOf(message) }),
  };
}

export function toChannelMessages(
  channel: string,
  epoch: string,
  messages: readonly StoredMessage[],
): ChannelMessage[] {
  return messages.map((message) => toChannelMessage(channel, epoch, message));
}

/** Returns the size of a value as JSON, in bytes of UTF-8. */
export function jsonBytes(value: unknown): number {
  return utf8Length(JSON.stringify(value));
}
