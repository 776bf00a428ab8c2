import { afterEach, describe, expect, it, vi } from "vitest";
import { LiftError } from "./errors.ts";
import { consoleLogger } from "./logger.ts";

describe("the default logger", () => {
  afterEach(() => void vi.restoreAllMocks());

  it.each(["debug", "info", "warn", "error"] as const)("writes a JSON line by console.%s", (level) => {
    const write = vi.spyOn(console, level).mockReturnValue();
    consoleLogger[level]("hello", { n: 1 });
    expect(JSON.parse(write.mock.calls[0]?.[0])).toEqual({
      level,
      time: expect.any(String),
      message: "hello",
      n: 1,
    });
  });

  it("writes an error with its cause and stack", () => {
    const write = vi.spyOn(console, "error").mockReturnValue();
    const error = new LiftError("STORE_FAILED", { cause: new TypeError("down") });
    consoleLogger.error("failed", { error });
    expect(JSON.parse(write.mock.calls[0]?.[0])).toMatchObject({
      error: {
        code: "STORE_FAILED",
        stack: expect.any(String),
        cause: { name: "TypeError", message: "down" },
      },
    });
  });

  it("writes what it can of fields that are no JSON", () => {
    const write = vi.spyOn(console, "info").mockReturnValue();
    const circular: { self?: unknown } = {};
    circular.self = circular;
    consoleLogger.info("hello", circular);
    consoleLogger.info("big", { n: 1n });
    expect(JSON.parse(write.mock.calls[0]?.[0])).toMatchObject({ message: "hello" });
    expect(JSON.parse(write.mock.calls[1]?.[0])).toMatchObject({ n: "1" });
  });
});
