import type { StreamerDescription } from "../../streamer/index.ts";
import { type ConnectionAction, connectionExchanges } from "./connection-frames.ts";
import { CORRELATION_IDS, DocumentChannel } from "./document-channel.ts";
import { carriedBy, namespacePart } from "./namespace.ts";
import { type CommonSchemas, channelOf, defineCommon, type PayloadSchemas } from "./payload-schemas.ts";
import { type AnySchema, Definitions, type Schema } from "./schema.ts";

export interface DocumentOptions {
  readonly title: string;
  readonly version: string;
  readonly description?: string | undefined;
  /** Where clients connect, the stage with it. */
  readonly url: URL;
}

/** JSON, of which what tests look at has a type. */
export interface AsyncApiDocument {
  readonly asyncapi: "3.0.0";
  readonly info: object;
  readonly defaultContentType: string;
  readonly servers: object;
  readonly channels: { readonly [key: string]: object };
  readonly operations: { readonly [key: string]: object };
  readonly components: {
    readonly schemas: { readonly [name: string]: AnySchema };
    readonly [kind: string]: object;
  };
}

export interface AsyncApiResult {
  readonly document: AsyncApiDocument;
  /** A line for each side of a validator that gives no JSON Schema. */
  readonly missing: readonly string[];
}

/** The channel of what is about no namespace. No namespace has a capital letter. */
const CONNECTION = "webSocket";

const ABOUT = `Clients speak Streamer's protocol, version 1, over one WebSocket. Every message here is one text frame of it.
The channel ${CONNECTION} has those that are about the connection, each other channel those of a namespace. Which of a
namespace's channels a message is about, it says in its \`channel\`. A request is answered by a response or an error,
with its \`id\` as \`request_id\`. A receiver ignores fields and types that it does not know.`;

/** Where a client's token is looked for. A browser can't set headers. */
const SECURITY_SCHEMES = {
  query: { type: "httpApiKey", in: "query", name: "token" },
  header: { type: "http", scheme: "bearer" },
};

/** An AsyncAPI 3 document of a Streamer, which receives what clients send. */
export function asyncApiDocument(
  { namespaces, auth }: StreamerDescription,
  { title, version, description, url }: DocumentOptions,
): AsyncApiResult {
  const definitions = new Definitions();
  const common = defineCommon(definitions);
  const missing: string[] = [];
  const carried = new Map(
    [...namespaces].map(([name, one]) => [name, carriedBy(name, one, definitions, missing)] as const),
  );
  const open = [...carried].filter(([name]) => namespaces.get(name)!.subscribe.length > 0);
  const channel = channelOf([...namespaces.keys()]);
  const parts = [
    connectionPart(
      open.map(([, one]) => one),
      channel,
      auth,
      common,
    ),
    ...[...carried].map(([name, one]) => namespacePart(name, namespaces.get(name)!, one, common)),
  ];
  const document: AsyncApiDocument = {
    asyncapi: "3.0.0",
    info: { title, version, description: [description, ABOUT].filter(Boolean).join("\n\n") },
    defaultContentType: "application/json",
    servers: { server: serverAt(url, auth) },
    channels: Object.fromEntries(parts.map((part) => [part.key, part.channel])),
    operations: Object.fromEntries(parts.flatMap((part) => part.operations)),
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

/** @param open what the namespaces carry that clients can subscribe to */
function connectionPart(
  open: readonly PayloadSchemas[],
  channel: Schema<string>,
  auth: boolean,
  common: CommonSchemas,
): DocumentChannel {
  const part = new DocumentChannel(CONNECTION, {
    title: "The connection",
    description: "What is about the connection, or about several channels at once.",
  });
  const taken: { readonly [Name in ConnectionAction]: boolean } = {
    subscribe: open.length > 0,
    unsubscribe: open.length > 0,
    heartbeat: true,
    refresh: auth,
    part: true,
    message: true,
  };
  for (const [action, exchange] of Object.entries(connectionExchanges(open, channel, common))) {
    if (taken[action as ConnectionAction]) part.receives(action, exchange);
  }
  part.sends("events", "What a client gets without asking.", [
    ["error", { summary: "The connection is about to be closed.", frame: common.error }],
  ]);
  return part;
}
