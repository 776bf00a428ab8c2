import { afterEach, describe, expect, it, vi } from "vitest";
import { LiftError } from "./errors.ts";
import { type JsonLoggerOptions, jsonLogger, type LogFields, type Logger } from "./logger.ts";

describe("the default logger", () => {
  afterEach(() => {
    vi.restoreAllMocks();
    vi.unstubAllEnvs();
  });

  it.each(["debug", "info", "warn", "error"] as const)("writes a JSON line by console.%s", (level) => {
    const write = vi.spyOn(console, level).mockReturnValue();
    jsonLogger({ level: "debug" })[level]("hello", { n: 1 });
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
    jsonLogger().error("failed", { error });
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
    jsonLogger().info("hello", circular);
    jsonLogger().info("big", { n: 1n });
    expect(JSON.parse(write.mock.calls[0]?.[0])).toMatchObject({ message: "hello" });
    expect(JSON.parse(write.mock.calls[1]?.[0])).toMatchObject({ n: "1" });
  });
});

/** What a logger of these options writes, as one text. */
function logs(options: JsonLoggerOptions, log: (logger: Logger) => void): string {
  const lines: string[] = [];
  log(jsonLogger({ ...options, write: (_level, line) => lines.push(line) }));
  return lines.join("\n");
}

describe("the level", () => {
  afterEach(() => void vi.unstubAllEnvs());
  const written = (options: JsonLoggerOptions = {}) =>
    logs(options, (logger) => {
      for (const level of ["debug", "info", "warn", "error"] as const) logger[level](level);
    })
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => (JSON.parse(line) as { level: string }).level);

  it("is info where nothing says otherwise", () => {
    vi.stubEnv("LOG_LEVEL", undefined);
    vi.stubEnv("AWS_LAMBDA_LOG_LEVEL", undefined);
    expect(written()).toEqual(["info", "warn", "error"]);
  });

  it.each([
    ["LOG_LEVEL", "warn", ["warn", "error"]],
    ["LOG_LEVEL", "SILENT", []],
    ["LOG_LEVEL", "nonsense", ["info", "warn", "error"]],
    ["AWS_LAMBDA_LOG_LEVEL", "TRACE", ["debug", "info", "warn", "error"]],
    ["AWS_LAMBDA_LOG_LEVEL", "FATAL", ["error"]],
  ])("comes from the environment: %s=%s", (name, value, levels) => {
    vi.stubEnv(name, value);
    expect(written()).toEqual(levels);
  });

  it("is the option's before the environment's", () => {
    vi.stubEnv("LOG_LEVEL", "debug");
    expect(written({ level: "error" })).toEqual(["error"]);
  });

  it.each([{ level: "loud" }, { redact: "token" }, { redacted: [] }])("takes no %o", (options) => {
    expect(() => jsonLogger(options as never)).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
  });
});

describe("redaction", () => {
  const JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJlLW9mLWFkYQ";
  const leaks = (fields: LogFields, message = "hello", options: JsonLoggerOptions = {}) =>
    logs(options, (logger) => logger.info(message, fields));

  it.each([
    "authorization",
    "Authorization",
    "Sec-WebSocket-Protocol",
    "Cookie",
    "token",
    "refresh_token",
    "accessToken",
    "clientSecret",
    "password",
    "apiKey",
    "x-api-key",
    "queryStringParameters",
  ])("hides a field named %s, at any depth", (name) => {
    const line = leaks({ a: [{ [name]: "hunter2" }], [name]: { nested: "hunter2" } });
    expect(line).not.toContain("hunter2");
    expect(line).toContain("[redacted]");
  });

  it.each([
    ["a JWT", `the token ${JWT} is bad`],
    ["a JWT without a signature", JWT.replace(/\.[^.]*$/, ".")],
    ["a bearer token", "Authorization: Bearer c2lnbmF0dXJlLW9mLWFkYQ=="],
    ["a token in a URL", "GET /prod?room=1&Authorization=c2lnbmF0dXJlLW9mLWFkYQ&b=2"],
    ["a ticket in a URL", "wss://x/?ticket=c2lnbmF0dXJlLW9mLWFkYQ"],
  ])("hides %s in a text, a message, an error", (_what, text) => {
    const error = new LiftError("MINE", { message: text, cause: new TypeError(text) });
    const line = leaks({ text, error }, text);
    expect(line).not.toContain("c2lnbmF0dXJlLW9mLWFkYQ");
    expect(line).not.toContain("eyJzdWIiOiJhZGEifQ");
    expect(JSON.parse(line)).toMatchObject({ error: { code: "MINE" } });
  });

  it("hides it where the fields are no JSON too", () => {
    const circular: { self?: unknown } = {};
    circular.self = circular;
    expect(leaks(circular, `it is ${JWT}`)).not.toContain("eyJ");
  });

  it("hides what the application names", () => {
    expect(leaks({ Iban: "DE02", ok: 1 }, "hello", { redact: ["iban"] })).toMatch(
      /"Iban":"\[redacted\]","ok":1/,
    );
  });

  it("leaves the rest as it is", () => {
    const fields = { connectionId: "L0SM9cOFvHcCIhw=", tokens: 3, n: null, url: "/x?page=2", list: [1, "b"] };
    expect(JSON.parse(leaks(fields))).toMatchObject({ ...fields, message: "hello" });
  });
});
