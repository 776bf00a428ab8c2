import { describe, expect, it } from "vitest";
import { clientError, ERROR_CODES, LiftError, type LiftErrorCode, withoutStack } from "./errors.ts";

describe("LiftError", () => {
  it("has the status, message and retry of its code", () => {
    expect(new LiftError("RATE_LIMITED")).toMatchObject({
      name: "LiftError",
      code: "RATE_LIMITED",
      status: 429,
      message: "Too many requests",
      retry: true,
    });
    expect(new LiftError("RATE_LIMITED", { message: "Slow down", retry: false })).toMatchObject({
      message: "Slow down",
      retry: false,
    });
  });

  it("is a 500 without details for an application's own code", () => {
    for (const code of ["MINE", "__proto__", "toString"]) {
      expect(new LiftError(code)).toMatchObject({
        code,
        status: 500,
        message: "Internal server error",
        retry: false,
      });
    }
  });

  it.each([200, 101, 302, 399, 600, 400.5, Number.NaN, "200" as never])(
    "is a 500 when its status is %s, which does not refuse",
    (status) => {
      expect(new LiftError("MINE", { status }).status).toBe(500);
    },
  );

  it.each([404, undefined, "", null, {}, Symbol("MINE")])(
    "is an INTERNAL_ERROR when its code is %s",
    (code) => {
      expect(new LiftError(code as never)).toMatchObject({ code: "INTERNAL_ERROR", status: 500 });
    },
  );

  it.each([400, 599])("keeps a status of %i", (status) => {
    expect(new LiftError("MINE", { status }).status).toBe(status);
  });

  it("has a refusing status for every code", () => {
    for (const kind of Object.values(ERROR_CODES)) expect(kind.status).toBeGreaterThanOrEqual(400);
  });
});

describe("clientError", () => {
  it("hides mistakes in the application and shows other errors", () => {
    for (const [code, kind] of Object.entries(ERROR_CODES)) {
      const thrown = new LiftError(code as LiftErrorCode);
      expect(clientError(thrown).code).toBe("internal" in kind ? "INTERNAL_ERROR" : code);
    }
  });

  it("keeps what was thrown as the cause, for the log", () => {
    const thrown = new Error("no database");
    expect(clientError(thrown)).toMatchObject({ code: "INTERNAL_ERROR", cause: thrown });
  });
});

describe("withoutStack", () => {
  it("names the sixth cause only, because causes may refer to each other", () => {
    const error = new Error("loop");
    error.cause = error;
    const described = JSON.stringify(withoutStack(error));
    expect(described.match(/"message":"loop"/g)).toHaveLength(6);
    expect(described).toContain('"cause":"Error"');
    expect(described).not.toContain("stack");
  });
});
