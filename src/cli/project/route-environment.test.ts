import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, it } from "vitest";
import { withEnvironment } from "./route-environment.ts";

const { env } = process;

beforeEach(() => {
  process.env = { SHARED: "shared", TABLE: "default" };
});
afterEach(() => {
  process.env = env;
});

it("sets each route's variables in the asynchronous work of its events, while others run", async () => {
  const read = async () => {
    await sleep(1);
    return [process.env.TABLE, process.env.SHARED];
  };
  const both = [withEnvironment({ TABLE: "a" }, read), withEnvironment({ TABLE: "b" }, read), read()];
  expect(await Promise.all(both)).toEqual([
    ["a", "shared"],
    ["b", "shared"],
    ["default", "shared"],
  ]);
});

it("lists the route's variables with the others", () => {
  withEnvironment({ TABLE: "a", OWN: "x" }, () => {
    expect({ ...process.env }).toEqual({ SHARED: "shared", TABLE: "a", OWN: "x" });
    expect("OWN" in process.env).toBe(true);
  });
  expect("OWN" in process.env).toBe(false);
});
