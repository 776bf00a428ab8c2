import type { NamespaceDescription } from "../../streamer/index.ts";
import { type ChannelAction, channelExchanges, type PushType, pushes } from "./channel-frames.ts";
import { DocumentChannel } from "./document-channel.ts";
import { convert, type Side } from "./json-schema.ts";
import { type CommonSchemas, channelOf, type PayloadSchemas } from "./payload-schemas.ts";
import type { Definitions } from "./schema.ts";

/** @param missing gets a line for each side of a validator that gives no JSON Schema */
export function carriedBy(
  name: string,
  { schema, stateSchema }: NamespaceDescription,
  definitions: Definitions,
  missing: string[],
): PayloadSchemas {
  const define = (validator: NamespaceDescription["schema"], side: Side, what: string) => {
    const full = `${name}.${what}`;
    const converted = convert(validator, side, full);
    if (converted.missing !== undefined) missing.push(`${full} is any JSON: ${converted.missing}`);
    return validator === undefined ? converted.schema : definitions.define(full, converted.schema);
  };
  return {
    channel: channelOf([name]),
    published: define(schema, "input", "published"),
    data: define(schema, "output", "data"),
    shown: define(stateSchema, "input", "shown"),
    state: define(stateSchema, "output", "state"),
  };
}

/** What clients can do in a namespace's channels: what is always refused there is left out. */
export function namespacePart(
  name: string,
  namespace: NamespaceDescription,
  carried: PayloadSchemas,
  common: CommonSchemas,
): DocumentChannel {
  const { presence, live, retention, maxBytes, maxBlobBytes } = namespace;
  const subscribes = namespace.subscribe.length > 0;
  const publishes = namespace.publish.length > 0;
  const part = new DocumentChannel(name, {
    title: `${name}:{name}`,
    description: describe(subscribes, publishes),
    "x-streamer": {
      channel: `${name}:{name}`,
      delivery: retention === undefined ? "at-most-once" : "at-least-once",
      ...(retention && { history: retention }),
      presence,
      live: live ?? false,
      maxBytes,
      maxBlobBytes,
    },
  });
  const isLive = live !== undefined;
  const hasBlobs = maxBlobBytes > 0;
  const taken: { readonly [Name in ChannelAction]: boolean } = {
    publish: publishes,
    history: subscribes && retention !== undefined,
    presence: subscribes && presence,
    set_presence: subscribes && presence,
    stream_start: publishes && isLive,
    stream_end: publishes && isLive,
    stream: subscribes && isLive,
    upload: publishes && hasBlobs,
    download: subscribes && hasBlobs,
  };
  const pushed: { readonly [Type in PushType]: boolean } = {
    message: subscribes,
    presence: subscribes && presence,
    stream_started: subscribes && isLive,
    stream_ended: subscribes && isLive,
    viewers: subscribes && isLive,
  };
  for (const [action, exchange] of Object.entries(channelExchanges(carried, common))) {
    if (taken[action as ChannelAction]) part.receives(action, exchange);
  }
  const events = Object.entries(pushes(carried, common)).filter(([type]) => pushed[type as PushType]);
  if (events.length > 0) part.sends("events", "What members get without asking.", events);
  return part;
}

function describe(subscribes: boolean, publishes: boolean): string {
  if (subscribes)
    return publishes ? "Clients subscribe and publish." : "Clients subscribe, and the server publishes.";
  return publishes ? "Clients publish, and none may subscribe." : "No client may subscribe or publish.";
}
