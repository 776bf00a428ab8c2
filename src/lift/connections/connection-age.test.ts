import { expect, it } from "vitest";
import { mayBeConnecting } from "./connection-age.ts";

const MINUTE = 60_000;

it.each([
  [-365 * 24 * 60 * MINUTE, false],
  [-60 * MINUTE, false],
  [-5 * MINUTE, false],
  [-5 * MINUTE + 1, true],
  [0, true],
  [30_000 - 1, true],
  [30_000, false],
])("counts a connection of the age %d ms as connecting: %s", (age, expected) => {
  const now = Date.UTC(2026, 0, 1);
  expect(mayBeConnecting(now - age, now, 30_000)).toBe(expected);
});
