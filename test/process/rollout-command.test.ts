// `lift-ws rollout` and `lift-ws reconcile` in processes of their own, killed and resumed.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { createRollout, fileFlag, parseFlag, type RolloutChange } from "lift-ws/rollout";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Project } from "./project.ts";

/** The process kills itself at a write: before it, or after it was carried out. */
const CONFIG = `import { fileFlag } from "lift-ws/rollout";
  const { KILL_AT, BAD } = process.env;
  let step = 0;
  async function maybeDie() {
    if (++step !== Number(KILL_AT)) return;
    process.kill(process.pid, "SIGKILL");
    await new Promise(() => {});
  }
  const killable = (target) => ({
    read: (signal) => target.read(signal),
    async write(value, last, signal) {
      await maybeDie();
      await target.write(value, last, signal);
      await maybeDie();
    },
  });
  const good = { events: 1000, errors: 0, connects: 100, connectFailures: 0, latencies: 1000, latencySum: 10000, latencySquares: 110000 };
  export default {
    flag: killable(fileFlag("flag")),
    state: killable(fileFlag("state")),
    metrics: { read: (from, to) => ({ from, to, old: good, new: { ...good, errors: BAD ? 60 : 0 } }) },
    plan: { stages: [{ percent: 5, hours: 1 }, { percent: 25, hours: 1 }, { percent: 100 }], windowMs: 1_000 },
    delayMs: 0,
    audit: "audit.jsonl",
  };`;
const CONFIGURED = ["--config", "rollout.mjs"];

let project: Project;

beforeEach(async () => {
  project = await Project.create({ "rollout.mjs": CONFIG });
});

afterEach(() => project.remove());

const path = (name: string) => join(project.directory, name);
const { signal } = new AbortController();

async function percent(): Promise<number | undefined> {
  return parseFlag(await fileFlag(path("flag")).read(signal)).at(-1)?.percent;
}

async function changes(): Promise<readonly RolloutChange[]> {
  const log = await readFile(path("audit.jsonl"), "utf8");
  return log
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}

async function exit(argv: readonly string[], env: Record<string, string> = {}) {
  const command = project.run(argv, env);
  return { code: await command.exited, output: command.output };
}

// Each change writes the state and the flag.
it.each([1, 2, 3, 4])(
  "a rollout that is killed at step %i of each command is resumed by the same command",
  async (step) => {
    const commands = [
      [["start"], 5],
      [["promote", "--to", "25"], 25],
      [["rollback"], 0],
    ] as const;
    for (const [words, expected] of commands) {
      const argv = ["rollout", ...words, ...CONFIGURED];
      expect((await exit(argv, { KILL_AT: String(step) })).code).toBe("SIGKILL");
      const { code, output } = await exit(argv);
      // A start that was carried out is not repeated.
      const isRefused = words[0] === "start" && (step === 4 || output.includes("running already"));
      expect([code, output]).toEqual([isRefused ? 1 : 0, output]);
      expect(await percent()).toBe(expected);
    }
    const log = await changes();
    expect(log.map(({ action }) => action)).toEqual(["start", "promote", "rollback"]);
    expect(new Set(log.map(({ id }) => id)).size).toBe(3);
  },
);

describe("lift-ws rollout watch", () => {
  /** Starts a rollout two minutes ago, so that windows are due. */
  beforeEach(async () => {
    const past = Date.now() - 120_000;
    const clock = { now: () => past, elapsed: () => 0, wait: async () => {} };
    const plan = {
      stages: [{ percent: 5, hours: 1 }, { percent: 25, hours: 1 }, { percent: 100 }],
      windowMs: 1_000,
    };
    await createRollout({ flag: fileFlag(path("flag")), state: fileFlag(path("state")), plan, clock }).start(
      "begin",
    );
  });

  it("prints a line for each window, stops with Ctrl-C, and continues after SIGKILL", async () => {
    const first = project.run(["rollout", "watch", ...CONFIGURED]);
    await first.prints(/^20\S+ {2}5 % {2}new: 1,000 events, errors 0 %, 10.0 ms/m, 3);
    await first.kill();
    const second = project.run(["rollout", "watch", ...CONFIGURED]);
    await second.prints(/new: 1,000 events/);
    second.signal("SIGINT");
    expect(await second.exited).toBe(0);
    expect(second.output).toContain("Nothing watches the rollout now");
    const times = (output: string) => output.match(/^20\S+(?= {2}5 % {2}new)/gm) ?? [];
    const all = [...times(first.output), ...times(second.output)];
    expect(new Set(all).size).toBe(all.length);
    expect(await percent()).toBe(5);
  });

  it("rolls back when a trigger fires, says why, and exits with 1", async () => {
    const { code, output } = await exit(["rollout", "watch", ...CONFIGURED], { BAD: "1" });
    expect(code).toBe(1);
    expect(output).toMatch(/rollback: 5 % to 0 %, rolled back, by \S+: error rate of 6 % exceeds 1 %/);
    expect(await percent()).toBe(0);
  });
});

describe("lift-ws reconcile", () => {
  const STORES = `import { memoryConnectionStore } from "lift-ws/store/memory";
    const row = (id) => ({ id, metadata: {}, state: {}, sourceIp: "", endpoint: "", connectedAt: 1, expiresAt: 4e12 });
    export const primary = memoryConnectionStore();
    export const secondary = memoryConnectionStore();
    for (let n = 10; n < 35; n++) await primary.save(row("id-" + n));
    if (process.env.EXTRA) await secondary.save(row("extra"));
    const { save } = secondary;
    let saved = 0;
    secondary.save = async (...args) => {
      if (++saved === Number(process.env.KILL_AT)) process.kill(process.pid, "SIGKILL");
      return save.apply(secondary, args);
    };`;
  const RECONCILE = ["reconcile", "stores.mjs", "--page-size", "10"];

  beforeEach(() => project.save("stores.mjs", STORES));

  it("copies rows with progress, and exits with 0 when the stores are equal", async () => {
    const { code, output } = await exit(RECONCILE);
    expect([code, output]).toEqual([0, output]);
    for (const rows of [10, 20, 25])
      expect(output).toContain(`${rows} rows compared, ${rows} repaired, 0 differ`);
    expect(output).toContain("The stores are equal.");
    expect(await readdir(project.directory)).not.toContain("reconcile-cursor.json");
  });

  it("continues after SIGKILL, and begins again with --restart", async () => {
    expect((await exit(RECONCILE, { KILL_AT: "15" })).code).toBe("SIGKILL");
    expect(JSON.parse(await readFile(path("reconcile-cursor.json"), "utf8"))).toMatchObject({ checked: 10 });
    const { output } = await exit(RECONCILE);
    expect(output).not.toContain("10 rows compared");
    expect(output).toContain("25 rows compared, 25 repaired, 0 differ");
    await exit(RECONCILE, { KILL_AT: "15" });
    expect((await exit([...RECONCILE, "--restart"])).output).toContain("10 rows compared");
  });

  it("lists rows that differ and exits with 1; --remove-extra deletes them", async () => {
    const { code, output } = await exit(RECONCILE, { EXTRA: "1" });
    expect(code).toBe(1);
    expect(output).toContain("  extra: row\n1 rows still differ.");
    expect((await exit([...RECONCILE, "--remove-extra"], { EXTRA: "1" })).code).toBe(0);
  });

  it.each([
    [["reconcile"], "Missing argument: the module that exports the stores"],
    [["reconcile", "rollout.mjs"], "rollout.mjs has no stores: export `primary` and `secondary`"],
    [["reconcile", "stores.mjs#primary"], "stores.mjs#primary has no stores"],
    [
      ["reconcile", "stores.mjs", "--page-size", "0"],
      '--page-size must be an integer from 1 to 100000; got "0"',
    ],
  ])("%j exits with 2", async (argv, message) => {
    expect(await exit(argv)).toEqual({ code: 2, output: expect.stringContaining(message) });
  });

  it("refuses the cursor of another module, or a malformed one", async () => {
    const saved = { module: "other.mjs", checked: 1, repaired: 1, remaining: 0, cursor: "p:" };
    await project.save("reconcile-cursor.json", JSON.stringify(saved));
    expect(await exit(RECONCILE)).toEqual({
      code: 2,
      output: expect.stringContaining("of another module, other.mjs"),
    });
    const other = { ...saved, module: "stores.mjs", envFile: "staging.env" };
    await project.save("reconcile-cursor.json", JSON.stringify(other));
    expect(await exit(RECONCILE)).toEqual({
      code: 2,
      output: expect.stringContaining("of another --env-file, staging.env"),
    });
    await project.save("reconcile-cursor.json", "{");
    expect(await exit(RECONCILE)).toEqual({
      code: 2,
      output: expect.stringContaining("malformed: set --restart"),
    });
  });
});
