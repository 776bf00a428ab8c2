import { CLIENT_LIMITS } from "./client-limits.ts";
import { utf8Length } from "./json.ts";
import { type Reader, ValidationError } from "./read.ts";

/** Without control characters, and in unicode mode without the half of a pair. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
const CHANNEL = /^([a-z][a-z0-9_-]{0,31}):([^\u0000-\u001f\u007f\ud800-\udfff]+)$/u;

/** What a channel is called, in its two parts. */
export interface ChannelName {
  readonly namespace: string;
  readonly name: string;
}

/** `undefined`: that is no channel's name. */
export function parseChannelName(channel: string): ChannelName | undefined {
  const [, namespace = "", name = ""] = CHANNEL.exec(channel) ?? [];
  return name === "" || utf8Length(name) > CLIENT_LIMITS.channelNameBytes ? undefined : { namespace, name };
}

/** A channel's name, as text. */
export const channel: Reader<string> = (value, path) => {
  if (typeof value === "string" && parseChannelName(value) !== undefined) return value;
  throw new ValidationError(path, "must be a channel, namespace:name");
};
