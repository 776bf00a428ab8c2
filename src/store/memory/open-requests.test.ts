import { describe, expect, it } from "vitest";
import { type OpenRequest, OpenRequests } from "./open-requests.ts";

const NOW = 1_000;
const LATER = 2_000;

function request(id: string, overrides: Partial<OpenRequest> = {}): OpenRequest {
  return { owner: "ada", id, tenant: "acme", priority: 0, createdAt: 0, ...overrides };
}

function createOpenRequests(...requests: OpenRequest[]): OpenRequests {
  const open = new OpenRequests();
  for (const each of requests) open.set(each, NOW, NOW);
  return open;
}

const due = (open: OpenRequests, now = NOW) => [...open.due(now)].map(({ id }) => id);

describe("open requests", () => {
  it("let a worker that takes one at a time serve the tenants in turn", () => {
    const queues = { a: 5, b: 3, c: 1 };
    const requests = Object.entries(queues).flatMap(([tenant, length]) =>
      Array.from({ length }, (_, n) => request(`${tenant}${n}`, { tenant })),
    );
    const open = createOpenRequests(...requests);
    const taken: string[] = [];
    for (;;) {
      const [first] = open.due(NOW);
      if (first === undefined) break;
      taken.push(first.id);
      open.set(requests.find(({ id }) => id === first.id)!, LATER, NOW);
      open.delete(first);
    }
    expect(taken).toEqual(["a0", "b0", "c0", "a1", "b1", "a2", "b2", "a3", "a4"]);
  });

  it("let a tenant that returns wait for its turn", () => {
    const many = Array.from({ length: 9 }, (_, n) => request(`many${n}`, { tenant: "many" }));
    const open = createOpenRequests(...many);
    const taken: string[] = [];
    for (let n = 0; n < 6; n++) {
      const often = request(`often${n}`, { tenant: "often" });
      open.set(often, NOW, NOW);
      const [first] = open.due(NOW);
      taken.push(first!.id);
      open.set([...many, often].find(({ id }) => id === first!.id) ?? often, LATER, NOW);
    }
    expect(taken.filter((id) => id.startsWith("many")).length).toBe(3);
  });

  it("let a tenant whose queue was empty wait for tenants that came meanwhile", () => {
    const [first, second] = [request("first"), request("second")];
    const open = createOpenRequests(first, request("waits", { tenant: "b" }));
    open.set(first, LATER, NOW);
    open.set(request("new", { tenant: "c" }), NOW, NOW);
    open.set(second, NOW, NOW);
    expect(due(open)).toEqual(["waits", "new", "second"]);
  });

  it("keep a tenant's turn when its running request is renewed", () => {
    const [running, next, other] = [request("running"), request("next"), request("other", { tenant: "b" })];
    const open = createOpenRequests(running, next, other);
    open.set(running, LATER, NOW);
    open.set(other, LATER, NOW);
    open.set(request("another", { tenant: "b" }), NOW, NOW);
    open.set(running, LATER + 1, NOW);
    expect(due(open)).toEqual(["next", "another"]);
  });

  it("list the oldest of a tenant first, also when it returns to the queue", () => {
    const requests = [3, 1, 2].map((createdAt) => request(`r${createdAt}`, { createdAt }));
    const open = createOpenRequests(...requests);
    expect(due(open)).toEqual(["r1", "r2", "r3"]);
    open.set(requests[1]!, LATER, NOW);
    expect(due(open)).toEqual(["r2", "r3"]);
    expect(due(open, LATER)).toEqual(["r1", "r2", "r3"]);
    expect(due(open, NOW)).toEqual(["r2", "r3"]);
  });

  it("list a higher priority first, before older ones", () => {
    const open = createOpenRequests(
      request("low", { priority: -1 }),
      request("normal"),
      request("high", { priority: 2, tenant: "b" }),
    );
    expect(due(open)).toEqual(["high", "normal", "low"]);
  });

  it("list those that wait once each while others are claimed, added and removed", () => {
    const requests = Array.from({ length: 40 }, (_, n) => request(`r${n}`, { tenant: `t${n % 4}` }));
    const open = createOpenRequests(...requests);
    const seen: string[] = [];
    for (const { id } of open.due(NOW)) {
      seen.push(id);
      const at = requests.findIndex((each) => each.id === id);
      if (at % 3 === 0) open.delete(requests[at]!);
      if (at % 3 === 1) open.set(requests[at]!, LATER, NOW);
    }
    expect(seen.sort()).toEqual(requests.map(({ id }) => id).sort());
    expect(due(open).length).toBe(13);
  });

  it("skip a priority whose last request is deleted during the listing", () => {
    const [high, low] = [request("high", { priority: 1 }), request("low")];
    const open = createOpenRequests(high, low, request("lowest", { priority: -1 }));
    const seen: string[] = [];
    for (const { id } of open.due(NOW)) {
      seen.push(id);
      open.delete(low);
    }
    expect(seen).toEqual(["high", "lowest"]);
  });

  it("do not list a deleted request that had waited until it was due", () => {
    const [first, second] = [request("first"), request("second")];
    const open = new OpenRequests();
    open.set(first, LATER, NOW);
    open.set(second, LATER + 1, NOW);
    expect(due(open, LATER)).toEqual(["first"]);
    expect(due(open, LATER + 1)).toEqual(["first", "second"]);
    open.delete(first);
    expect(due(open, LATER + 1)).toEqual(["second"]);
  });

  it("forget a request that is deleted, and its owner and tenant", () => {
    const open = createOpenRequests(request("r1"), request("r2"));
    open.delete(request("r1"));
    open.delete(request("r1"));
    open.delete(request("never"));
    expect([open.count({ owner: "ada" }), open.count({ tenant: "acme" }), due(open)]).toEqual([1, 1, ["r2"]]);
    open.delete(request("r2"));
    expect([open.count({ owner: "ada" }), open.keys(), due(open)]).toEqual([0, [], []]);
  });
});
