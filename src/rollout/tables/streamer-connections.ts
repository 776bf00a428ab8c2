import { MAX_LIFETIME_MS } from "../../apigw/index.ts";
import type { Connection, Json } from "../../store/index.ts";
import type { Item } from "../dynamodb.ts";
import { badRow, type TableMapping } from "./mapping.ts";

/** A row of Lift lives this long after the connection's longest lifetime, in ms. */
const GRACE_MS = 10 * 60 * 1000;

/**
 * The table `streamer-connections` of the original Streamer, as its store writes it: `ConnectedAt` and `LastPing` in RFC 3339,
 * `TTL` in seconds, `Endpoint` without a scheme, and metadata of texts with `user_agent` and `ip_address` among them. Its
 * indexes are `UserIndex` and `TenantIndex`. The original keeps rows for 24 hours; here they expire when the connection
 * must have ended.
 */
export const STREAMER_CONNECTIONS: TableMapping = {
  key: (id) => ({ ConnectionID: { S: id } }),
  toItem,
  fromItem,
  userIndex: { name: "UserIndex", partitionKey: "UserID" },
  tenantIndex: { name: "TenantIndex", partitionKey: "TenantID" },
  timeToLive: "TTL",
};

function toItem(connection: Connection): Item {
  const { id, userId, tenantId, endpoint, connectedAt, expiresAt, userAgent = "", sourceIp } = connection;
  const date = { S: new Date(connectedAt).toISOString() };
  const metadata = Object.entries(connection.metadata).map(([name, value]) => [name, { S: asText(value) }]);
  return {
    ConnectionID: { S: id },
    // The indexes reject empty keys.
    ...(userId ? { UserID: { S: userId } } : {}),
    ...(tenantId ? { TenantID: { S: tenantId } } : {}),
    Endpoint: { S: endpoint.replace(/^https:\/\//, "") },
    ConnectedAt: date,
    LastPing: date,
    Metadata: {
      M: { ...Object.fromEntries(metadata), user_agent: { S: userAgent }, ip_address: { S: sourceIp } },
    },
    TTL: { N: String(Math.ceil(expiresAt / 1000)) },
  };
}

/** The original writes its lists, such as `permissions`, as JSON in a text too. */
function asText(value: Json): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function fromItem(item: Item): Connection | undefined {
  const id = item.ConnectionID?.S;
  if (id === undefined) return undefined;
  const connectedAt = Date.parse(item.ConnectedAt?.S ?? "");
  if (Number.isNaN(connectedAt)) throw badRow(id, "ConnectedAt");
  const endpoint = item.Endpoint?.S;
  if (endpoint === undefined) throw badRow(id, "Endpoint");
  const removedAt =
    item.TTL === undefined ? Number.POSITIVE_INFINITY : Number(item.TTL.N ?? Number.NaN) * 1000;
  if (Number.isNaN(removedAt)) throw badRow(id, "TTL");
  const texts = Object.entries(item.Metadata?.M ?? {}).map(([name, value]) => [name, value.S ?? ""] as const);
  const { user_agent: userAgent, ip_address: sourceIp = "", ...metadata } = Object.fromEntries(texts);
  return {
    id,
    ...(item.UserID?.S ? { userId: item.UserID.S } : {}),
    ...(item.TenantID?.S ? { tenantId: item.TenantID.S } : {}),
    // Only legacy clients connect to the original. A row that the new side writes has its own metadata in `LiftFields`.
    metadata: { ...metadata, legacyClient: true },
    state: {},
    sourceIp,
    ...(userAgent ? { userAgent } : {}),
    endpoint: /^https?:\/\//.test(endpoint) ? endpoint : `https://${endpoint}`,
    connectedAt,
    expiresAt: Math.min(removedAt, connectedAt + MAX_LIFETIME_MS + GRACE_MS),
  };
}
