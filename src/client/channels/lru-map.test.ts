import { expect, it } from "vitest";
import { LruMap } from "./lru-map.ts";

it("evicts the entry that was set first, above 1,000 entries", () => {
  const map = new LruMap<number>();
  for (let n = 0; n < 1_000; n++) map.set(`k${n}`, n);
  expect([map.size, map.get("k0")]).toEqual([1_000, 0]);
  map.set("k0", -1);
  expect([map.size, map.get("k0"), map.get("k1")]).toEqual([1_000, -1, 1]);
  map.set("new", 1);
  expect([map.size, map.has("k0"), map.has("k1"), map.has("k2")]).toEqual([1_000, true, false, true]);
});
