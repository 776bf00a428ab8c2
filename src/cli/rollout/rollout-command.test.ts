import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { stripVTControlCharacters } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createPlan, fileFlag, parseFlag, type RolloutStatus, startRollout } from "../../rollout/index.ts";
import { run } from "../run.ts";
import { formatStatus, formatTime, LiveDisplay } from "./display.ts";

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "lift-ws-rollout-"));
});

afterEach(() => rm(directory, { recursive: true }));

async function lift(...argv: string[]) {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const code = await run(["rollout", ...argv], { stdout, stderr });
  stdout.end();
  stderr.end();
  return { code, stdout: await text(stdout), stderr: stripVTControlCharacters(await text(stderr)) };
}

async function save(name: string, content: unknown): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

/** A configuration on files. */
async function configure(settings: object = {}): Promise<readonly string[]> {
  const places = { flag: `file:${directory}/flag`, state: `file:${directory}/state` };
  return ["--config", await save("c.json", { ...places, audit: `${directory}/audit.jsonl`, ...settings })];
}

const percent = async () =>
  parseFlag(await fileFlag(join(directory, "flag")).read(new AbortController().signal)).at(-1)?.percent;

describe("lift-ws rollout", () => {
  it("starts, shows, pauses, resumes and rolls back, and logs each change", async () => {
    const config = await configure();
    expect(await lift("start", ...config, "--reason", "version 2", "--who", "ann")).toMatchObject({
      code: 0,
    });
    expect(await percent()).toBe(5);
    const { stdout } = await lift("status", ...config);
    expect(stdout).toContain("Rollout running: 5 % on the new side");
    expect(stdout).toMatch(/Last change: start at .* by ann: version 2/);
    expect(await lift("pause", ...config)).toMatchObject({ stdout: expect.stringContaining("paused") });
    expect(await lift("resume", ...config)).toMatchObject({ stdout: expect.stringContaining("running") });
    expect(await lift("rollback", ...config, "--reason", "pager")).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("Rolled back: pager"),
    });
    expect(await percent()).toBe(0);
    const { stdout: json } = await lift("status", ...config, "--json");
    expect(JSON.parse(json)).toMatchObject({ state: { status: "rolled back" }, isFlagWritten: true });
    const log = (await readFile(join(directory, "audit.jsonl"), "utf8")).trim().split("\n");
    expect(log.map((line) => JSON.parse(line).action)).toEqual(["start", "pause", "resume", "rollback"]);
  });

  it("needs metrics to promote, and accepts a repeated --to", async () => {
    const config = await configure();
    await lift("start", ...config);
    expect(await lift("promote", "--to", "5", ...config)).toMatchObject({ code: 0 });
    expect(await lift("promote", "--to", "50", ...config)).toMatchObject({
      code: 1,
      stderr: "lift-ws: Nothing was changed: `to` is 50, but the next stage has 25 % (INVALID_INPUT)\n",
    });
    expect(await lift("promote", ...config)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining(
        "the setting `metrics` of the command, is required to watch and to promote",
      ),
    });
    expect(await percent()).toBe(5);
  });

  it.each([
    [[], 2, "Expected one of start, status, watch"],
    [["begin"], 2, "Expected one of start, status, watch"],
    [["status", "now"], 2, 'Unexpected argument "now"'],
    [["status", "--to", "25"], 2, "--to requires promote"],
    [["promote", "--to", "101"], 2, '--to must be a percentage above 0 and up to 100; got "101"'],
    [["status"], 2, "Missing `flag`"],
    [["status", "--flag", "flags/lift"], 2, "`flag` must be file:<folder>, ssm:<name>"],
    [["status", "--flag", "dynamodb:flags"], 2, "`flag` must be file:<folder>, ssm:<name>"],
    [["status", "--flag", "file:x", "--metrics", "graphite:x"], 2, "`metrics` must be cloudwatch:<stage>"],
    [["status", "--flag", "file:x", "--metrics", "prometheus:x"], 2, "`url` must be an http://"],
    [
      ["status", "--flag", "file:x", "--metrics", "prometheus:http://a:b@c"],
      2,
      "without credentials (use `headers`)",
    ],
    [["status", "--config", "missing.json"], 2, "Cannot read missing.json: ENOENT"],
    [["status", "--config", "missing.mjs"], 2, "Cannot find the module missing.mjs"],
    [["status", "--flag", "file:/nonexistent/flag"], 1, "There is no rollout: lift-ws rollout start"],
    [["watch", "--flag", "file:/nonexistent/flag"], 1, "There is no rollout: lift-ws rollout start"],
    [["rollback", "--flag", "file:/nonexistent/flag"], 1, "there is no rollout; start one first"],
  ])("%j exits with %i", async (argv, code, message) => {
    const state = argv.includes("--flag") ? ["--state", `file:${directory}/state`] : [];
    const result = await lift(...argv, ...state);
    expect(result).toMatchObject({ code, stdout: "", stderr: expect.stringContaining(message) });
    expect(result.stderr.trim().split("\n")).toHaveLength(1);
  });

  it.each([
    [{ flags: "file:x" }, "Unknown setting `flags`"],
    [{ plan: { stages: [{ percent: 101 }] } }, "`stages[0].percent` must be above 0 and at most 100"],
    [{ leadMs: 5 }, "`leadMs` must be"],
    [{ flag: { dynamodb: { tableName: "t" } } }, "`key` is required"],
    [{ metrics: { cloudwatch: {} } }, "`stage` is required"],
  ])("rejects the configuration %j, and changes nothing", async (settings, message) => {
    const config = await configure(settings);
    expect(await lift("start", ...config)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining(message),
    });
    expect(await percent()).toBeUndefined();
  });

  it("prints a failure of the system in one line", async () => {
    const file = await save("file", "");
    const config = await configure({ state: `file:${file}` });
    expect(await lift("status", ...config)).toMatchObject({
      code: 1,
      stderr: `lift-ws: ENOTDIR: not a directory, scandir '${file}'\n`,
    });
    const remote = await save(
      "remote.mjs",
      `export default { flag: { async read() {
      throw Object.assign(new Error("connect ECONNABORTED 127.0.0.1:1"), { code: "ECONNABORTED", syscall: "connect" });
    }, write() {} }, state: "file:${directory}/state" };`,
    );
    expect(await lift("status", "--config", remote)).toMatchObject({
      code: 1,
      stderr: "lift-ws: connect ECONNABORTED 127.0.0.1:1\n",
    });
  });

  it("requires a state of an ssm: flag that every machine can read", async () => {
    expect(await lift("status", "--flag", "ssm:/chat/lift-v2")).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("Missing `state`: set it to a row, dynamodb:<table>"),
    });
    expect(await lift("status", "--flag", "ssm:/chat/lift-v2", "--state", "ssm:/chat/state")).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("outgrows a parameter of Systems Manager: use dynamodb:<table>"),
    });
  });

  it("rejects a configuration that is not an object, or not JSON", async () => {
    expect(await lift("status", "--config", await save("a.json", []))).toMatchObject({ code: 2 });
    expect(await lift("status", "--config", await save("b.json", "{"))).toMatchObject({ code: 2 });
    const module = await save("c.mjs", "export const flag = 1;");
    expect(await lift("status", "--config", module)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("export one as default"),
    });
  });
});

describe("the display", () => {
  const HOUR = 3_600_000;
  const plan = createPlan();
  const NOW = Date.UTC(2026, 10, 29, 12);
  const side = {
    events: 10_000,
    errors: 12,
    connects: 500,
    connectFailures: 0,
    latencies: 10_000,
    latencySum: 121_000,
    latencySquares: 2_000_000,
  };
  const status: RolloutStatus = {
    state: { ...startRollout(plan, NOW), stage: 1, percent: 25, observedMs: 17.5 * HOUR },
    plan,
    change: {
      id: "a",
      time: "2026-11-29T00:00:00.000Z",
      who: "ann\u001b[2J",
      action: "promote",
      from: 5,
      to: 25,
      status: "running",
      why: "quiet",
    },
    isFlagWritten: true,
    total: { from: NOW - HOUR, to: NOW, old: side, new: { ...side, errors: 150 } },
    excess: undefined,
    nextWindowAt: NOW + 131_000,
  };
  const lines = (changes: Partial<RolloutStatus> = {}) =>
    formatStatus({ ...status, ...changes }, NOW, new PassThrough());

  it("shows stages, time, and both sides beside the limits", () => {
    expect(lines().join("\n")).toBe(`Rollout running: 25 % on the new side

  5 % ✔ ── 25 % ● ── 50 % ── 100 %
  ███████████░░░░░░░░░░░░░░░░░░░ 17 h 30 min of 48 h observed

                               old         new       limit
  errors                    0.12 %       1.5 %         1 %
  latency                  12.1 ms     12.1 ms       +20 %
  connection failures          0 %         0 %       0.1 %
  events                    10,000      10,000            
  connection attempts          500         500            

  Last change: promote at 2026-11-29T00:00:00.000Z by ann\\u001b[2J: quiet
  Next window: in 2 min 11 s`);
  });

  it("marks the measure that exceeds its limit, with the limit that counts", () => {
    const excess = {
      trigger: "errors",
      observed: 0.015,
      limit: 0.012,
      sample: 10_000,
      from: 0,
      to: 1,
    } as const;
    const stream = Object.assign(new PassThrough(), { isTTY: true });
    const shown = formatStatus({ ...status, excess }, NOW, stream as unknown as NodeJS.WritableStream);
    const yellow = shown.filter((line) => line.startsWith("\u001b[33m")).map(stripVTControlCharacters);
    expect(yellow).toEqual(["  errors                    0.12 %       1.5 %       1.2 %"]);
  });

  it("says that nothing was observed, that the flag is not written, and why it was rolled back", () => {
    const state = { ...status.state, status: "rolled back", percent: 0, reason: "pager" } as const;
    const shown = lines({ total: undefined, isFlagWritten: false, state }).join("\n");
    for (const part of ["25 % ✘", "No window", "Rolled back: pager", "does not have this percentage yet"]) {
      expect(shown).toContain(part);
    }
    expect(shown).not.toContain("Next window");
  });

  it.each([
    [0, "0 s"],
    [59_000, "59 s"],
    [60_000, "1 min"],
    [131_000, "2 min 11 s"],
    [48 * HOUR, "48 h"],
  ])("formats %i ms as %s", (ms, expected) => {
    expect(formatTime(ms)).toBe(expected);
  });

  it.each([
    [10, 4],
    [0, 2],
  ])("is drawn over the last one, lines that wrap at a width of %i included", (columns, rows) => {
    const stream = Object.assign(new PassThrough(), { columns });
    const display = new LiveDisplay(stream as unknown as NodeJS.WriteStream);
    display.show(["short", "x".repeat(25)]);
    display.show(["end"]);
    expect(String(stream.read())).toBe(`\u001b[Jshort\n${"x".repeat(25)}\n\u001b[${rows}A\u001b[Jend\n`);
  });
});
