import { dynamoDBConnectionStore } from "lift-ws/store/dynamodb";
import { createChat } from "../app.ts";
import { tokenVerifier } from "../token.ts";

/** The chat as its functions run it; what differs from place to place is in their environment. */
export const chat = createChat({
  verify: tokenVerifier({
    secret: Buffer.from(required("TOKEN_SECRET"), "base64url"),
    issuer: required("TOKEN_ISSUER"),
    audience: required("TOKEN_AUDIENCE"),
  }),
  connectionStore: dynamoDBConnectionStore({ tableName: required("TABLE_NAME") }),
});

function required(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`Set ${name} in the function's environment`);
  return value;
}
