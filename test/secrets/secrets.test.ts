// Tests the search for secrets in the output of a run: see record.ts and tools/secrets.mjs.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SignJWT } from "jose";
import { jsonLogger, Lift, LiftError } from "lift-ws";
import { connectEvent, lambdaContext, recordingConnections } from "lift-ws/testing";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { findSecrets } from "../../tools/secrets.mjs";

const token = await new SignJWT({ sub: "ada" })
  .setProtectedHeader({ alg: "HS256" })
  .sign(new TextEncoder().encode("some secret of thirty-two bytes, or more"));

/** Finds the secrets in an output of these lines. */
function found(...lines: string[]): string[] {
  const folder = mkdtempSync(join(tmpdir(), "lift-ws-secrets-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "1.txt"), ["[/tree/a.test.ts]", ...lines].join("\n"));
  return findSecrets(folder).leaks;
}

describe("the search for secrets", () => {
  it.each([
    ["a token", `GET /dev?token=${token}`],
    ["a token in colours", `GET /dev?token=\u001b[31m${token}\u001b[0m`],
    ["what signs tokens", "HS256 by a secret of thirty-two bytes, or more"],
    ["a token of the tests' own", '{"token":"c2lnbmF0dXJlLW9mLWFkYQ=="}'],
    ["an access key", "wJalrXUtnFEMI/K7MDENG"],
  ])("finds %s without repeating it", (_what, line) => {
    const [leak] = found("all is well", line);
    expect(leak).toMatch(/^\/tree\/a\.test\.ts: .*<here>/);
    expect(leak).not.toContain(line);
  });

  it("accepts a token that is printed for use, but not later uses of it", () => {
    expect(found(token)).toEqual([]);
    expect(found(token, `signed ${token.split(".").at(-1)}`)).toHaveLength(1);
  });

  it("finds nothing in clean output", () => {
    expect(found('{"message":"The event failed","error":"[redacted]"}')).toEqual([]);
  });
});

describe("the recorded output of a run", () => {
  const folder = process.env.OUTPUT_FOLDER ?? "";
  const kept = () =>
    readdirSync(folder)
      .map((name) => readFileSync(join(folder, name), "utf8"))
      .join("\n");
  // Built at run time, so that the source does not contain it.
  const unique = (name: string) => `${name}-${process.pid}-${Math.random().toString(36).slice(2)}`;

  it("has the output of tests", () => {
    const printed = unique("printed");
    console.debug("%s", printed);
    expect(kept()).toContain(printed);
  });

  it("has the output of processes, even when only the test reads it", async () => {
    const words = [unique("out"), unique("err")];
    const script = "process.stdout.write(process.argv[1]); process.stderr.write(process.argv[2])";
    const child = spawn(process.execPath, ["-e", script, ...words], { stdio: ["ignore", "pipe", "pipe"] });
    child.stdout.resume();
    child.stderr.resume();
    await once(child, "close");
    for (const word of words) expect(kept()).toContain(word);
  });

  it("has the lines of loggers with other targets, including an app's logger", async () => {
    const [own, ofApp] = [unique("own"), unique("app")];
    jsonLogger({ write: () => {} }).info(own);
    vi.spyOn(console, "error").mockReturnValue();
    const app = new Lift({ connections: recordingConnections() });
    app.webSocket("$connect", () => {
      throw new LiftError("MINE", { message: ofApp, status: 500 });
    });
    await app.webSocketHandler()(connectEvent(), lambdaContext());
    expect(kept()).toContain(own);
    expect(kept()).toContain(ofApp);
  });
});
