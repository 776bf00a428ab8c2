import {
  type Action,
  type JsonSchema,
  type JsonSchemaOptions,
  SERVER_MESSAGES,
  type ServerMessage,
  toJsonSchema,
} from "../../protocol/index.ts";
import { type Exchange, toExchange } from "./exchange.ts";

/** Each action about one channel. Other actions are about the connection, or about several channels. */
const CHANNEL_ACTIONS = {
  publish: "Publishes. The response comes when the message is stored, or sent where nothing is stored.",
  history: "Reads the channel's history: after a position, before an offset, or the newest messages.",
  presence: "Lists the channel's users, each once. `after` asks for the next page.",
  set_presence: "Sets the user's presence state in a channel that it is in; without a state, clears it.",
  stream_start: "Starts the user's live stream in the channel, or changes its data.",
  stream_end: "Ends the user's live stream.",
  stream: "Reads the channel's live stream.",
  upload: "Asks for the URL and headers to upload a blob with HTTP PUT, for data too large for a message.",
  download: "Asks for the URL to download a blob of the channel with HTTP GET.",
} as const satisfies { readonly [Name in Action]?: string };

export type ChannelAction = keyof typeof CHANNEL_ACTIONS;

/** The messages that members of a channel get without a request. */
const PUSHES = {
  message: "A client or the server published a message.",
  presence: "A user joined, left, or changed its state. Once per user, however many tabs are open.",
  stream_started: "A live stream started, or its data changed.",
  stream_ended: "The live stream ended.",
  viewers: "The number of connections in the channel, during a live stream.",
} as const satisfies { readonly [Type in ServerMessage["type"]]?: string };

export type PushType = keyof typeof PUSHES;

export interface Push {
  readonly summary: string;
  readonly frame: JsonSchema;
}

/** The requests that clients send about a channel of one namespace. */
export function channelExchanges(options: JsonSchemaOptions): [ChannelAction, Exchange][] {
  return entriesOf(CHANNEL_ACTIONS).map(([action, summary]) => [
    action,
    toExchange(action, summary, options),
  ]);
}

/** The messages that members of a channel of one namespace get without a request. */
export function channelPushes(options: JsonSchemaOptions): [PushType, Push][] {
  return entriesOf(PUSHES).map(([type, summary]) => [
    type,
    { summary, frame: toJsonSchema(SERVER_MESSAGES[type], options) },
  ]);
}

function entriesOf<Key extends string>(object: { readonly [Name in Key]: string }): [Key, string][] {
  return Object.entries(object) as [Key, string][];
}
