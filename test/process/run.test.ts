// tools/run.mjs in a tree of its own, with an npm that only pretends.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";

const ROOT = join(import.meta.dirname, "../..");

/** Writes down that it was called, and "installs" the Node that runs this. */
const NPM = `
const { appendFileSync, mkdirSync, symlinkSync } = require("node:fs");
appendFileSync("npm-calls", process.argv.slice(2).join(" ") + "\\n");
if (process.env.NPM_FAILS) {
  console.error("npm error code ENOTFOUND\\nnpm error network is down\\nnpm error A complete log of this run can be found in: /logs/1");
  process.exit(1);
}
setTimeout(() => {
  mkdirSync("node_modules/node/bin", { recursive: true });
  try { symlinkSync(process.execPath, "node_modules/node/bin/node"); } catch {}
}, 100);`;

const MAIN = `
const [mode, ...rest] = process.argv.slice(2);
const tell = () => console.log(mode, JSON.stringify(rest), process.execArgv.join());
if (mode !== "wait") tell();
if (mode === "exit") process.exit(Number(rest[0]));
if (mode === "wait") {
  const timer = setInterval(() => {}, 1000);
  let signals = 0;
  const stop = (signal) => { signals++; setTimeout(() => { console.log(signal, signals); clearInterval(timer); }, 50); };
  process.on("SIGTERM", stop).on("SIGINT", stop);
  tell();
}`;

let tree: string;

beforeEach(() => {
  tree = mkdtempSync(join(tmpdir(), "lift-ws-run-"));
  onTestFinished(() => rmSync(tree, { recursive: true, force: true }));
  cpSync(join(ROOT, "tools"), join(tree, "tools"), {
    recursive: true,
    // Not what is installed in there: of the parser's 170 packages the copies took two minutes.
    filter: (path) => !path.includes("node22") && !path.includes("node_modules"),
  });
  mkdirSync(join(tree, "examples/streamer"), { recursive: true });
  writeFileSync(join(tree, "examples/streamer/main.ts"), MAIN);
  writeFileSync(join(tree, "npm-cli.js"), NPM);
  writeFileSync(join(tree, "package-lock.json"), "{}");
});

describe("the first command", () => {
  it("installs from the lockfile, and not again until the lockfile changes", async () => {
    expect((await command(["start", "a"])).stderr).toMatch(/^Installing .*\nInstalled in \d+ s\.\n$/);
    expect((await command(["start", "b"])).stderr).toBe("");
    expect(npmCalls()).toEqual([expect.stringMatching(/^ci --include=dev/)]);
    writeFileSync(join(tree, "package-lock.json"), '{ "changed": true }');
    await command(["start", "c"]);
    expect(npmCalls()).toHaveLength(2);
  });

  it("makes `npx lift-ws` run the source", async () => {
    mkdirSync(join(tree, "src/cli"), { recursive: true });
    writeFileSync(join(tree, "src/cli/main.ts"), MAIN);
    await command(["start"]);
    const link = spawn(join(tree, "node_modules/.bin/lift-ws"), ["exit", "3", "--flag"], { cwd: tree });
    const [stdout, [code]] = await Promise.all([text(link.stdout), once(link, "exit")]);
    expect([code, stdout]).toEqual([3, 'exit ["3","--flag"] --conditions=@lift-ws/source\n']);
  });

  it("installs once when two come at the same time", async () => {
    const both = await Promise.all([command(["start", "a"]), command(["start", "b"])]);
    expect(both.map(({ code }) => code)).toEqual([0, 0]);
    expect(npmCalls()).toHaveLength(1);
  });

  it("takes over from one that died while it was installing", async () => {
    const dead = spawn(process.execPath, ["--version"]);
    await once(dead, "exit");
    mkdirSync(join(tree, ".lift-ws"));
    writeFileSync(join(tree, ".lift-ws/install.lock"), String(dead.pid));
    expect((await command(["start"])).code).toBe(0);
  });

  it("says in one line why npm failed, and leaves no lock behind", async () => {
    const { code, stderr } = await command(["start"], { NPM_FAILS: "1" });
    expect(code).toBe(1);
    expect(stderr.split("\n").slice(1)).toEqual([
      "lift-ws: npm ci failed: code ENOTFOUND; network is down (log: /logs/1)",
      "",
    ]);
    expect(existsSync(join(tree, ".lift-ws/install.lock"))).toBe(false);
  });
});

describe("a command", () => {
  it("gets its arguments, runs on the source, and its exit code is kept", async () => {
    const { code, stdout } = await command(["start", "exit", "7", "--flag"]);
    expect(stdout).toBe('exit ["7","--flag"] --conditions=@lift-ws/source\n');
    expect(code).toBe(7);
  });

  it.each(["SIGTERM", "SIGINT"] as const)("gets %s once, and ends in its own time", async (signal) => {
    const child = launch(["start", "wait"]);
    const output = text(child.stdout!);
    await once(child.stdout!, "readable");
    child.kill(signal);
    child.kill(signal);
    expect(await once(child, "exit")).toEqual([0, null]);
    expect((await output).split("\n").slice(1)).toEqual([`${signal} 1`, ""]);
  });

  it.each(["start", "test", "check", "build"])("%s explains itself without installing", async (name) => {
    const { code, stdout } = await command([name, "--help"]);
    expect([code, stdout]).toEqual([0, expect.stringMatching(new RegExp(`^npm (run )?${name}`))]);
    expect(existsSync(join(tree, "npm-calls"))).toBe(false);
  });

  it("is refused when there is none of that name", async () => {
    const { code, stderr } = await command(["strat"]);
    expect([code, stderr]).toEqual([
      1,
      "lift-ws: no command strat: it is one of start, test, check, check:properties, check:history, bench, build, bundle\n",
    ]);
  });
});

function launch(args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  return spawn(process.execPath, [join(tree, "tools/run.mjs"), ...args], {
    cwd: tree,
    env: { ...process.env, npm_execpath: join(tree, "npm-cli.js"), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

async function command(args: readonly string[], env?: NodeJS.ProcessEnv) {
  const child = launch(args, env);
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout!),
    text(child.stderr!),
    once(child, "exit"),
  ]);
  return { code, stdout, stderr };
}

function npmCalls(): string[] {
  return readFileSync(join(tree, "npm-calls"), "utf8").trim().split("\n");
}
