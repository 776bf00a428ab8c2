import { lambdaInvoker } from "lift-ws";
import { dynamoDBChannelStore } from "lift-ws/store/dynamodb/no-sdk";
import { createReports } from "../app.ts";
import { auth, connectionStore, required } from "./options.ts";

const { MESSAGES_TABLE, MEMBERS_TABLE, REQUESTS_TABLE, WORKER_FUNCTION = "worker" } = process.env;

export const reports = createReports({
  auth,
  connectionStore,
  store: dynamoDBChannelStore({
    messageTableName: required("MESSAGES_TABLE", MESSAGES_TABLE),
    memberTableName: required("MEMBERS_TABLE", MEMBERS_TABLE),
    requestTableName: required("REQUESTS_TABLE", REQUESTS_TABLE),
  }),
});

export const workers = { invoke: lambdaInvoker({ functionName: WORKER_FUNCTION }) };
