import { randomUUID } from "node:crypto";
import type { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import {
  createTables,
  dynamoDBChannelStore,
  dynamoDBConnectionStore,
  dynamoDBSchedule,
} from "../../src/store/dynamodb/index.ts";
import type { Schedule, ScheduledItem } from "../../src/store/index.ts";
import type { TableStreamEvent } from "../../src/streamer/index.ts";
import { ChannelTables } from "../dynamodb/channel-tables.ts";
import { CALL_TIMEOUT_MS, localClient } from "../dynamodb/connection-table.ts";
import { collect } from "../streamer/simulation.ts";
import type { Step } from "../support/interleaving.ts";
import { type Backend, type SharedStores, type Stores, TestClock } from "./backend.ts";
import { clientWithSteps } from "./steps.ts";

/** Tables in the tests' DynamoDB Local. A step is a request. */
export async function dynamoDBBackend(): Promise<Backend> {
  const id = randomUUID();
  const names = {
    tableName: `connections-${id}`,
    scheduleTableName: `schedule-${id}`,
    requestTableName: `requests-${id}`,
  };
  await createTables({ client: localClient(), ...names });
  const { requestTableName } = names;
  const channels = await ChannelTables.create();
  const clock = new TestClock();
  const { now } = clock;
  const timeoutMs = CALL_TIMEOUT_MS;
  const plainClient = localClient();
  const scheduleOf = (client: DynamoDBClient) =>
    dynamoDBSchedule({ client, tableName: names.scheduleTableName, timeoutMs });
  const open = (name: string, step?: Step): Stores => {
    const client = step === undefined ? plainClient : clientWithSteps(localClient(), step);
    const { messageTableName, memberTableName } = channels;
    const usual = { client, now, timeoutMs };
    return {
      store: dynamoDBChannelStore({ messageTableName, memberTableName, requestTableName, ...usual }),
      // With a limit, a row and its count change in one transaction.
      connectionStore: dynamoDBConnectionStore({
        tableName: names.tableName,
        maxConnections: 1_000_000,
        ...usual,
      }),
      schedule: withOwnItems(scheduleOf(client), scheduleOf(plainClient), name, step),
    };
  };
  const share = (name: string): SharedStores => ({
    open: (step) => open(name, step),
    readTableStream: async (): Promise<TableStreamEvent> => {
      const items = await channels.readItems("messages");
      const own = items.filter((item) => JSON.stringify(item).includes(name));
      return { Records: own.map((NewImage, n) => ({ dynamodb: { NewImage, SequenceNumber: String(n) } })) };
    },
  });
  return { ...clock, share, close: () => {} };
}

/** Lists only the items of one order, because the orders share the table. The list is one step, not one for each shard. */
function withOwnItems(schedule: Schedule, listing: Schedule, name: string, step: Step = (call) => call()) {
  return new Proxy(schedule, {
    get(target, method) {
      const value = Reflect.get(target, method);
      if (method !== "listDue") return typeof value === "function" ? value.bind(target) : value;
      return async function* (now: number): AsyncGenerator<ScheduledItem> {
        const due = await step(() => collect(listing.listDue(now)));
        yield* due.filter(({ id }) => id.includes(name));
      };
    },
  });
}
