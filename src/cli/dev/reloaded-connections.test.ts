import { describe, expect, it } from "vitest";
import { Lift } from "../../lift/index.ts";
import { connectEvent, disconnectEvent, lambdaContext } from "../../lift/testing/index.ts";
import { memoryConnectionStore } from "../../store/memory/index.ts";
import { OpenRows } from "./reloaded-connections.ts";

/** One load of an app after another. `$connect` and `$disconnect` wait for `gate`. */
function load(rows: OpenRows, gate: Promise<void> = Promise.resolve()) {
  const store = memoryConnectionStore();
  const app = new Lift({ connectionStore: store, logger: console });
  app.webSocket("$connect", async (ctx) => {
    ctx.setUserId("ann");
    await gate;
  });
  app.webSocket("$disconnect", () => gate);
  rows.moveTo(app.connectionStore);
  const handler = rows.watched(app.webSocketHandler(), app.connectionStore);
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

describe("the row of an open connection", () => {
  it("is carried from load to load", async () => {
    const rows = new OpenRows();
    const first = load(rows);
    await first.run(connectEvent({ connectionId: "a" }));
    await first.store.setState("a", { n: 1 });
    load(rows);
    const { store } = load(rows);
    expect(await store.get("a")).toMatchObject({ userId: "ann", state: { n: 1 } });
  });

  it("comes after when its $connect ends on the load before", async () => {
    const rows = new OpenRows();
    const { gate, open } = closedGate();
    const connecting = load(rows, gate).run(connectEvent({ connectionId: "a" }));
    const { store } = load(rows);
    open();
    await connecting;
    expect(await store.get("a")).toMatchObject({ userId: "ann" });
  });

  it("does not come back when its $disconnect ends on the load before", async () => {
    const rows = new OpenRows();
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

  it("is not written into a store that is not in memory", async () => {
    const rows = new OpenRows();
    await load(rows).run(connectEvent({ connectionId: "a" }));
    const elsewhere = memoryConnectionStore();
    Object.defineProperty(elsewhere, "peek", { value: undefined });
    rows.moveTo(elsewhere);
    expect(await elsewhere.count()).toBe(0);
  });
});
