import { expect, it, vi } from "vitest";
import { logSafely } from "./log-safely.ts";

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
