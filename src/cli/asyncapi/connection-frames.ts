import {
  type Action,
  type ChannelRequest,
  type HeartbeatResult,
  type LegacyMessage,
  LIMITS,
  type Payloads,
  type Refused,
  type Results,
  type Subscribed,
} from "../../protocol/index.ts";
import type { ChannelAction } from "./channel-frames.ts";
import { type Exchange, exchange, response } from "./exchange.ts";
import {
  type CommonSchemas,
  channelMessage,
  channelOf,
  id,
  type PayloadSchemas,
  time,
} from "./payload-schemas.ts";
import {
  type AnySchema,
  anyOf,
  boolean,
  constant,
  described,
  either,
  integer,
  json,
  keyed,
  list,
  nothing,
  object,
  oneOf,
  optional,
  type Schema,
  shortText,
  text,
} from "./schema.ts";

export type ConnectionAction = Exclude<Action, ChannelAction>;

/**
 * What clients ask about their connection, and about several channels at once.
 * @param namespaces those that clients can subscribe to
 * @param channel of any namespace
 */
export function connectionExchanges(
  namespaces: readonly PayloadSchemas[],
  channel: Schema<string>,
  common: CommonSchemas,
): { readonly [Name in ConnectionAction]: Exchange } {
  const { position, publishResult, errorBody } = common;
  const requests = namespaces.map((carried) => channelRequest(carried, common));
  const subscribed = namespaces.map((carried) => subscribedTo(carried, common));
  const refused = object<Refused>({ channel: text, error: errorBody });
  return {
    subscribe: exchange(
      "subscribe",
      "Asks for channels, and for what was missed in those that come with a position.",
      object<Payloads["subscribe"]>({ channels: list(anyOf(requests), 1, LIMITS.channels) }),
      object<Results["subscribe"]>({ channels: list(either(anyOf(subscribed), refused)) }),
    ),
    unsubscribe: exchange(
      "unsubscribe",
      "Leaves channels.",
      object<Payloads["unsubscribe"]>({ channels: list(channel, 1, LIMITS.channels) }),
      nothing,
    ),
    heartbeat: exchange(
      "heartbeat",
      "Keeps an idle connection open, and asks which of the channels are elsewhere by now.",
      object<Payloads["heartbeat"]>({ positions: optional(keyed(channel, position, LIMITS.channels)) }),
      object<HeartbeatResult>({ heads: keyed(text, position) }),
    ),
    refresh: exchange(
      "refresh",
      "A new token for the connection, of the same user and tenant: another's closes it.",
      object<Payloads["refresh"]>({ token: shortText(1, LIMITS.tokenBytes) }),
      object<Results["refresh"]>({ expiresAt: optional(time) }),
    ),
    part: exchange(
      "part",
      `Part of a message of more than ${LIMITS.clientFrameBytes} bytes, which is answered when it is whole, by its own response.`,
      object<Payloads["part"]>({
        message: described("Larger than that of the connection's messages in parts before it", integer(1)),
        index: described("From 0, and less than count", integer(0, LIMITS.parts - 1)),
        count: integer(2, LIMITS.parts),
        text: shortText(1, LIMITS.clientFrameBytes),
      }),
    ),
    message: {
      summary: "As Streamer's first clients publish, and set what the user shows; all of data is published.",
      request: legacy(channel),
      response: response<"message">(either(publishResult, nothing)),
    },
  };
}

function channelRequest(
  { channel, shown }: PayloadSchemas,
  { position }: CommonSchemas,
): Schema<ChannelRequest> {
  return object<ChannelRequest>({
    channel,
    position: optional(described("The last that the client has", position)),
    recent: optional(integer(0, LIMITS.messages)),
    state: optional(shown),
  });
}

function subscribedTo(carried: PayloadSchemas, { position, live }: CommonSchemas): Schema<Subscribed> {
  return object<Subscribed>({
    channel: carried.channel,
    position: optional(described("Of the channel's last message", position)),
    recovered: optional(described("Whether the messages are all that was missed", boolean)),
    messages: optional(list(channelMessage(carried, position))),
    more: optional(described("The rest by history, after the last of them", boolean)),
    live: optional(live),
  });
}

/** It has its fields beside the action, and the channel among the data. */
function legacy(channel: Schema<string>): AnySchema {
  const frame = (type: Schema<LegacyMessage["type"]>, to: Schema<string>): AnySchema => ({
    type: "object",
    properties: {
      id,
      action: constant("message" satisfies Action),
      type,
      data: { type: "object", properties: { channel: to, state: json }, required: ["channel"] },
    },
    required: ["action", "type", "data"],
  });
  const streams = frame(oneOf<LegacyMessage["type"]>("stream"), channelOf(["stream"]));
  return { anyOf: [frame(oneOf<LegacyMessage["type"]>("chat", "presence"), channel), streams] };
}
