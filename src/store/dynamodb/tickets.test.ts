import { randomUUID } from "node:crypto";
import { ScanCommand } from "@aws-sdk/client-dynamodb";
import { describe, expect, it } from "vitest";
import {
  CALL_TIMEOUT_MS,
  createTable,
  localClient,
  noSdkTarget,
} from "../../../test/dynamodb/connection-table.ts";
import { failFirstAttempts, injectFaults, RESPONSE_LOST } from "../../../test/dynamodb/request-faults.ts";
import { ticketStoreCases } from "../contracts/cases.ts";
import { dynamoDBTicketStore, TICKET_TABLE } from "./index.ts";
import { dynamoDBTicketStore as noSdkTicketStore } from "./no-sdk.ts";

/** In the future, because the clock of DynamoDB Local cannot be moved, and its TTL would remove earlier items. */
const NOW = Math.ceil(Date.now() / 3_600_000) * 3_600_000;
const client = localClient();

async function makeTable(): Promise<string> {
  const ticketTableName = `tickets-${randomUUID()}`;
  await createTable(ticketTableName, TICKET_TABLE);
  return ticketTableName;
}

ticketStoreCases({ describe, it }, "DynamoDB tickets", async () =>
  dynamoDBTicketStore({ tableName: await makeTable(), client, timeoutMs: CALL_TIMEOUT_MS }),
);

ticketStoreCases({ describe, it }, "DynamoDB tickets without the SDK", async () =>
  noSdkTicketStore({ tableName: await makeTable(), ...noSdkTarget(), timeoutMs: CALL_TIMEOUT_MS }),
);

describe("DynamoDB tickets", () => {
  it("have a TTL from which DynamoDB removes them", async () => {
    const tableName = await makeTable();
    await dynamoDBTicketStore({ tableName, client, timeoutMs: CALL_TIMEOUT_MS }).save("a", {}, NOW + 1);
    const { Items } = await client.send(new ScanCommand({ TableName: tableName }));
    expect(Items).toEqual([expect.objectContaining({ ExpiresAt: { N: String(NOW / 1_000 + 1) } })]);
  });

  it("are used up, not used twice, after a lost response", async () => {
    const lossy = localClient();
    const tickets = dynamoDBTicketStore({
      tableName: await makeTable(),
      client: lossy,
      timeoutMs: CALL_TIMEOUT_MS,
    });
    await tickets.save("a", { n: 1 }, NOW + 1);
    injectFaults(lossy, failFirstAttempts(RESPONSE_LOST));
    expect(await tickets.take("a", NOW)).toBeUndefined();
  });

  it("reject unknown options", () => {
    const invalid = expect.objectContaining({ code: "INVALID_OPTION" });
    expect(() => dynamoDBTicketStore({ tableName: "t", ttlHours: 1 } as never)).toThrow(invalid);
  });
});
