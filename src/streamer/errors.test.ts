import { describe, expect, it } from "vitest";
import { jsonLogger, LiftError } from "../lift/index.ts";
import { ProtocolError } from "../protocol/index.ts";
import { awaitStore, collectFromStore, toErrorBody, toLiftError } from "./errors.ts";

describe("a call of the store", () => {
  it("returns its result", async () => {
    expect(await awaitStore(Promise.resolve(7))).toBe(7);
    async function* list() {
      yield 1;
      yield 2;
    }
    expect(await collectFromStore(list())).toEqual([1, 2]);
  });

  it("fails with STORE_FAILED and the cause", async () => {
    const cause = new Error("disk full");
    const failure = { code: "STORE_FAILED", message: "The store did not answer", cause };
    await expect(awaitStore(Promise.reject(cause))).rejects.toMatchObject(failure);
    async function* list() {
      yield 1;
      throw cause;
    }
    await expect(collectFromStore(list())).rejects.toMatchObject(failure);
  });
});

describe("toLiftError", () => {
  it("keeps the code, the text and the issue of a protocol error", () => {
    const issue = { path: "payload.a", message: "is missing" };
    expect(
      toLiftError(new ProtocolError("VALIDATION_ERROR", "payload.a is missing", "1", issue)),
    ).toMatchObject({
      code: "VALIDATION_ERROR",
      message: "payload.a is missing",
      details: issue,
    });
    const error = toLiftError(new ProtocolError("NOT_FOUND", "No such action")) as LiftError;
    expect(error).toBeInstanceOf(LiftError);
    expect([error.code, error.details]).toEqual(["NOT_FOUND", undefined]);
  });

  it("returns other errors unchanged", () => {
    const error = new TypeError("not ours");
    expect(toLiftError(error)).toBe(error);
  });
});

describe("toErrorBody", () => {
  const lines: string[] = [];
  const logger = jsonLogger({ level: "debug", write: (_level, line) => lines.push(line) });

  it("has an error for clients, cut to 200 characters, and logs nothing", () => {
    const message = "x".repeat(201);
    expect(toErrorBody(new LiftError("FORBIDDEN", { message }), logger)).toEqual({
      code: "FORBIDDEN",
      message: "x".repeat(200),
      retry: false,
    });
    expect(lines).toEqual([]);
  });

  it("hides any other error behind a code, and logs it", () => {
    const body = toErrorBody(new Error("disk full at /srv"), logger);
    expect(body).toMatchObject({ code: "INTERNAL_ERROR", retry: false });
    expect(JSON.stringify(body)).not.toContain("disk");
    expect(lines.join()).toContain("disk full");
  });
});
