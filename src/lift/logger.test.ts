import { afterEach, describe, expect, it, vi } from "vitest";
import { LiftError } from "./errors.ts";
import { FieldLogger, type JsonLoggerOptions, jsonLogger, type LogFields, type Logger } from "./logger.ts";

describe("the default logger", () => {
  afterEach(() => void vi.unstubAllEnvs());

  it.each(["debug", "info", "warn", "error"] as const)("writes a JSON line with console.%s", (level) => {
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

  it("writes the fields that are JSON and drops the others", () => {
    const write = vi.spyOn(console, "info").mockReturnValue();
    const circular: { self?: unknown } = {};
    circular.self = circular;
    jsonLogger().info("hello", { circular, twice: [circular, circular] });
    jsonLogger().info("big", { n: 1n });
    expect(JSON.parse(write.mock.calls[0]?.[0])).toMatchObject({
      message: "hello",
      circular: { self: "[circular]" },
      twice: [{ self: "[circular]" }, { self: "[circular]" }],
    });
    expect(JSON.parse(write.mock.calls[1]?.[0])).toMatchObject({ n: "1" });
  });

  it("writes a Map, a Set, and the length of bytes", () => {
    const fields = {
      map: new Map([["a", 1]]),
      set: new Set(["b"]),
      bytes: [Buffer.from("abc"), new Float64Array(2)],
    };
    expect(JSON.parse(logs({}, (logger) => logger.info("hello", fields)))).toMatchObject({
      map: { a: 1 },
      set: ["b"],
      bytes: ["[3 bytes]", "[16 bytes]"],
    });
  });

  it("does not throw for a field that cannot be read, nor does an event's logger", () => {
    const fields = Object.defineProperty({ n: 1 }, "x", { enumerable: true, get: fails });
    const line = logs({}, (logger) => {
      logger.info("plain", fields);
      new FieldLogger(logger, () => ({ connectionId: "c1" })).info("of an event", fields);
    });
    const [plain, ofEvent] = line.split("\n").map((one) => JSON.parse(one));
    expect(plain).toMatchObject({ message: "plain", n: 1 });
    expect(ofEvent).toMatchObject({ message: "of an event", connectionId: "c1" });
  });

  it.each<[string, object]>([
    ["a getter that throws", Object.defineProperty({}, "x", { enumerable: true, get: fails })],
    ["an error's getter that throws", Object.defineProperty(new Error("y"), "stack", { get: fails })],
    ["a toJSON that throws", { toJSON: fails }],
    ["a proxy that throws", new Proxy({}, { get: fails, ownKeys: fails })],
  ])("drops a field with %s, and no other", (_what, broken) => {
    const line = logs({}, (logger) => logger.info("hello", { broken, connectionId: "c1" }));
    expect(JSON.parse(line)).toEqual({
      level: "info",
      time: expect.any(String),
      message: "hello",
      connectionId: "c1",
      note: "some fields are not JSON",
    });
  });
});

function fails(): never {
  throw new Error("no");
}

/** Returns the lines of a logger with these options, as one text. */
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

  it("is info by default", () => {
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

  it("is the option's, which precedes the environment's", () => {
    vi.stubEnv("LOG_LEVEL", "debug");
    expect(written({ level: "error" })).toEqual(["error"]);
  });

  it.each([{ level: "loud" }, { redact: "token" }, { redacted: [] }, { maxTextLength: 63 }])(
    "rejects %o",
    (options) => {
      expect(() => jsonLogger(options as never)).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
    },
  );
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
    "secretAccessKey",
    "sessionToken",
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
    ["a token behind a URL", "https://x/#state=1&access_token=c2lnbmF0dXJlLW9mLWFkYQ"],
    ["a password in a URL", "redis://:c2lnbmF0dXJlLW9mLWFkYQ@cache:6379"],
    ["a token in JSON", '{"action":"in","refreshToken": "c2lnbmF0dXJlLW9mLWFkYQ"}'],
    ["a token in JSON in JSON", JSON.stringify('{"password":"c2lnbmF0dXJlLW9mLWFkYQ"}')],
    [
      "a signed session token",
      "'POST\n/\n\nhost:x\nx-amz-security-token:c2lnbmF0dXJlLW9mLWFkYQ//==\n\nhost'",
    ],
    ["a session token in JSON", '{"x-amz-security-token":"c2lnbmF0dXJlLW9mLWFkYQ"}'],
    ["a signed session token in a query", "X-Amz-Security-Token=c2lnbmF0dXJlLW9mLWFkYQ&X-Amz-Date=1"],
    ["a signature", "AWS4-HMAC-SHA256 SignedHeaders=host, Signature=c2lnbmF0dXJlLW9mLWFkYQ"],
  ])("hides %s in a text, a message, an error", (_what, text) => {
    const error = new LiftError("MINE", { message: text, cause: new TypeError(text) });
    const line = leaks({ text, error }, text);
    expect(line).not.toContain("c2lnbmF0dXJlLW9mLWFkYQ");
    expect(line).not.toContain("eyJzdWIiOiJhZGEifQ");
    expect(JSON.parse(line)).toMatchObject({ error: { code: "MINE" } });
  });

  describe("of an error with secrets in its message and its fields", () => {
    const failure = () =>
      Object.assign(new Error("fetch https://x/?token=SECRET123 failed"), {
        config: { headers: { Authorization: "Bearer SECRET456" }, auth: Buffer.from("SECRET789") },
      });
    const circular = failure();
    circular.cause = circular;
    const unreadable = Object.defineProperty(failure(), "x", { enumerable: true, get: fails });

    it.each<[string, LogFields]>([
      ["as a field", { error: failure() }],
      ["as a cause", { error: new Error("outer", { cause: failure() }) }],
      ["among an aggregate's", { error: new AggregateError([failure()], "all failed") }],
      ["deep within", { a: [{ b: { c: failure() } }] }],
      [
        "in a Map and a Set",
        {
          a: new Map<string, unknown>([
            ["authorization", "SECRET1"],
            ["e", new Set([failure()])],
          ]),
        },
      ],
      ["that is its own cause", { error: circular }],
    ])("shows none: %s", (_where, fields) => {
      const line = leaks(fields);
      expect(line).toContain("https://x/?token=[redacted] failed");
      expect(line).toContain('"Authorization":"[redacted]"');
      expect(line).not.toMatch(/SECRET\d/);
      expect(line).not.toContain([...Buffer.from("SECRET")].join());
    });

    it("shows none when it cannot be read", () => {
      expect(leaks({ error: unreadable, a: { unreadable } })).not.toMatch(/SECRET\d/);
    });
  });

  it("hides it when the fields are not JSON, too", () => {
    const circular: { self?: unknown } = {};
    circular.self = circular;
    expect(leaks(circular, `it is ${JWT}`)).not.toContain("eyJ");
  });

  it("truncates each text and appends its length", () => {
    const text = "a".repeat(20_000);
    const fields = { text, list: [{ text }], error: new Error(text), [text]: 1 };
    const entry = JSON.parse(leaks(fields, text)) as Record<string, { [name: string]: unknown }>;
    const cut = `${"a".repeat(8_192)}… (20000 characters)`;
    expect(entry).toMatchObject({
      message: cut,
      text: cut,
      list: [{ text: cut }],
      error: { message: cut },
      [cut]: 1,
    });
    expect(JSON.parse(leaks({ text: "a".repeat(100) }, "b", { maxTextLength: 64 }))).toMatchObject({
      text: `${"a".repeat(64)}… (100 characters)`,
    });
    expect(JSON.parse(leaks({ text: "a".repeat(64) }, "b", { maxTextLength: 64 }))).toMatchObject({
      text: "a".repeat(64),
    });
  });

  it("hides secrets in names of fields", () => {
    const line = leaks({ a: { [`?token=${JWT}`]: 1, "password of": "x", "a b": [2] } });
    expect(JSON.parse(line)).toMatchObject({
      a: { "?token=[redacted]": 1, "password of": "[redacted]", "a b": [2] },
    });
  });

  it("hides the names in the option `redact`", () => {
    expect(leaks({ Iban: "DE02", ok: 1 }, "hello", { redact: ["iban"] })).toMatch(
      /"Iban":"\[redacted\]","ok":1/,
    );
  });

  it("leaves other values unchanged", () => {
    const fields = { connectionId: "L0SM9cOFvHcCIhw=", tokens: 3, n: null, url: "/x?page=2", list: [1, "b"] };
    expect(JSON.parse(leaks(fields))).toMatchObject({ ...fields, message: "hello" });
  });
});
