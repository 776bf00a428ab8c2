import {
  channelJsonSchema,
  type JsonSchema,
  type JsonSchemaOptions,
  SERVER_MESSAGES,
  toJsonSchema,
} from "../../protocol/index.ts";
import type { StreamerDescription } from "../../streamer/index.ts";
import { callsChannel } from "./calls.ts";
import { type ConnectionAction, connectionExchanges } from "./connection-frames.ts";
import { Definitions } from "./definitions.ts";
import { CORRELATION_IDS, DocumentChannel } from "./document-channel.ts";
import { namespaceChannel, namespaceSchemas } from "./namespace.ts";

export interface DocumentOptions {
  readonly title: string;
  readonly version: string;
  readonly description?: string | undefined;
  /** Where clients connect, with the stage. */
  readonly url: URL;
}

/** JSON. Only the fields that tests read have types. */
export interface AsyncApiDocument {
  readonly asyncapi: "3.0.0";
  readonly info: object;
  readonly defaultContentType: string;
  readonly servers: object;
  readonly channels: { readonly [key: string]: object };
  readonly operations: { readonly [key: string]: object };
  readonly components: {
    readonly schemas: { readonly [name: string]: JsonSchema };
    readonly [kind: string]: object;
  };
}

export interface AsyncApiResult {
  readonly document: AsyncApiDocument;
  /** A line for each side of a validator that has no JSON Schema. */
  readonly missing: readonly string[];
}

/** The document's channel for messages about no namespace. Namespaces have no capital letters. */
const CONNECTION = "webSocket";

const INTRODUCTION = `Clients speak Streamer's protocol, version 1, over one WebSocket. Each message here is one text frame.
The channel ${CONNECTION} has the messages about the connection; each other channel has the messages of a namespace. The
\`channel\` field of a message names the channel it is about. A response or an error answers a request, with the
request's \`id\` as \`request_id\`. A receiver ignores unknown fields and types.`;

/** Where a client sends its token. A browser cannot set headers. */
const SECURITY_SCHEMES = {
  query: { type: "httpApiKey", in: "query", name: "token" },
  header: { type: "http", scheme: "bearer" },
};

/** Builds an AsyncAPI 3 document of a Streamer, from the server's side: it receives the clients' requests. */
export function asyncApiDocument(
  { namespaces, requests, auth }: StreamerDescription,
  { title, version, description, url }: DocumentOptions,
): AsyncApiResult {
  const definitions = new Definitions();
  const missing: string[] = [];
  const described = [...namespaces].map(([name, namespace]) => ({
    name,
    namespace,
    schemas: namespaceSchemas(name, namespace, definitions, missing),
  }));
  const subscribable = described.filter(({ namespace }) => namespace.subscribe.length > 0);
  const anyChannel = channelJsonSchema([...namespaces.keys()]);
  const channels = [
    connectionChannel(
      subscribable.map(({ schemas }) => schemas),
      anyChannel,
      { auth, requests: [...requests.values()].some(({ isStored }) => isStored) },
    ),
    ...described.map(({ name, namespace, schemas }) => namespaceChannel(name, namespace, schemas)),
    ...(requests.size > 0 ? [callsChannel(requests, definitions, missing)] : []),
  ];
  const document: AsyncApiDocument = {
    asyncapi: "3.0.0",
    info: { title, version, description: [description, INTRODUCTION].filter(Boolean).join("\n\n") },
    defaultContentType: "application/json",
    servers: { server: serverAt(url, auth) },
    channels: Object.fromEntries(channels.map(({ key, channel }) => [key, channel])),
    operations: Object.fromEntries(channels.flatMap(({ operations }) => operations)),
    components: {
      schemas: definitions.all,
      correlationIds: CORRELATION_IDS,
      ...(auth && { securitySchemes: SECURITY_SCHEMES }),
    },
  };
  return { document, missing };
}

function serverAt(url: URL, auth: boolean): object {
  const security = Object.keys(SECURITY_SCHEMES).map((name) => ({
    $ref: `#/components/securitySchemes/${name}`,
  }));
  return {
    host: url.host,
    ...(url.pathname !== "/" && { pathname: url.pathname }),
    protocol: url.protocol.replace(":", ""),
    ...(auth && { security }),
  };
}

/** @param subscribable the schemas of the namespaces that clients can subscribe to */
function connectionChannel(
  subscribable: readonly JsonSchemaOptions[],
  anyChannel: JsonSchema,
  { auth, requests }: { readonly auth: boolean; readonly requests: boolean },
): DocumentChannel {
  const options = { channel: anyChannel, pointer: Definitions.pointer };
  const channel = new DocumentChannel(CONNECTION, {
    title: "The connection",
    description: "Messages about the connection, or about several channels at once.",
  });
  const accepted: { readonly [Name in ConnectionAction]: boolean } = {
    subscribe: subscribable.length > 0,
    unsubscribe: subscribable.length > 0,
    heartbeat: true,
    refresh: auth,
    request: requests,
    result: requests,
    requests,
    cancel: requests,
    resend: requests,
    part: true,
    message: true,
  };
  for (const [action, exchange] of connectionExchanges(subscribable, options)) {
    if (accepted[action]) channel.addExchange(action, exchange);
  }
  const frame = toJsonSchema(SERVER_MESSAGES.error, options);
  const summary = "The server is about to close the connection.";
  channel.addPushes("events", "Messages that clients get without a request.", [
    ["error", { summary, frame }],
  ]);
  return channel;
}
