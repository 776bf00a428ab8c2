import { expect, it, vi } from "vitest";
import { logSafely, runSafely } from "./log-safely.ts";

it("passes the message and its fields to the logger's method", () => {
  const logger = { warn: vi.fn(), error: vi.fn() };
  logSafely(logger, "error", "A send failed", { id: "a" });
  expect(logger.error).toHaveBeenCalledExactlyOnceWith("A send failed", { id: "a" });
  expect(logger.warn).not.toHaveBeenCalled();
});

it("ignores a logger that throws", () => {
  const warn = () => {
    throw new Error("disk full");
  };
  expect(() => logSafely({ warn, error: warn }, "warn", "A send failed", {})).not.toThrow();
});

it("logs the error of an action, thrown or rejected", async () => {
  const logger = { warn: vi.fn(), error: vi.fn() };
  const error = new Error("locked");
  await runSafely(() => Promise.reject(error), logger, "An action failed");
  await runSafely(
    () => {
      throw error;
    },
    logger,
    "An action failed",
  );
  expect(logger.error.mock.calls).toEqual(Array(2).fill(["An action failed", { error }]));
});
