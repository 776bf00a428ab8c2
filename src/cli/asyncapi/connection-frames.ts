import {
  type Action,
  CHANNEL_REQUEST,
  channelJsonSchema,
  type JsonSchema,
  type JsonSchemaOptions,
  LEGACY_DATA,
  type LegacyMessage,
  MAX_CLIENT_FRAME_BYTES,
  SUBSCRIBED,
  toJsonSchema,
} from "../../protocol/index.ts";
import type { ChannelAction } from "./channel-frames.ts";
import { type Exchange, requestFrame, toExchange, toResponse } from "./exchange.ts";

export type ConnectionAction = Exclude<Action, ChannelAction>;

const SUMMARIES = {
  subscribe: "Subscribes to channels, and asks for missed messages of those that come with a position.",
  unsubscribe: "Leaves channels.",
  heartbeat: "Keeps an idle connection open, and asks which channels have newer messages.",
  refresh: "Replaces the connection's token. A token of another user or tenant closes the connection.",
  request: "Reads the state of a long request, with its progress, and its result or error.",
  result: "Reads a piece of a result that is larger than a frame, or the URL of one in the blob store.",
  requests: "Lists the user's own long requests, the newest first.",
  cancel: "Cancels a long request.",
  resend: "Sends a call again that had no answer. It gets the answer of the call.",
  part: `Sends a chunk of a message of more than ${MAX_CLIENT_FRAME_BYTES} bytes. The whole message gets the response.`,
} as const satisfies { readonly [Name in ConnectionAction]?: string };

/**
 * The requests that clients send about their connection, and about several channels at once.
 * @param namespaces the namespaces that clients can subscribe to
 * @param options for channels of any namespace
 */
export function connectionExchanges(
  namespaces: readonly JsonSchemaOptions[],
  options: JsonSchemaOptions,
): [ConnectionAction, Exchange][] {
  // Each namespace has payloads of its own, so each channel in a list matches the schema of its namespace.
  const replace = new Map(
    [CHANNEL_REQUEST, SUBSCRIBED].map((schema) => [
      schema,
      anyOf(namespaces.map((namespace) => toJsonSchema(schema, namespace))),
    ]),
  );
  const exchanges = Object.entries(SUMMARIES).map(([name, summary]): [ConnectionAction, Exchange] => {
    const action = name as keyof typeof SUMMARIES;
    return [action, toExchange(action, summary, { ...options, replace })];
  });
  return [...exchanges, ["message", legacyExchange(options)]];
}

function anyOf(schemas: readonly JsonSchema[]): JsonSchema {
  return schemas.length === 1 ? schemas[0]! : { anyOf: schemas };
}

/** Describes `message`, the request of legacy clients: its fields are beside `action`, and the channel is in `data`. */
function legacyExchange(options: JsonSchemaOptions): Exchange {
  const frame = (types: readonly LegacyMessage["type"][], channel: JsonSchema) => {
    const fields = {
      type: { type: "string", enum: types },
      data: toJsonSchema(LEGACY_DATA, { ...options, channel }),
    };
    return requestFrame("message", fields, ["type", "data"], options);
  };
  return {
    summary: "Publishes all of `data`, or sets the user's state: the request of legacy clients.",
    request: {
      anyOf: [frame(["chat", "presence"], options.channel), frame(["stream"], channelJsonSchema(["stream"]))],
    },
    response: toResponse("message", options),
  };
}
