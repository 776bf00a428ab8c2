import fc from "fast-check";
import { expect, it } from "vitest";
import type { StoredRequest } from "../../store/index.ts";
import { keyOf } from "./request-keys.ts";
import { RunQueue } from "./run-queue.ts";

const NOW = 1_000;

function request(id: string, fields: Partial<StoredRequest> = {}): StoredRequest {
  const tenant = fields.tenant ?? "a";
  return { owner: tenant, tenant, id, action: "report", priority: 0, ...fields } as StoredRequest;
}

function queueOf(requests: readonly StoredRequest[], concurrency = Number.POSITIVE_INFINITY): RunQueue {
  const queue = new RunQueue(() => concurrency);
  for (const each of requests) queue.add(each, NOW, NOW);
  return queue;
}

function takeAll(queue: RunQueue, now = NOW): string[] {
  const ids: string[] = [];
  for (let next = queue.take(now); next !== undefined; next = queue.take(now)) ids.push(next.id);
  return ids;
}

it("takes the highest priority first, then the oldest", () => {
  const queue = queueOf([
    request("1"),
    request("2", { priority: 5 }),
    request("3", { priority: -1 }),
    request("4"),
  ]);
  expect(takeAll(queue)).toEqual(["2", "1", "4", "3"]);
});

it("takes every tenant's high priority first, and a tenant's oldest of all actions", () => {
  const queue = queueOf([
    request("a1"),
    request("b1", { tenant: "b" }),
    request("a2", { action: "other" }),
    request("a3"),
    request("b2", { tenant: "b", priority: 1 }),
    request("a4", { priority: 1 }),
    request("b3", { tenant: "b", priority: 1 }),
  ]);
  expect(takeAll(queue)).toEqual(["b2", "a4", "b3", "a1", "b1", "a2", "a3"]);
});

it("reserves a place for a request that is not added, if nothing else is due", () => {
  const queue = queueOf([], 2);
  queue.add(request("later"), NOW + 10, NOW);
  const other = request("other", { action: "other" });
  expect(queue.reserve(request("later"), NOW)).toBe(false);
  expect([request("1"), request("2"), request("3")].map((each) => queue.reserve(each, NOW))).toEqual([
    true,
    true,
    false,
  ]);
  expect(queue.reserve(other, NOW)).toBe(true);
  queue.release(request("1"));
  expect(queue.reserve(request("3"), NOW)).toBe(true);
  queue.release(request("2"));
  // One is due that has waited.
  expect(queue.reserve(other, NOW + 10)).toBe(false);
  expect(takeAll(queue, NOW + 10)).toEqual(["later"]);
  expect(queue.reserve(other, NOW + 10)).toBe(true);
});

it("gives out a request as it was added last", () => {
  const queue = queueOf([request("1")]);
  queue.delete(keyOf(request("1")));
  queue.add(request("1", { action: "other" }), NOW, NOW);
  expect(queue.take(NOW)).toMatchObject({ action: "other" });
  expect(queue.take(NOW)).toBeUndefined();
});

it("lets tenants take turns, however many requests one has", () => {
  const many = Array.from({ length: 10_000 }, (_, n) => request(`a${n}`));
  const queue = queueOf([...many, request("b1", { tenant: "b" }), request("b2", { tenant: "b" })]);
  expect(Array.from({ length: 5 }, () => queue.take(NOW)?.id)).toEqual(["a0", "b1", "a1", "b2", "a2"]);
});

it("keeps a delayed request until it is due, and says when that is", () => {
  const queue = queueOf([request("1")]);
  queue.add(request("2"), NOW + 500, NOW);
  queue.add(request("3"), NOW + 200, NOW);
  expect(takeAll(queue)).toEqual(["1"]);
  expect(queue.nextDueAt).toBe(NOW + 200);
  expect(takeAll(queue, NOW + 200)).toEqual(["3"]);
  expect(takeAll(queue, NOW + 500)).toEqual(["2"]);
  expect(queue.nextDueAt).toBe(Number.POSITIVE_INFINITY);
});

it("does not delay other actions for one that runs as often as it may", () => {
  const queue = queueOf([request("1"), request("2"), request("3", { action: "other" })], 1);
  expect(takeAll(queue)).toEqual(["1", "3"]);
  queue.release(request("1"));
  expect(takeAll(queue)).toEqual(["2"]);
});

it("holds each request once, and none that was deleted", () => {
  const queue = queueOf([request("1"), request("1"), request("2"), request("1", { tenant: "b" })]);
  queue.delete(keyOf(request("2")));
  expect(takeAll(queue).sort()).toEqual(["1", "1"]);
  queue.add(request("2"), NOW, NOW);
  expect(takeAll(queue)).toEqual(["2"]);
});

it("keeps the order of thousands that come while others go", () => {
  const all = Array.from({ length: 5_000 }, (_, n) => request(String(n)));
  const queue = queueOf(all.slice(0, 1_500));
  const taken: (string | undefined)[] = [];
  for (const next of all.slice(1_500)) {
    taken.push(queue.take(NOW)?.id);
    queue.add(next, NOW, NOW);
  }
  expect([...taken, ...takeAll(queue)]).toEqual(all.map(({ id }) => id));
});

it("gives out every request exactly once, whatever comes and goes", () => {
  const step = fc.record({
    act: fc.constantFrom("add", "delete", "take"),
    id: fc.nat(20).map(String),
    tenant: fc.constantFrom("a", "b", "c"),
    action: fc.constantFrom("x", "y"),
    priority: fc.integer({ min: -1, max: 1 }),
    delay: fc.constantFrom(0, 5, 50),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const queue = new RunQueue(() => 3);
      const waiting = new Set<string>();
      const running: StoredRequest[] = [];
      let now = NOW;
      for (const { act, delay, ...fields } of steps) {
        now++;
        const one = request(fields.id, fields);
        const key = keyOf(one);
        if (act === "add" && !running.some((each) => keyOf(each) === key)) {
          queue.add(one, now + delay, now);
          waiting.add(key);
        } else if (act === "delete") {
          queue.delete(key);
          waiting.delete(key);
        } else {
          const next = queue.take(now);
          if (next === undefined) {
            for (const done of running.splice(0)) queue.release(done);
          } else {
            expect(waiting.delete(keyOf(next))).toBe(true);
            running.push(next);
          }
        }
        for (const action of ["x", "y"]) {
          expect(running.filter((each) => each.action === action).length).toBeLessThanOrEqual(3);
        }
      }
      for (let left = waiting.size + running.length + 1; left > 0; left--) {
        for (const done of running.splice(0)) queue.release(done);
        for (let next = queue.take(now + 100); next !== undefined; next = queue.take(now + 100)) {
          expect(waiting.delete(keyOf(next))).toBe(true);
          running.push(next);
        }
      }
      expect([...waiting]).toEqual([]);
    }),
    { numRuns: 200 },
  );
});
