// The chat's connect function without the AWS SDK.
import { dynamoDBConnectionStore, dynamoDBSchedule } from "lift-ws/store/dynamodb/no-sdk";
import { createConnectHandler } from "../../examples/chat/connect.ts";
import { tokenVerifier } from "../../examples/chat/token.ts";

const {
  CONNECTIONS_TABLE = "",
  SCHEDULE_TABLE = "",
  TOKEN_SECRET = "",
  TOKEN_ISSUER = "",
  TOKEN_AUDIENCE = "",
} = process.env;

export const handler = createConnectHandler({
  verify: tokenVerifier({
    secret: Buffer.from(TOKEN_SECRET, "base64url"),
    issuer: TOKEN_ISSUER,
    audience: TOKEN_AUDIENCE,
  }),
  connectionStore: dynamoDBConnectionStore({ tableName: CONNECTIONS_TABLE }),
  schedule: dynamoDBSchedule({ tableName: SCHEDULE_TABLE }),
});
