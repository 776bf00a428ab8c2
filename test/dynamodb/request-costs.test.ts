import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { NewRequest } from "lift-ws/store";
import type { CallMetrics, DynamoDBRequestStore } from "lift-ws/store/dynamodb";
import { beforeEach, describe, expect, it } from "vitest";
import { sections, tableRows } from "../support/markdown.ts";
import { MINUTE } from "./connection-table.ts";
import { RequestTableUnderTest } from "./request-table.ts";

const DOC = readFileSync(join(import.meta.dirname, "../../docs/operations/dynamodb-costs.md"), "utf8");
const ROWS = tableRows(sections(DOC).get("Cost of requests") ?? "");

const OWNER = JSON.stringify(["tenant-1", "user-1"]);
const FAILURE = { code: "INTERNAL_ERROR", message: "The report could not be written" };

let table: RequestTableUnderTest;
let store: DynamoDBRequestStore;
let units: { reads: number; writes: number };
const measured = new Set<string>();

beforeEach(async () => {
  table = await RequestTableUnderTest.create();
  units = { reads: 0, writes: 0 };
  store = table.store({ enableMetrics: count });
});

function count({ operation, outcome, readUnits, writeUnits }: CallMetrics): void {
  // A write whose condition failed costs a unit that DynamoDB does not report.
  expect(outcome).toBe("ok");
  // A query without results costs a unit if it is consistent, and DynamoDB Local does not report it.
  units.reads += operation === "Query" ? Math.max(0.5, readUnits) : readUnits;
  units.writes += writeUnits;
}

function documentedUnits(name: string): { reads: number; writes: number } {
  const row = ROWS.find(([first]) => first === name);
  return { reads: Number(row?.[1]), writes: Number(row?.[2]) };
}

async function expectDocumented<Result>(name: string, work: () => Promise<Result>): Promise<Result> {
  measured.add(name);
  units = { reads: 0, writes: 0 };
  const result = await work();
  expect({ name, ...units }).toEqual({ name, ...documentedUnits(name) });
  return result;
}

const request = (overrides: Partial<NewRequest> = {}): NewRequest => ({
  owner: OWNER,
  id: "6f1b6c36-6f4c-4d0a-9f2a-0d8f6f2f9a01",
  action: "generate_report",
  input: { text: "x".repeat(250) },
  tenant: "tenant-1",
  identity: { userId: "user-1", tenantId: "tenant-1" },
  requester: {
    connectionId: "L0SM9cOFvHcCIhw=",
    endpoint: "https://abcdefghij.execute-api.us-east-1.amazonaws.com/production",
  },
  priority: 0,
  createdAt: table.now(),
  dueAt: table.now(),
  ...overrides,
});

const lease = (token = "0d8f6f2f-9a01-4d0a-9f2a-6f1b6c366f4c") => ({
  owner: OWNER,
  id: request().id,
  token,
});
const claim = (token?: string) =>
  store.claim(lease(token), { now: table.now(), leaseUntil: table.now() + MINUTE / 2 });
const renew = () => store.renew(lease(), { leaseUntil: table.now() + MINUTE });
const complete = (result: string) =>
  store.finish(lease(), { state: "COMPLETED", result, expiresAt: table.now() + 60 * MINUTE }, table.now());
/** Ten tokens, such as a model writes in 200 ms. */
const append = (offset: number) =>
  store.append(lease(), {
    offset,
    data: { text: "The weather is fine today, and tomorrow too. " },
    chunks: 10 * offset,
    bytes: 65 * offset,
    at: table.now(),
  });

describe("docs/operations/dynamodb-costs.md lists the units of", () => {
  it("a request: at most 6 write units without retry, output and progress", async () => {
    await expectDocumented("a request: `create`", () => store.create(request()));
    await expectDocumented("… `claim`", () => claim());
    await expectDocumented("… `finish`, completed", () => complete("x".repeat(250)));
    const names = ["a request: `create`", "… `claim`", "… `finish`, completed"];
    const total = names.reduce((sum, name) => sum + documentedUnits(name).writes, 0);
    expect(total).toBeLessThanOrEqual(6);
    expect(DOC).toContain(`**Total of a request.** ${total} units written`);
    await expectDocumented("`get`", () => store.get(lease()));
    await expectDocumented("`readResult`", () => store.readResult(lease()));
    await expectDocumented("`list` of one request", () => store.list(OWNER, { limit: 20 }));
  });

  it("a request with a large input and result", async () => {
    await expectDocumented("`create` with an input of 800 bytes", () =>
      store.create(request({ input: "x".repeat(800) })),
    );
    await claim();
    await expectDocumented("`saveCheckpoint`, small", () => store.saveCheckpoint(lease(), { page: 3 }));
    await expectDocumented("`saveCheckpoint` of 10 KB", () =>
      store.saveCheckpoint(lease(), "x".repeat(10_000)),
    );
    await expectDocumented("`finish` with a result of 800 bytes", () => complete("x".repeat(800)));
  });

  it("a claim with limits", async () => {
    await store.create(request());
    const counted = { now: table.now(), leaseUntil: table.now() + MINUTE, countFor: "tenant-1" };
    await expectDocumented("… `claim`, with limits of running requests", () => store.claim(lease(), counted));
    units.writes = 0;
    await complete("x".repeat(250));
    expect(units.writes).toBe(documentedUnits("… `finish`, completed").writes);
  });

  it("a request that is retried, fails and is redriven", async () => {
    await store.create(request());
    await claim();
    await expectDocumented("`finish`, to be retried", () =>
      store.finish(
        lease(),
        { state: "RETRYING", failure: FAILURE, dueAt: table.now() + MINUTE },
        table.now(),
      ),
    );
    table.advance(MINUTE);
    await claim();
    await expectDocumented("`finish`, failed", () =>
      store.finish(
        lease(),
        { state: "FAILED", failure: FAILURE, expiresAt: table.now() + 60 * MINUTE },
        table.now(),
      ),
    );
    await expectDocumented("`redrive`", () => store.redrive(lease(), table.now()));
    await expectDocumented("`cancel`", () =>
      store.cancel(lease(), { now: table.now(), expiresAt: table.now() + MINUTE }),
    );
  });

  it("an answer of 1,000 tokens in 20 s, gathered for 200 ms: at most 110 write units", async () => {
    let writes = 0;
    const total = async <Result>(work: Promise<Result>) => {
      await work;
      writes += units.writes;
      units.writes = 0;
    };
    await total(store.create(request()));
    await total(claim().then(() => {}));
    await total(expectDocumented("`append`, the first of a request", () => append(1)));
    await total(expectDocumented("`append`", () => append(2)));
    for (let offset = 3; offset <= 100; offset++) await total(append(offset));
    await total(expectDocumented("`renew`, with progress or without", renew));
    await total(renew());
    await total(complete("x".repeat(250)));
    expect(writes).toBeLessThanOrEqual(110);
    expect(DOC).toContain(`${writes} units written for 1,000 tokens`);
    await expectDocumented("`readOutput` of 100 items of 45 bytes", () =>
      store.readOutput(lease(), { after: 0, limit: 1_000 }),
    );
  });

  it("a take-over of a request with output", async () => {
    await store.create(request());
    await claim();
    await append(1);
    table.advance(MINUTE);
    await expectDocumented("`claim` of a request with output", () => claim("another"));
  });

  it("counting", async () => {
    for (let n = 0; n < 20; n++) await store.create(request({ id: `request-${n}` }));
    await expectDocumented("`countOpen` of an owner with 20 requests", () =>
      store.countOpen({ owner: OWNER }, 100),
    );
    await expectDocumented("`countOpen` of a tenant with 20 requests", () =>
      store.countOpen({ tenant: "tenant-1" }, 100),
    );
  });

  it("measured calls only", () => {
    expect(ROWS.map(([name]) => name).sort()).toEqual([...measured].sort());
  });
});
