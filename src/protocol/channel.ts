import { LONE_SURROGATE, utf8Length } from "./json.ts";
import { LIMITS } from "./limits.ts";
import { Misfit, type Reader } from "./read.ts";

const NAMESPACE = /^[a-z][a-z0-9_-]{0,31}$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
const CONTROL = /[\u0000-\u001f\u007f]/;

/** What a channel is called, in its two parts. */
export interface ChannelName {
  readonly namespace: string;
  readonly name: string;
}

/** `undefined`: that is no channel's name. */
export function parseChannel(channel: string): ChannelName | undefined {
  const colon = channel.indexOf(":");
  const namespace = channel.slice(0, Math.max(colon, 0));
  const name = channel.slice(colon + 1);
  if (colon === -1 || name === "" || !NAMESPACE.test(namespace)) return undefined;
  if (name.length > LIMITS.channelNameBytes || utf8Length(name) > LIMITS.channelNameBytes) return undefined;
  return CONTROL.test(name) || LONE_SURROGATE.test(name) ? undefined : { namespace, name };
}

/** A channel's name, as text. */
export const channel: Reader<string> = (value, path) => {
  if (typeof value === "string" && parseChannel(value) !== undefined) return value;
  throw new Misfit(path, "must be a channel, namespace:name");
};
