import {
  dynamoDBChannelStore,
  dynamoDBConnectionStore,
  dynamoDBSchedule,
} from "lift-ws/store/dynamodb/no-sdk";
import { createLounge } from "../app.ts";

const { CONNECTIONS_TABLE, SCHEDULE_TABLE, MESSAGES_TABLE, MEMBERS_TABLE } = process.env;
const { TOKEN_SECRET, TOKEN_ISSUER, TOKEN_AUDIENCE, LIFT_WS_DEVELOPMENT_SECRET } = process.env;
const DEVELOPMENT = "lift-ws-development";

export const store = dynamoDBChannelStore({
  messageTableName: required("MESSAGES_TABLE", MESSAGES_TABLE),
  memberTableName: required("MEMBERS_TABLE", MEMBERS_TABLE),
});

/** The lounge for Lambda, configured by environment variables. */
export const lounge = createLounge({
  auth: {
    jwt: {
      algorithms: ["HS256"],
      // On this machine `lift-ws dev` provides the key of development tokens.
      secret: TOKEN_SECRET
        ? Buffer.from(TOKEN_SECRET, "base64url")
        : required("TOKEN_SECRET", LIFT_WS_DEVELOPMENT_SECRET),
      issuer: TOKEN_ISSUER ?? DEVELOPMENT,
      audience: TOKEN_AUDIENCE ?? DEVELOPMENT,
    },
  },
  store,
  connectionStore: dynamoDBConnectionStore({ tableName: required("CONNECTIONS_TABLE", CONNECTIONS_TABLE) }),
  schedule: dynamoDBSchedule({ tableName: required("SCHEDULE_TABLE", SCHEDULE_TABLE) }),
});

function required(name: string, value: string | undefined): string {
  if (!value) throw new Error(`Set ${name} in the function's environment`);
  return value;
}
