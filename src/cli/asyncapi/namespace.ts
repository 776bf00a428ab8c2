import { channelJsonSchema, type JsonSchemaOptions } from "../../protocol/index.ts";
import type { NamespaceDescription } from "../../streamer/index.ts";
import { type ChannelAction, channelExchanges, channelPushes, type PushType } from "./channel-frames.ts";
import { Definitions } from "./definitions.ts";
import { DocumentChannel } from "./document-channel.ts";
import { convert, type Side } from "./json-schema.ts";

/**
 * The schemas of a namespace's channels and payloads.
 * @param missing gets a line for each side of a validator that has no JSON Schema
 */
export function namespaceSchemas(
  name: string,
  { schema, stateSchema }: NamespaceDescription,
  definitions: Definitions,
  missing: string[],
): JsonSchemaOptions {
  const define = (validator: NamespaceDescription["schema"], side: Side, payload: string) => {
    const definition = `${name}.${payload}`;
    const converted = convert(validator, side, definition);
    if (converted.missing !== undefined) missing.push(`${definition} is any JSON: ${converted.missing}`);
    return validator === undefined ? converted.schema : definitions.define(definition, converted.schema);
  };
  return {
    channel: channelJsonSchema([name]),
    slots: {
      dataInput: define(schema, "input", "published"),
      data: define(schema, "output", "data"),
      stateInput: define(stateSchema, "input", "shown"),
      state: define(stateSchema, "output", "state"),
    },
    pointer: Definitions.pointer,
  };
}

/** The document's channel for a namespace. Leaves out every action that the namespace always refuses. */
export function namespaceChannel(
  name: string,
  namespace: NamespaceDescription,
  options: JsonSchemaOptions,
): DocumentChannel {
  const { presence, live, retention, maxBytes, maxBlobBytes } = namespace;
  const subscribes = namespace.subscribe.length > 0;
  const publishes = namespace.publish.length > 0;
  const channel = new DocumentChannel(name, {
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
  const accepted: { readonly [Name in ChannelAction]: boolean } = {
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
  const sent: { readonly [Type in PushType]: boolean } = {
    message: subscribes,
    presence: subscribes && presence,
    stream_started: subscribes && isLive,
    stream_ended: subscribes && isLive,
    viewers: subscribes && isLive,
  };
  for (const [action, exchange] of channelExchanges(options)) {
    if (accepted[action]) channel.addExchange(action, exchange);
  }
  const pushes = channelPushes(options).filter(([type]) => sent[type]);
  if (pushes.length > 0) channel.addPushes("events", "Messages that members get without a request.", pushes);
  return channel;
}

function describe(subscribes: boolean, publishes: boolean): string {
  if (subscribes) {
    return publishes ? "Clients subscribe and publish." : "Clients subscribe, and the server publishes.";
  }
  return publishes ? "Clients publish, and none may subscribe." : "No client may subscribe or publish.";
}
