import { describe, expect, it } from "vitest";
import { Lift } from "../../lift/index.ts";
import { connectEvent, disconnectEvent, lambdaContext } from "../../lift/testing/index.ts";
import type { Schedule } from "../../store/index.ts";
import { memoryConnectionStore, memorySchedule } from "../../store/memory/index.ts";
import { ReloadedConnections, ReloadedSchedule } from "./reloaded-state.ts";

/** One load of an app after another. `$connect` and `$disconnect` wait for `gate`. */
function load(rows: ReloadedConnections, gate: Promise<void> = Promise.resolve()) {
  const store = memoryConnectionStore();
  const app = new Lift({ connectionStore: store, logger: console });
  app.webSocket("$connect", async (ctx) => {
    ctx.setUserId("ann");
    await gate;
  });
  app.webSocket("$disconnect", () => gate);
  rows.moveTo(app.connectionStore);
  const handler = rows.watch(app.webSocketHandler(), app.connectionStore);
  const run = (event: Parameters<typeof handler>[0]) => handler(event, lambdaContext(), () => {});
  return { store, run };
}

function closedGate() {
  let open = (): void => {};
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { gate, open: () => open() };
}

describe("ReloadedConnections", () => {
  it("moves the rows of open connections", async () => {
    const rows = new ReloadedConnections();
    const first = load(rows);
    await first.run(connectEvent({ connectionId: "a" }));
    await first.store.setState("a", { n: 1 });
    load(rows);
    const { store } = load(rows);
    expect(await store.get("a")).toMatchObject({ userId: "ann", state: { n: 1 } });
  });

  it("moves a row whose $connect ends in the previous app", async () => {
    const rows = new ReloadedConnections();
    const { gate, open } = closedGate();
    const connecting = load(rows, gate).run(connectEvent({ connectionId: "a" }));
    const { store } = load(rows);
    open();
    await connecting;
    expect(await store.get("a")).toMatchObject({ userId: "ann" });
  });

  it("does not restore a row whose $disconnect ends in the previous app", async () => {
    const rows = new ReloadedConnections();
    const { gate, open } = closedGate();
    await load(rows).run(connectEvent({ connectionId: "a" }));
    const middle = load(rows, gate);
    expect(await middle.store.count()).toBe(1);
    const disconnecting = middle.run(disconnectEvent({ connectionId: "a" }));
    const { store } = load(rows);
    open();
    await disconnecting;
    expect(await store.count()).toBe(0);
  });

  it("writes no rows to a store that is not in memory", async () => {
    const rows = new ReloadedConnections();
    await load(rows).run(connectEvent({ connectionId: "a" }));
    const elsewhere = memoryConnectionStore();
    Object.defineProperty(elsewhere, "peek", { value: undefined });
    rows.moveTo(elsewhere);
    expect(await elsewhere.count()).toBe(0);
  });
});

const item = (id: string) => ({ kind: "test", id, dueAt: 1_000, data: { n: 1 } });

async function ids(schedule: Schedule) {
  const found: string[] = [];
  for await (const { id } of schedule.listDue(1_000)) found.push(id);
  return found.sort();
}

describe("ReloadedSchedule", () => {
  it("moves items, also those scheduled in the previous app after the reload", async () => {
    const schedule = new ReloadedSchedule();
    const [first, second, third] = [memorySchedule(), memorySchedule(), memorySchedule()];
    await schedule.moveTo(first);
    await first.put(item("a"));
    await schedule.moveTo(second);
    expect(await ids(second)).toEqual(["a"]);
    await first.put(item("b"));
    await schedule.moveItems();
    expect(await ids(second)).toEqual(["a", "b"]);
    await first.put(item("c"));
    await schedule.moveTo(third);
    expect(await ids(third)).toEqual(["a", "b", "c"]);
    expect(await ids(first)).toEqual([]);
  });

  it("moves no items to the same schedule or to one that is not in memory", async () => {
    const schedule = new ReloadedSchedule();
    const { listAll: _, ...durable }: Schedule = memorySchedule();
    const memory = memorySchedule();
    await schedule.moveTo(memory);
    await memory.put(item("a"));
    await schedule.moveTo(memory);
    await schedule.moveTo(durable);
    await schedule.moveTo(undefined);
    expect(await ids(memory)).toEqual(["a"]);
  });
});
