import { utf8Length } from "./json.ts";
import { MAX_CHANNEL_NAME_BYTES } from "./limits.ts";

/** Refuses control characters and, because of the unicode mode, lone surrogates. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
const CHANNEL = /^([a-z][a-z0-9_-]{0,31}):([^\u0000-\u001f\u007f\ud800-\udfff]+)$/u;

/** A channel's name, split at its first colon. */
export interface ChannelName {
  readonly namespace: string;
  readonly name: string;
}

/** Splits a channel's name, `namespace:name`. Returns `undefined` for an invalid name. */
export function parseChannelName(channel: string): ChannelName | undefined {
  const [, namespace = "", name = ""] = CHANNEL.exec(channel) ?? [];
  return name === "" || utf8Length(name) > MAX_CHANNEL_NAME_BYTES ? undefined : { namespace, name };
}
