import { dynamoDBChannelStore } from "lift-ws/store/dynamodb/no-sdk";
import { createLounge } from "../app.ts";
import { auth, connectionStore, required, schedule } from "./options.ts";

const { MESSAGES_TABLE, MEMBERS_TABLE } = process.env;

export const store = dynamoDBChannelStore({
  messageTableName: required("MESSAGES_TABLE", MESSAGES_TABLE),
  memberTableName: required("MEMBERS_TABLE", MEMBERS_TABLE),
});

/** The lounge for Lambda, configured by environment variables. */
export const lounge = createLounge({ auth, store, connectionStore, schedule });
