import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { NewRequest } from "lift-ws/store";
import type { DynamoDBRequestStore } from "lift-ws/store/dynamodb";
import { beforeEach, describe, expect, it } from "vitest";
import { type MeasuredUnits, UNITS } from "../../src/cli/cost/units.ts";
import { UnitCounter } from "../support/unit-counter.ts";
import { localClient, MINUTE } from "./connection-table.ts";
import { RequestTableUnderTest } from "./request-table.ts";

const DOC = readFileSync(join(import.meta.dirname, "../../docs/operations/dynamodb-costs.md"), "utf8");
const { requests: DOCUMENTED } = UNITS;

const OWNER = JSON.stringify(["tenant-1", "user-1"]);
const FAILURE = { code: "INTERNAL_ERROR", message: "The report could not be written" };

let table: RequestTableUnderTest;
let store: DynamoDBRequestStore;
let counter: UnitCounter;
const measured = new Set<MeasuredUnits>();

beforeEach(async () => {
  table = await RequestTableUnderTest.create();
  counter = new UnitCounter(localClient());
  store = table.store({ client: counter.client });
});

async function expectDocumented(units: MeasuredUnits, work: () => Promise<unknown>): Promise<void> {
  measured.add(units);
  counter.take();
  await work();
  expect({ row: units.row, ...counter.take() }).toEqual(units);
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
    await expectDocumented(DOCUMENTED.create, () => store.create(request()));
    await expectDocumented(DOCUMENTED.claim, () => claim());
    await expectDocumented(DOCUMENTED.finish, () => complete("x".repeat(250)));
    const { create, claim: claimed, finish } = DOCUMENTED;
    const total = create.writes + claimed.writes + finish.writes;
    expect(total).toBeLessThanOrEqual(6);
    expect(DOC).toContain(`**Total of a request.** ${total} units written`);
    await expectDocumented(DOCUMENTED.get, () => store.get(lease()));
    await expectDocumented(DOCUMENTED.readResult, () => store.readResult(lease()));
    await expectDocumented(DOCUMENTED.list, () => store.list(OWNER, { limit: 20 }));
  });

  it("a request with a large input and result", async () => {
    await expectDocumented(DOCUMENTED.createLarge, () => store.create(request({ input: "x".repeat(800) })));
    await claim();
    await expectDocumented(DOCUMENTED.saveCheckpoint, () => store.saveCheckpoint(lease(), { page: 3 }));
    await expectDocumented(DOCUMENTED.saveLargeCheckpoint, () =>
      store.saveCheckpoint(lease(), "x".repeat(10_000)),
    );
    await expectDocumented(DOCUMENTED.finishLarge, () => complete("x".repeat(800)));
    const { createLarge, claim: claimed, finishLarge } = DOCUMENTED;
    expect(DOC).toContain(`${createLarge.writes + claimed.writes + finishLarge.writes} with both`);
  });

  it("a claim with limits", async () => {
    await store.create(request());
    const counted = { now: table.now(), leaseUntil: table.now() + MINUTE, countFor: "tenant-1" };
    await expectDocumented(DOCUMENTED.claimCounted, () => store.claim(lease(), counted));
    const progress = { percentage: 90, message: "Adding up" };
    const end = {
      state: "COMPLETED",
      result: "x".repeat(250),
      expiresAt: table.now() + MINUTE,
      progress,
    } as const;
    await store.finish(lease(), end, table.now());
    expect(counter.take().writes).toBe(DOCUMENTED.finish.writes);
  });

  it("a request that is retried, fails and is redriven", async () => {
    await store.create(request());
    await claim();
    await expectDocumented(DOCUMENTED.finishForRetry, () =>
      store.finish(
        lease(),
        { state: "RETRYING", failure: FAILURE, dueAt: table.now() + MINUTE },
        table.now(),
      ),
    );
    table.advance(MINUTE);
    await claim();
    await expectDocumented(DOCUMENTED.finishFailed, () =>
      store.finish(
        lease(),
        { state: "FAILED", failure: FAILURE, expiresAt: table.now() + 60 * MINUTE },
        table.now(),
      ),
    );
    await expectDocumented(DOCUMENTED.redrive, () => store.redrive(lease(), table.now()));
    await expectDocumented(DOCUMENTED.cancel, () =>
      store.cancel(lease(), { now: table.now(), expiresAt: table.now() + MINUTE }),
    );
  });

  it("an answer of 1,000 tokens in 20 s, gathered for 200 ms: at most 110 write units", async () => {
    let writes = 0;
    const total = async (work: Promise<unknown>) => {
      await work;
      writes += counter.take().writes;
    };
    const totalDocumented = async (units: MeasuredUnits, work: () => Promise<unknown>) => {
      await expectDocumented(units, work);
      writes += units.writes;
    };
    await total(store.create(request()));
    await total(claim());
    await totalDocumented(DOCUMENTED.appendFirst, () => append(1));
    await totalDocumented(DOCUMENTED.append, () => append(2));
    for (let offset = 3; offset <= 100; offset++) await total(append(offset));
    await totalDocumented(DOCUMENTED.renew, renew);
    await total(renew());
    await total(complete("x".repeat(250)));
    expect(writes).toBeLessThanOrEqual(110);
    expect(DOC).toContain(`${writes} units written for 1,000 tokens`);
    await expectDocumented(DOCUMENTED.readOutput, () =>
      store.readOutput(lease(), { after: 0, limit: 1_000 }),
    );
  });

  it("a take-over of a request with output", async () => {
    await store.create(request());
    await claim();
    await append(1);
    table.advance(MINUTE);
    await expectDocumented(DOCUMENTED.claimWithOutput, () => claim("another"));
  });

  it("counting", async () => {
    for (let n = 0; n < 20; n++) await store.create(request({ id: `request-${n}` }));
    await expectDocumented(DOCUMENTED.countOwner, () => store.countOpen({ owner: OWNER }, 100));
    await expectDocumented(DOCUMENTED.countTenant, () => store.countOpen({ tenant: "tenant-1" }, 100));
    const tenant = { ...request({ id: "request-0" }), token: "token" };
    await store.claim(tenant, { now: table.now(), leaseUntil: table.now() + MINUTE, countFor: "tenant-1" });
    await expectDocumented(DOCUMENTED.countRunning, async () =>
      expect(await store.countRunning({ tenant: "tenant-1" }, 100)).toBe(1),
    );
  });

  it("measured calls only", () => {
    expect(measured).toEqual(new Set(Object.values(DOCUMENTED)));
  });
});
