import { lambdaInvoker } from "lift-ws";
import { dynamoDBChannelStore } from "lift-ws/store/dynamodb/no-sdk";
import { createLounge } from "../app.ts";
import { auth, connectionStore, required, schedule } from "./options.ts";

const { MESSAGES_TABLE, MEMBERS_TABLE, REQUESTS_TABLE, WORKER_FUNCTION = "worker" } = process.env;

export const store = dynamoDBChannelStore({
  messageTableName: required("MESSAGES_TABLE", MESSAGES_TABLE),
  memberTableName: required("MEMBERS_TABLE", MEMBERS_TABLE),
  requestTableName: required("REQUESTS_TABLE", REQUESTS_TABLE),
});

/** The lounge for Lambda, configured by environment variables. */
export const lounge = createLounge({ auth, store, connectionStore, schedule });

/** How requests are started: each in an invocation of its own. */
export const workers = {
  invoke: lambdaInvoker({ functionName: WORKER_FUNCTION }),
  limits: { all: 8, tenant: 4 },
};
