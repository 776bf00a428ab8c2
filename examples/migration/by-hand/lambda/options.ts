import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { createServices } from "../services.ts";

const { CONNECTIONS_TABLE, REQUESTS_TABLE, CONNECTIONS_ENDPOINT } = process.env;
const { TOKEN_SECRET, TOKEN_ISSUER, TOKEN_AUDIENCE } = process.env;

export const services = createServices({
  client: new DynamoDBClient({}),
  connectionTable: required("CONNECTIONS_TABLE", CONNECTIONS_TABLE),
  requestTable: required("REQUESTS_TABLE", REQUESTS_TABLE),
  endpoint: CONNECTIONS_ENDPOINT,
});

export const auth = {
  secret: Buffer.from(required("TOKEN_SECRET", TOKEN_SECRET), "base64url"),
  issuer: required("TOKEN_ISSUER", TOKEN_ISSUER),
  audience: required("TOKEN_AUDIENCE", TOKEN_AUDIENCE),
};

function required(name: string, value: string | undefined): string {
  if (!value) throw new Error(`Set ${name} in the function's environment`);
  return value;
}
