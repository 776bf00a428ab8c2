import { dynamoDBConnectionStore, dynamoDBSchedule } from "lift-ws/store/dynamodb";
import type { ChatOptions } from "../connect.ts";
import { tokenVerifier } from "../token.ts";

const { CONNECTIONS_TABLE, SCHEDULE_TABLE, TOKEN_SECRET, LIFT_WS_DEVELOPMENT_SECRET } = process.env;
const DEVELOPMENT = "lift-ws-development";

/** The chat's options for Lambda, from environment variables. */
export const options: ChatOptions = {
  verify: tokenVerifier({
    // On this machine `lift-ws dev` provides the key of development tokens.
    secret: TOKEN_SECRET
      ? Buffer.from(TOKEN_SECRET, "base64url")
      : required("TOKEN_SECRET", LIFT_WS_DEVELOPMENT_SECRET),
    issuer: process.env.TOKEN_ISSUER ?? DEVELOPMENT,
    audience: process.env.TOKEN_AUDIENCE ?? DEVELOPMENT,
  }),
  connectionStore: dynamoDBConnectionStore({ tableName: required("CONNECTIONS_TABLE", CONNECTIONS_TABLE) }),
  schedule: dynamoDBSchedule({ tableName: required("SCHEDULE_TABLE", SCHEDULE_TABLE) }),
};

function required(name: string, value: string | undefined): string {
  if (!value) throw new Error(`Set ${name} in the function's environment`);
  return value;
}
