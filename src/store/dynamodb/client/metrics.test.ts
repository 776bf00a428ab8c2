import { beforeEach, describe, expect, it, vi } from "vitest";
import { ConnectionTable, localClient } from "../../../../test/dynamodb/connection-table.ts";
import {
  failFirstAttempts,
  injectFaults,
  RESPONSE_LOST,
  THROTTLED,
} from "../../../../test/dynamodb/request-faults.ts";
import type { CallMetrics } from "../index.ts";

let table: ConnectionTable;

beforeEach(async () => {
  table = await ConnectionTable.create();
});

describe("enableMetrics", () => {
  it("reports each call's capacity units, attempts and outcome", async () => {
    const calls: CallMetrics[] = [];
    const client = localClient();
    injectFaults(client, failFirstAttempts(RESPONSE_LOST));
    const store = table.store({ client, enableMetrics: (measure) => void calls.push(measure) });
    await store.save(table.createRow("a", { userId: "u" }));
    await store.get("a");
    expect(calls).toMatchObject([
      // The first attempt wrote the row; the second found it.
      { operation: "PutItem", tableName: table.tableName, attempts: 2, outcome: "condition", writeUnits: 0 },
      { operation: "GetItem", attempts: 2, outcome: "ok", readUnits: 1, writeUnits: 0 },
    ]);
    expect(calls.every(({ durationMs }) => durationMs > 0)).toBe(true);
  });

  it("reports a failed call", async () => {
    const calls: CallMetrics[] = [];
    const client = localClient();
    injectFaults(client, () => THROTTLED);
    const store = table.store({
      client,
      timeoutMs: 50,
      enableMetrics: (measure) => void calls.push(measure),
    });
    await expect(store.count()).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    expect(calls).toMatchObject([{ operation: "Scan", outcome: "failed", readUnits: 0 }]);
  });

  it("writes CloudWatch's embedded metric format when `true`, without any row's content", async () => {
    const lines: string[] = [];
    // Not `console`, because Lambda wraps its lines if the function's log format is JSON.
    vi.spyOn(process.stdout, "write").mockImplementation((line) => lines.push(String(line)) > 0);
    await table.store({ enableMetrics: true }).save(table.createRow("secret-id", { userId: "secret-user" }));
    expect(lines).toEqual([expect.stringMatching(/^\{"_aws":.*\}\n$/)]);
    expect(lines[0]).not.toContain("secret");
    const line = JSON.parse(lines[0] ?? "");
    const [directive] = line._aws.CloudWatchMetrics;
    expect(directive).toMatchObject({ Namespace: "LiftWs/Store", Dimensions: [["TableName", "Operation"]] });
    const named = [
      ...directive.Metrics.map(({ Name }: { Name: string }) => Name),
      ...directive.Dimensions[0],
    ];
    expect(Object.keys(line).sort()).toEqual(["_aws", ...named].sort());
    expect(line).toMatchObject({
      Operation: "PutItem",
      WriteUnits: 2,
      ReadUnits: 0,
      Failures: 0,
      Attempts: 1,
    });
  });

  it("reports nothing by default", async () => {
    const write = vi.spyOn(process.stdout, "write");
    await table.store().save(table.createRow("a"));
    expect(write).not.toHaveBeenCalled();
  });
});
