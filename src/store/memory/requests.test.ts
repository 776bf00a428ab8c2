import { describe, expect, it } from "vitest";
import { requestStoreProperties } from "../../../test/stores/request-store-properties.ts";
import { requestStoreCases } from "../contracts/cases.ts";
import { memoryChannelStore } from "./index.ts";
import { MemoryRequests } from "./requests.ts";

function createStoreUnderTest() {
  let time = Date.UTC(2026, 0, 1);
  const now = () => time;
  const advance = (ms: number) => {
    time += ms;
  };
  return { store: new MemoryRequests(now), now, advance };
}

requestStoreCases({ describe, it }, "memory requests", createStoreUnderTest);
requestStoreProperties("memory requests", createStoreUnderTest, 300);

describe("memory requests", () => {
  const request = (id: string, now: number) => ({
    ...{ owner: "ada", id, action: "report", input: { id }, tenant: "acme", identity: {} },
    ...{ priority: 0, createdAt: now, dueAt: now },
  });

  it("removes expired requests as others are created, and keeps those that are open", async () => {
    const { store, now, advance } = createStoreUnderTest();
    const key = { owner: "ada", id: "open" };
    await store.create(request("open", now()));
    for (let n = 0; n < 1_000; n++) {
      await store.create(request(`r${n}`, now()));
      await store.cancel({ owner: "ada", id: `r${n}` }, { now: now(), expiresAt: now() + 100 });
      advance(10);
    }
    // 10 have not expired, and a sweep of twice as many takes half as many creates.
    expect(store.size).toBeLessThan(40);
    expect(await store.get(key)).toMatchObject({ state: "PENDING" });
  });

  it("check two requests for expiry per create, so that the cost of a create is bounded", async () => {
    const { store, now, advance } = createStoreUnderTest();
    for (let n = 0; n < 20; n++) {
      await store.create(request(`r${n}`, now()));
      await store.cancel({ owner: "ada", id: `r${n}` }, { now: now(), expiresAt: now() + 1 });
    }
    advance(1);
    await store.create(request("next", now()));
    await store.create(request("last", now()));
    expect(store.size).toBeGreaterThanOrEqual(18);
  });

  it("are not listed as open when they end or expire during the listing", async () => {
    const { store, now, advance } = createStoreUnderTest();
    for (const id of ["first", "cancelled", "expired", "last"]) await store.create(request(id, now()));
    const listed: string[] = [];
    for await (const { id } of store.listOpen()) {
      listed.push(id);
      await store.cancel({ owner: "ada", id: "cancelled" }, { now: now(), expiresAt: now() + 1_000 });
      await store.cancel({ owner: "ada", id: "expired" }, { now: now(), expiresAt: now() + 1 });
      advance(1);
    }
    expect(listed).toEqual(["first", "last"]);
  });

  it("are the requests of a memory channel store, with its clock", async () => {
    const { requests } = memoryChannelStore({ now: () => 5 });
    await requests!.create(request("r1", 0));
    await requests!.cancel({ owner: "ada", id: "r1" }, { now: 1, expiresAt: 6 });
    expect(await requests!.get({ owner: "ada", id: "r1" })).toMatchObject({ state: "CANCELLED" });
    await requests!.create(request("r2", 0));
    await requests!.cancel({ owner: "ada", id: "r2" }, { now: 1, expiresAt: 5 });
    expect(await requests!.get({ owner: "ada", id: "r2" })).toBeUndefined();
  });
});
