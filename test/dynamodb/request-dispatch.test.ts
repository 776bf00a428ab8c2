// Stored requests that functions start and run: the dispatcher on the table's stream, and the workers.
import { jsonLogger } from "lift-ws";
import type { NewRequest } from "lift-ws/store";
import { REQUEST_TABLE_STREAM_SOURCE } from "lift-ws/store/dynamodb";
import { createStreamer, type RequestHandler, type WorkerEvent } from "lift-ws/streamer";
import { lambdaContext, recordingConnections } from "lift-ws/testing";
import { afterEach, beforeEach, describe, expect, inject, it, vi } from "vitest";
import {
  pollTableStream,
  type TableStreamEvent,
  type TableStreamPoller,
} from "../../src/lambda-emulator/index.ts";
import { memoryChannelStore } from "../../src/store/memory/index.ts";
import { LOCAL, localClient, MINUTE } from "./connection-table.ts";
import { RequestTableUnderTest } from "./request-table.ts";

let table: RequestTableUnderTest;
let connections: ReturnType<typeof recordingConnections>;
const pollers: TableStreamPoller[] = [];
const lines: string[] = [];

beforeEach(async () => {
  table = await RequestTableUnderTest.create("AWS SDK", { tableStream: true });
  connections = recordingConnections();
  lines.length = 0;
});

afterEach(async () => {
  await Promise.all(pollers.splice(0).map((poller) => poller.stop()));
});

/** The application in a container of its own. */
function container(work: RequestHandler = () => "done") {
  const store = { ...memoryChannelStore({ now: table.now }), requests: table.store() };
  return createStreamer({
    channels: { room: {} },
    store,
    connections,
    now: table.now,
    requests: { workers: 0 },
    logger: jsonLogger({ write: (_level, line) => lines.push(line) }),
  }).request("work", { estimatedMs: MINUTE, retry: { attempts: 2, firstMs: 0 } }, work);
}

const owner = (tenant: string) => JSON.stringify([tenant, "ada"]);
const create = (id: string, overrides: Partial<NewRequest> = {}) => {
  const { tenant = "acme" } = overrides;
  return table.store().create({
    owner: owner(tenant),
    id,
    action: "work",
    input: { id },
    tenant,
    identity: { userId: "ada", tenantId: tenant, permissions: [] },
    requester: { connectionId: "c1", endpoint: "https://api.example.com/test" },
    priority: 0,
    createdAt: table.now(),
    dueAt: table.now(),
    ...overrides,
  });
};
const get = (id: string, tenant = "acme") => table.store().get({ owner: owner(tenant), id });
const stateOf = async (id: string, tenant?: string) => (await get(id, tenant))?.state;

/** Invokes a function from the request table's stream, as the event source does. */
async function feed(handler: (event: TableStreamEvent) => unknown): Promise<void> {
  const { batchWindowSeconds: _, maxRecordAgeSeconds: __, ...source } = REQUEST_TABLE_STREAM_SOURCE;
  const [endpoint, tableName] = [inject("dynamoDBEndpoint"), table.requestTableName];
  pollers.push(await pollTableStream({ ...source, handler, tableName, endpoint, ...LOCAL, pollMs: 20 }));
}

/** Returns a function that ends the latest timer of this delay. A worker with 29 s left hands over after 19. */
function onTimer(ms: number): () => void {
  const timers = vi.spyOn(globalThis, "setTimeout");
  return () => timers.mock.calls.findLast(([, delay]) => delay === ms)?.[0]();
}

/** Worker functions whose invocations a test runs one by one. */
function heldWorkers(work?: RequestHandler, limits?: { all?: number; tenant?: number }) {
  const invoked: WorkerEvent[] = [];
  const options = { invoke: (event: WorkerEvent) => void invoked.push(event), ...(limits && { limits }) };
  const dispatch = container().dispatchHandler(options);
  return {
    invoked,
    ids: () => invoked.map(({ id }) => id),
    dispatch: (event: TableStreamEvent | object) => dispatch(event, lambdaContext()),
    /** Runs the next invocation in a new container. */
    run: (event = invoked.shift()!) => container(work).workerHandler(options)(event, lambdaContext()),
    tick: () => dispatch({}, lambdaContext()),
  };
}

/** Records with the images that the table has now. */
const records = async (...ids: string[]): Promise<TableStreamEvent> => {
  const items = await table.readItems();
  const images = ids.map((id) =>
    items.find(({ Request, Item }) => Item?.S === "state" && Request?.S?.endsWith(`"${id}"`)),
  );
  return {
    Records: images.map((NewImage, n) => ({
      eventName: "INSERT",
      dynamodb: { NewImage, SequenceNumber: String(n) },
    })),
  } as never;
};

describe("the dispatcher", () => {
  it("starts each new request once, from the table's stream, and sends its result to who made it", async () => {
    const invoked: WorkerEvent[] = [];
    const invoke = (event: WorkerEvent) => {
      invoked.push(event);
      return container().workerHandler({ invoke: () => {} })(event, lambdaContext());
    };
    const events: TableStreamEvent[] = [];
    const dispatch = container().dispatchHandler({ invoke });
    await feed((event) => {
      events.push(event);
      return dispatch(event, lambdaContext());
    });
    const ids = Array.from({ length: 20 }, (_, n) => `r${n}`);
    await Promise.all(ids.map((id) => create(id)));
    await vi.waitFor(async () => {
      for (const id of ids) expect(await stateOf(id)).toBe("COMPLETED");
    });
    expect(invoked.map(({ id }) => id).sort()).toEqual(ids.sort());
    expect(connections.jsonSentTo("c1")).toHaveLength(20);
    expect(connections.jsonSentTo("c1")[0]).toMatchObject({
      type: "complete",
      success: true,
      result: "done",
    });
    // Claims, results and heartbeats invoke nothing.
    expect(events.flatMap(({ Records }) => Records)).toHaveLength(20);
  });

  it("skips records without an image, of a removal, of other items, and unreadable ones", async () => {
    const { dispatch, ids } = heldWorkers();
    await create("r1", { input: "x".repeat(2_000) });
    await create("r2");
    await table
      .store()
      .claim(
        { owner: owner("acme"), id: "r2", token: "t" },
        { now: table.now(), leaseUntil: table.now() + MINUTE },
      );
    const [good, running] = (await records("r1", "r2")).Records;
    const input = (await table.readItems()).find(({ Item }) => Item?.S?.startsWith("input/"));
    const others = [
      {},
      { eventName: "REMOVE", userIdentity: { type: "Service" }, dynamodb: { SequenceNumber: "1" } },
      { eventName: "MODIFY", dynamodb: { NewImage: input, SequenceNumber: "2" } },
      {
        eventName: "MODIFY",
        dynamodb: { NewImage: { ...good!.dynamodb.NewImage, Content: { S: "{" } }, SequenceNumber: "poison" },
      },
      { eventName: "MODIFY", dynamodb: { NewImage: {}, SequenceNumber: "4" } },
    ];
    const report = await dispatch({ Records: [...others, running, good] });
    expect(report).toEqual({ batchItemFailures: [] });
    expect(ids()).toEqual(["r1"]);
    expect(lines.filter((line) => line.includes("unreadable"))).toMatchObject([
      expect.stringContaining("poison"),
    ]);
  });

  it("reports the records whose worker could not be invoked", async () => {
    const invoke = vi.fn(async ({ id }: WorkerEvent) => {
      if (id !== "r1") throw new Error("TooManyRequestsException");
    });
    for (const id of ["r1", "r2", "r3"]) await create(id);
    const dispatch = container().dispatchHandler({ invoke });
    const event = await records("r1", "r2", "r3");
    expect(await dispatch(event, lambdaContext())).toEqual({
      batchItemFailures: [{ itemIdentifier: "1" }, { itemIdentifier: "2" }],
    });
    invoke.mockImplementation(async () => {});
    // The service delivers the batch again from the first failed record.
    const rest = { Records: event.Records.slice(1) };
    expect(await dispatch(rest, lambdaContext())).toEqual({ batchItemFailures: [] });
    expect(
      invoke.mock.calls
        .slice(3)
        .map(([{ id }]) => id)
        .sort(),
    ).toEqual(["r2", "r3"]);
  });

  it("runs a request once whose event comes twice", async () => {
    const work = vi.fn(() => "done");
    const { dispatch, run, invoked } = heldWorkers(work);
    await create("r1");
    await dispatch(await records("r1"));
    const [event] = invoked;
    await Promise.all([run(event), run(event)]);
    await run(event);
    expect(work).toHaveBeenCalledTimes(1);
    expect(await stateOf("r1")).toBe("COMPLETED");
  });

  it("starts as many of a tenant as its limit allows, and the others as those end", async () => {
    const { dispatch, run, ids, invoked } = heldWorkers(undefined, { tenant: 2 });
    const many = ["a1", "a2", "a3", "a4", "a5"];
    for (const id of many) {
      await create(id);
      table.advance(1);
    }
    await create("b1", { tenant: "other" });
    await dispatch(await records(...many, "b1"));
    expect(ids()).toEqual(["a1", "a2", "b1"]);
    const order: string[] = [];
    while (invoked.length > 0) {
      // A worker may invoke another one for a request that was started and is not claimed yet.
      const started = [...new Set(ids())].filter((id) => id !== "b1" && !order.includes(id));
      expect(started.length).toBeLessThanOrEqual(2);
      order.push(invoked[0]!.id);
      await run();
    }
    expect([...new Set(order)].filter((id) => id !== "b1")).toEqual(many);
    for (const id of many) expect(await stateOf(id)).toBe("COMPLETED");
  });

  it("counts the requests that run", async () => {
    const gate = Promise.withResolvers<void>();
    const working = Promise.withResolvers<void>();
    const { dispatch, run, ids, tick } = heldWorkers(
      async () => {
        working.resolve();
        await gate.promise;
        return null;
      },
      { all: 1 },
    );
    await create("r1");
    await create("r2", { tenant: "other" });
    await dispatch(await records("r1"));
    const running = run();
    await working.promise;
    table.advance(MINUTE / 12);
    await dispatch(await records("r2"));
    await tick();
    expect(ids()).toEqual([]);
    gate.resolve();
    await running;
    expect(ids()).toEqual(["r2"]);
  });

  it("lets a tenant with few requests start while another has hundreds waiting", async () => {
    const { dispatch, ids, run } = heldWorkers(undefined, { all: 3, tenant: 2 });
    const many = Array.from({ length: 300 }, (_, n) => `a${n}`);
    await Promise.all(many.map((id) => create(id)));
    await dispatch(await records(...many));
    expect(ids()).toHaveLength(2);
    await create("b1", { tenant: "other" });
    await dispatch(await records("b1"));
    expect(ids()).toHaveLength(3);
    // Nothing is left for a third tenant until one ends; then it takes its turn.
    await create("c1", { tenant: "third" });
    await dispatch(await records("c1"));
    expect(ids()).toHaveLength(3);
    for (let n = 0; n < 10 && !ids().includes("c1"); n++) await run();
    expect(ids()).toContain("c1");
  });
});

describe("the tick", () => {
  it("starts delayed requests, retries, expired leases and lost records when they are due", async () => {
    const { tick, ids, dispatch } = heldWorkers();
    const lease = (id: string) => ({ owner: owner("acme"), id, token: "t" });
    const leaseUntil = table.now() + 2 * MINUTE;
    await create("delayed", { dueAt: table.now() + MINUTE });
    for (const id of ["retried", "counted", "uncounted", "lost"]) await create(id);
    const store = table.store();
    await store.claim(lease("retried"), { now: table.now(), leaseUntil });
    const failure = { code: "INTERNAL_ERROR", message: "It broke" };
    const dueAt = table.now() + MINUTE;
    await store.finish(lease("retried"), { state: "RETRYING", failure, dueAt }, table.now());
    await store.claim(lease("counted"), { now: table.now(), leaseUntil, countFor: "acme" });
    await store.claim(lease("uncounted"), { now: table.now(), leaseUntil });
    await dispatch(await records("delayed"));
    await tick();
    expect(ids()).toEqual([]);
    table.advance(MINUTE);
    await tick();
    expect(ids().sort()).toEqual(["delayed", "lost", "retried"]);
    table.advance(MINUTE);
    const another = heldWorkers();
    await another.tick();
    expect(another.ids().sort()).toEqual(["counted", "delayed", "lost", "retried", "uncounted"]);
  });

  it("starts delayed requests that are due only as far as the limits allow", async () => {
    const { tick, run, ids } = heldWorkers(undefined, { tenant: 1 });
    const dueAt = table.now() + MINUTE;
    for (const id of ["r1", "r2"]) await create(id, { dueAt });
    table.advance(MINUTE);
    await tick();
    expect(ids()).toHaveLength(1);
    await run();
    await tick();
    await run();
    for (const id of ["r1", "r2"]) expect(await stateOf(id)).toBe("COMPLETED");
  });

  it("takes over from a worker that has died although all places are taken", async () => {
    const { tick, run, ids } = heldWorkers(undefined, { tenant: 1 });
    await create("r1");
    const lease = { owner: owner("acme"), id: "r1", token: "dead" };
    await table
      .store()
      .claim(lease, { now: table.now(), leaseUntil: table.now() + MINUTE, countFor: "acme" });
    table.advance(MINUTE);
    await tick();
    expect(ids()).toEqual(["r1"]);
    await run();
    expect(await get("r1")).toMatchObject({ state: "COMPLETED", attempt: 2 });
  });
});

describe("the worker", () => {
  it("retries a failed request after the next tick, and leaves a dead letter in the end", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0);
    const { dispatch, run, tick } = heldWorkers(() => {
      throw new Error("It broke");
    });
    await create("r1");
    await dispatch(await records("r1"));
    await run();
    expect(await get("r1")).toMatchObject({ state: "RETRYING", attempt: 1 });
    await tick();
    await run();
    expect(await get("r1")).toMatchObject({ state: "FAILED", attempt: 2 });
  });

  it("hands over through the checkpoint when the function's time ends, as often as needed", async () => {
    const seen: unknown[] = [];
    const handOver = onTimer(19_000);
    const work: RequestHandler = async (_input, { checkpoint, output, signal, attempt }) => {
      const done = Number(checkpoint.value ?? 0);
      seen.push([done, attempt]);
      await output.write(`step ${done} `);
      await checkpoint.save(done + 1);
      if (done === 3) return done;
      handOver();
      expect(signal.aborted).toBe(true);
      return new Promise(() => {});
    };
    const invoke = (event: WorkerEvent) =>
      container(work).workerHandler({ invoke: () => {} })(event, lambdaContext());
    const dispatch = container().dispatchHandler({ invoke });
    await feed((event) => dispatch(event, lambdaContext()));
    await create("r1");
    await vi.waitFor(async () => expect(await stateOf("r1")).toBe("COMPLETED"));
    expect(seen).toEqual([
      [0, 1],
      [1, 1],
      [2, 1],
      [3, 1],
    ]);
    const key = { owner: owner("acme"), id: "r1" };
    expect(await table.store().readResult(key)).toEqual({ result: 3 });
  });

  it("fails an attempt that would be handed over without a checkpoint", async () => {
    const handOver = onTimer(19_000);
    const work: RequestHandler = () => {
      handOver();
      return new Promise(() => {});
    };
    await create("r1");
    const event = { owner: owner("acme"), id: "r1", tenant: "acme" };
    await container(work).workerHandler({ invoke: () => {} })(event, lambdaContext());
    expect(await get("r1")).toMatchObject({ state: "RETRYING", attempt: 1, failure: { code: "TIMEOUT" } });
  });

  it("throws when the store does not answer, so that Lambda invokes it again", async () => {
    const broken = localClient();
    broken.middlewareStack.add(() => () => Promise.reject(new Error("ECONNRESET")), { step: "initialize" });
    const store = { ...memoryChannelStore(), requests: table.store({ client: broken }) };
    const streamer = createStreamer({
      channels: { room: {} },
      store,
      logger: jsonLogger({ level: "silent" }),
    });
    const run = streamer.workerHandler({ invoke: () => {} });
    const event = { owner: owner("acme"), id: "r1", tenant: "acme" };
    await expect(run(event, lambdaContext())).rejects.toMatchObject({ code: "STORE_FAILED" });
  });

  it("leaves a request that does not exist, or whose action the application does not know", async () => {
    await create("r1", { action: "unknown" });
    const run = container().workerHandler({ invoke: () => {} });
    for (const id of ["r1", "none"]) await run({ owner: owner("acme"), id, tenant: "acme" }, lambdaContext());
    expect(await stateOf("r1")).toBe("PENDING");
    expect(lines.filter((line) => line.includes("no such action"))).toHaveLength(2);
  });
});

it("requires a store with a table stream, and valid options", () => {
  const invalid = (option: string) =>
    expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(option) });
  const invoke = () => {};
  const streamer = createStreamer({ channels: { room: {} }, store: memoryChannelStore() });
  expect(() => streamer.dispatchHandler({ invoke })).toThrow(invalid("table stream"));
  expect(() => streamer.workerHandler({ invoke })).toThrow(invalid("table stream"));
  const good = container();
  expect(() => good.dispatchHandler({} as never)).toThrow(invalid("invoke"));
  expect(() => good.dispatchHandler({ invoke, limits: { all: 0 } })).toThrow(invalid("limits.all"));
  expect(() => good.dispatchHandler({ invoke, limits: { user: 1 } as never })).toThrow(
    invalid("limits.user"),
  );
  expect(() => good.workerHandler({ invoke, handOverMs: 999 })).toThrow(invalid("handOverMs"));
});
