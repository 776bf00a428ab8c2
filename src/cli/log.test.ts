import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { anyText } from "../../test/support/any-text.ts";
import type { EventReport } from "../gateway/index.ts";
import { Sampler } from "../internal/sampler.ts";
import { createEventLog, describeError, logEvent } from "./log.ts";

const report: EventReport = {
  routeKey: "sendmessage",
  connectionId: "Xux7aeaAFiACHZQ=",
  requestId: "Ti89OF32joEFbiA=",
  status: 200,
  durationMs: 12,
};

async function logged(changes: Partial<EventReport>) {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  logEvent({ ...report, ...changes }, { stdout, stderr }, new Date());
  stdout.end();
  stderr.end();
  return { stdout: await text(stdout), stderr: await text(stderr) };
}

describe("an event's line", () => {
  it("has the time, the route, the status, the duration, and a short connection id", async () => {
    const { stdout, stderr } = await logged({});
    expect(stdout).toMatch(/^\d\d:\d\d:\d\d {2}sendmessage {5}200 {5}12 ms {2}Xux7aeaA\n$/);
    expect(stderr).toBe("");
  });

  it("is followed by the error with its stack and its cause", async () => {
    const error = new Error("no table", { cause: new TypeError("no network") });
    const { stdout, stderr } = await logged({ status: 502, error });
    expect(stdout).toContain("502");
    expect(stderr).toMatch(/^Error: no table\n {4}at .+log\.test\.ts/);
    expect(stderr).toMatch(/\[cause\]: TypeError: no network\n/);
  });

  it("is followed by the body of a refusal: in one line, without secrets, and truncated", async () => {
    const { stdout } = await logged({
      status: 400,
      body: '{"error":"no room\u001b[2J","token":"SECRET123"}',
    });
    expect(stdout.split("\n")[1]).toBe('  {"error":"no room\\u001b[2J","token":"[redacted]"}');
    const long = await logged({ status: 500, body: `first\nsecond${"x".repeat(5_000)}` });
    expect(long.stdout.split("\n")).toHaveLength(3);
    expect(long.stdout).toMatch(/\n {2}first\\u000asecondx{900,}… \(5012 characters\)\n$/);
  });

  it("has no colours when the output is not a terminal", async () => {
    expect((await logged({ status: 502 })).stdout).not.toContain("\u001b");
  });

  it("is one line without control characters, for any key of a client", async () => {
    await fc.assert(
      fc.asyncProperty(anyText, async (routeKey) => {
        const { stdout } = await logged({ routeKey });
        expect(stdout.length).toBeLessThan(500);
        expect(stdout.endsWith("Xux7aeaA\n")).toBe(true);
        expect(stdout.slice(0, -1)).not.toMatch(/[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/u);
      }),
    );
    expect((await logged({ routeKey: "a\u001b[2J\nb" })).stdout).toContain("a\\u001b[2J\\u000ab");
  });
});

describe("an error's text", () => {
  it.each([
    ["/dev?Authorization=abc.def&room=1", "/dev?Authorization=[redacted]&room=1"],
    ["wss://h/dev?room=1&access_token=abc", "wss://h/dev?room=1&access_token=[redacted]"],
    ["jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln is bad", "jwt [redacted] is bad"],
    [
      "{ headers: { Authorization: 'Bearer abc', Host: 'h' } }",
      "{ headers: { Authorization: '[redacted]', Host: 'h' } }",
    ],
    ["host:x\nx-amz-security-token:a/b==\n\nhost", "host:x\nx-amz-security-token:[redacted]\n\nhost"],
    ["AWS4-HMAC-SHA256 Credential=a, Signature=abc", "AWS4-HMAC-SHA256 Credential=a, Signature=[redacted]"],
  ])("omits the secrets of %s", (message, expected) => {
    expect(describeError(new Error(message))).toContain(`Error: ${expected}`);
    expect(describeError(message)).toBe(expected);
  });

  it("is truncated when a line or the whole is long, and keeps its stack", () => {
    const text = describeError(new Error(`Unrecognized key: "${"eyJ-".repeat(30_000)}"`));
    expect(text).toMatch(/… \(120027 characters\)\n {4}at .+log\.test\.ts/);
    expect(text.length).toBeLessThan(5_000);
    expect(describeError("a\n".repeat(20_000))).toMatch(/^(?:a\n){10000}… \(40000 characters\)$/);
  });

  it("omits the secrets in an error's fields", () => {
    const error = Object.assign(new Error("refused"), {
      headers: { cookie: ["sid=opaque-credential"], "x-api-key": "opaque-credential" },
      credentials: {
        accessKeyId: "AKID",
        secretAccessKey: "opaque-credential",
        sessionToken: "opaque-credential",
      },
      cause: new TypeError("redis://:opaque-credential@cache and Basic b3BhcXVlOmNyZWRlbnRpYWw="),
    });
    expect(describeError(error)).not.toMatch(/opaque-credential|b3BhcXVl/);
  });

  it("omits Node's own frames and the query of reloaded modules", () => {
    const error = new Error("x");
    error.stack = [
      "Error: x",
      "    at f (file:///p/a.mjs?lift-ws=3:1:2)",
      "    at run (node:internal/x:1:1)",
      "    at node:internal/y:2:2",
    ].join("\n");
    expect(describeError(error)).toBe("Error: x\n    at f (file:///p/a.mjs:1:2)");
  });

  it("exists for any thrown value", () => {
    for (const thrown of [undefined, null, "words", 1, { a: 1 }, Symbol("s")]) {
      expect(describeError(thrown)).not.toBe("");
    }
  });
});

function lines(reports: readonly EventReport[]): string[] {
  const stdout = new PassThrough();
  const log = createEventLog({ stdout, stderr: new PassThrough() }, new Sampler(() => 0));
  for (const each of reports) log(each);
  return String(stdout.read() ?? "")
    .split("\n")
    .slice(0, -1);
}

describe("createEventLog", () => {
  it("writes a line for each event that had a handler", () => {
    expect(lines(Array(50).fill(report))).toHaveLength(50);
  });

  it("samples many refused messages, and writes their count", () => {
    const written = lines(Array(10_000).fill({ ...report, status: 429, durationMs: 0 }));
    expect(written.length).toBeLessThan(20);
    expect(written.at(-1)).toContain("10000 refused with 429");
  });
});
