import { dynamoDBStores } from "lift-ws/store/dynamodb/no-sdk";
import { createLounge } from "../streamer/app.ts";
import { auth } from "../streamer/lambda/options.ts";

/** The rooms of the streamer example, with stores whose tables the stack creates. */
export const streamer = createLounge({ auth, ...dynamoDBStores() });
