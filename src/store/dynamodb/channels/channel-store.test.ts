import { randomUUID } from "node:crypto";
import { DescribeTableCommand } from "@aws-sdk/client-dynamodb";
import { describe, expect, it } from "vitest";
import { ChannelTables } from "../../../../test/dynamodb/channel-tables.ts";
import { localClient, TRANSPORTS } from "../../../../test/dynamodb/connection-table.ts";
import { channelStoreProperties } from "../../../../test/stores/channel-store-properties.ts";
import { channelStoreCases } from "../../contracts/cases.ts";
import {
  createTableInput,
  createTables,
  dynamoDBChannelStore,
  MEMBER_TABLE,
  MESSAGE_TABLE,
} from "../index.ts";
import { dynamoDBChannelStore as noSdkChannelStore } from "../no-sdk.ts";

for (const transport of TRANSPORTS) {
  const title = `DynamoDB channels by ${transport}`;
  const create = async () => {
    const tables = await ChannelTables.create(transport);
    // Small, so that a few members fill several pages.
    const membersPerPage = 50;
    return {
      store: tables.store({ membersPerPage }),
      now: tables.now,
      advance: tables.advance,
      membersPerPage,
    };
  };
  channelStoreCases({ describe, it }, title, create, { pendingFanOutsReportedBy: "the table's stream" });
  // Few runs, because DynamoDB Local is slow; memory and SQLite run the properties often enough.
  channelStoreProperties(title, create, 4);
}

describe("DynamoDB channels", () => {
  it("create their tables as defined, the table of messages with a stream", async () => {
    const client = localClient();
    const id = randomUUID();
    const tables = { messageTableName: `messages-${id}`, memberTableName: `members-${id}` };
    await createTables({ client, ...tables });
    const describeTable = async (TableName: string) =>
      (await client.send(new DescribeTableCommand({ TableName }))).Table;
    const messages = await describeTable(tables.messageTableName);
    expect(messages?.KeySchema).toEqual(createTableInput("", MESSAGE_TABLE).KeySchema);
    expect(messages?.StreamSpecification).toEqual({ StreamEnabled: true, StreamViewType: "NEW_IMAGE" });
    expect(messages?.LatestStreamArn).toEqual(expect.any(String));
    const members = await describeTable(tables.memberTableName);
    expect(members?.KeySchema).toEqual(createTableInput("", MEMBER_TABLE).KeySchema);
    expect(members?.LatestStreamArn).toBeUndefined();
  });

  it("reject unknown and invalid options", () => {
    const invalid = (option: string) =>
      expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(option) });
    const tables = { messageTableName: "m", memberTableName: "n" };
    expect(() => dynamoDBChannelStore({} as never)).toThrow(invalid("messageTableName"));
    expect(() => dynamoDBChannelStore({ messageTableName: "m" } as never)).toThrow(
      invalid("memberTableName"),
    );
    expect(() => dynamoDBChannelStore({ ...tables, tableName: "t" } as never)).toThrow(invalid("tableName"));
    expect(() => dynamoDBChannelStore({ ...tables, timeoutMs: 0 })).toThrow(invalid("timeoutMs"));
    for (const membersPerPage of [1, 1_001, 2.5]) {
      expect(() => dynamoDBChannelStore({ ...tables, membersPerPage })).toThrow(invalid("membersPerPage"));
    }
    expect(() => dynamoDBChannelStore({ ...tables, now: 1 } as never)).toThrow(invalid("now"));
    expect(() => noSdkChannelStore({ ...tables, client: {} } as never)).toThrow(invalid("client"));
    expect(() => noSdkChannelStore({ ...tables, endpoint: "nope" })).toThrow(invalid("endpoint"));
  });
});
