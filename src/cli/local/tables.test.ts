import { expect, it } from "vitest";
import { readStackWith } from "../../../test/support/read-stack.ts";
import { assertTables, createTables } from "./tables.ts";

function readTable(properties: string) {
  return readStackWith(`  Table: { Type: AWS::DynamoDB::Table, Properties: { ${properties} } }\n`);
}

it.each([
  "TimeToLiveSpecification: { Enabled: true }",
  "TimeToLiveSpecification: { Enabled: true, AttributeName: '' }",
])("refuses a table with %s, and names it", (properties) => {
  expect(() => assertTables(readTable(properties))).toThrow(
    "chat.yaml:4: Table: `TimeToLiveSpecification` needs an `AttributeName`",
  );
});

it("takes a TTL that is off without an attribute", () => {
  expect(() => assertTables(readTable("TimeToLiveSpecification: { Enabled: false }"))).not.toThrow();
});

it("names the table that cannot be created, without a cause, which the command would print with its stack", async () => {
  const access = {
    // No server listens on port 1.
    ...{ endpoint: "http://127.0.0.1:1", region: "us-east-1" },
    credentials: { accessKeyId: "a", secretAccessKey: "a" },
  };
  const refused = createTables(readTable("KeySchema: []"), access);
  await expect(refused).rejects.toThrow(/chat\.yaml:4: Table: Cannot create the table: .+/);
  await expect(refused).rejects.not.toHaveProperty("cause");
});
