import { dynamoDBConnectionStore } from "lift-ws/store/dynamodb/no-sdk";

const { CONNECTIONS_TABLE, TOKEN_SECRET, TOKEN_ISSUER, TOKEN_AUDIENCE } = process.env;

export const auth = {
  jwt: {
    algorithms: ["HS256"],
    secret: Buffer.from(required("TOKEN_SECRET", TOKEN_SECRET), "base64url"),
    issuer: required("TOKEN_ISSUER", TOKEN_ISSUER),
    audience: required("TOKEN_AUDIENCE", TOKEN_AUDIENCE),
  },
} as const;

export const connectionStore = dynamoDBConnectionStore({
  tableName: required("CONNECTIONS_TABLE", CONNECTIONS_TABLE),
});

export function required(name: string, value: string | undefined): string {
  if (!value) throw new Error(`Set ${name} in the function's environment`);
  return value;
}
