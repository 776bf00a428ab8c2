// The chat's connect function written by hand: checks the token and writes the row.
import { DynamoDBClient, PutItemCommand } from "@aws-sdk/client-dynamodb";
import { jwtVerify } from "jose";

const { CONNECTIONS_TABLE, TOKEN_ISSUER: issuer, TOKEN_AUDIENCE: audience } = process.env;
const secret = Buffer.from(process.env.TOKEN_SECRET, "base64url");
const client = new DynamoDBClient({});
const LIVES_MS = (2 * 60 + 10) * 60 * 1000;

export const handler = async (event) => {
  const claims = await claimsOf(event.queryStringParameters?.token);
  if (claims === undefined) return { statusCode: 401 };
  await save(event.requestContext, claims);
  return { statusCode: 200 };
};

export async function claimsOf(token) {
  try {
    const requiredClaims = ["sub", "tenant_id", "exp"];
    const { payload } = await jwtVerify(token, secret, {
      algorithms: ["HS256"],
      issuer,
      audience,
      requiredClaims,
    });
    return payload;
  } catch {
    return undefined;
  }
}

export async function save(
  { connectionId, connectedAt, identity, domainName, stage },
  { sub, tenant_id, exp },
) {
  const liveUntil = connectedAt + LIVES_MS;
  const put = new PutItemCommand({
    TableName: CONNECTIONS_TABLE,
    Item: {
      ConnectionID: { S: connectionId },
      UserID: { S: sub },
      TenantID: { S: tenant_id },
      // Expiry of the token, for later events.
      Metadata: { S: JSON.stringify({ "lift:auth": { roles: [], permissions: [], expiresAt: exp * 1000 } }) },
      State: { M: {} },
      Updates: { M: {} },
      SourceIP: { S: identity.sourceIp },
      UserAgent: { S: identity.userAgent },
      Endpoint: { S: `https://${domainName}/${stage}` },
      ConnectedAt: { N: String(connectedAt) },
      LiveUntil: { N: String(liveUntil) },
      ExpiresAt: { N: String(Math.ceil(liveUntil / 1000)) },
    },
    ConditionExpression: "attribute_not_exists(#id) OR #liveUntil <= :now",
    ExpressionAttributeNames: { "#id": "ConnectionID", "#liveUntil": "LiveUntil" },
    ExpressionAttributeValues: { ":now": { N: String(Date.now()) } },
    ReturnValuesOnConditionCheckFailure: "ALL_OLD",
  });
  await client.send(put);
}
