import type { WebSocketAuthOptions } from "lift-ws/middleware/auth";
import { dynamoDBConnectionStore, dynamoDBSchedule } from "lift-ws/store/dynamodb/no-sdk";

const { CONNECTIONS_TABLE, SCHEDULE_TABLE, TOKEN_SECRET, TOKEN_ISSUER, TOKEN_AUDIENCE } = process.env;
const { LIFT_WS_DEVELOPMENT_SECRET } = process.env;
const DEVELOPMENT = "lift-ws-development";

export const auth: WebSocketAuthOptions = {
  jwt: {
    algorithms: ["HS256"],
    // On this machine `lift-ws dev` provides the key of development tokens.
    secret: TOKEN_SECRET
      ? Buffer.from(TOKEN_SECRET, "base64url")
      : required("TOKEN_SECRET", LIFT_WS_DEVELOPMENT_SECRET),
    issuer: TOKEN_ISSUER ?? DEVELOPMENT,
    audience: TOKEN_AUDIENCE ?? DEVELOPMENT,
  },
};

export const connectionStore = dynamoDBConnectionStore({
  tableName: required("CONNECTIONS_TABLE", CONNECTIONS_TABLE),
});

export const schedule = dynamoDBSchedule({ tableName: required("SCHEDULE_TABLE", SCHEDULE_TABLE) });

/** Returns a variable of the function's environment. */
export function required(name: string, value: string | undefined): string {
  if (!value) throw new Error(`Set ${name} in the function's environment`);
  return value;
}
