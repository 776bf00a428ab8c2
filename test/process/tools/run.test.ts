// tools/run.mjs in a copied tree with a fake npm.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { ToolTree } from "./tool-tree.ts";

let tree: ToolTree;

beforeEach(() => {
  tree = new ToolTree();
  onTestFinished(() => tree.remove());
});

describe("the first command", () => {
  it("installs from the lockfile, and not again until the lockfile changes", async () => {
    expect((await tree.command(["bench", "a"])).stderr).toMatch(/^Installing .*\nInstalled in \d+ s\.\n$/);
    expect((await tree.command(["bench", "b"])).stderr).toBe("");
    expect(tree.npmCalls).toEqual([expect.stringMatching(/^\. ci .*--include=dev/)]);
    tree.lock("node_modules/vitest", { version: "0.0.1" });
    await tree.command(["bench", "c"]);
    expect(tree.npmCalls).toHaveLength(2);
  });

  it("makes `npx lift-ws` run the source", async () => {
    await tree.command(["bench"]);
    const link = spawn(join(tree.folder, "node_modules/.bin/lift-ws"), ["exit", "3", "--flag"]);
    const [stdout, [code]] = await Promise.all([text(link.stdout), once(link, "exit")]);
    expect([code, stdout]).toEqual([3, 'exit ["3","--flag"] --conditions=@lift-ws/source\n']);
  });

  it("installs once when two commands start together", async () => {
    const both = await Promise.all([tree.command(["bench", "a"]), tree.command(["bench", "b"])]);
    expect(both.map(({ code }) => code)).toEqual([0, 0]);
    expect(tree.npmCalls).toHaveLength(1);
  });

  it("takes over from a command that died while installing", async () => {
    const dead = spawn(process.execPath, ["--version"]);
    await once(dead, "exit");
    tree.write(".lift-ws/install.lock", String(dead.pid));
    expect((await tree.command(["bench"])).code).toBe(0);
  });

  it("reports npm's failure in one line, and removes the lock", async () => {
    const { code, stderr } = await tree.command(["bench"], { NPM_FAILS: "1" });
    expect(code).toBe(1);
    expect(stderr.split("\n").slice(1)).toEqual([
      "lift-ws: npm ci failed: code ENOTFOUND; network is down (log: /logs/1)",
      "",
    ]);
    expect(tree.has(".lift-ws/install.lock")).toBe(false);
  });
});

describe("a command", () => {
  it("receives its arguments, runs on the source, and keeps its exit code", async () => {
    const { code, stdout } = await tree.command(["start", "exit", "7", "--flag"]);
    expect(stdout).toBe('exit ["7","--flag"] --conditions=@lift-ws/source\n');
    expect(code).toBe(7);
  });

  it.each(["SIGTERM", "SIGINT"] as const)("receives %s once, and ends gracefully", async (signal) => {
    const child = tree.launch(["start", "wait"]);
    const output = text(child.stdout!);
    await once(child.stdout!, "readable");
    child.kill(signal);
    child.kill(signal);
    expect(await once(child, "exit")).toEqual([0, null]);
    expect((await output).split("\n").slice(1)).toEqual([`${signal} 1`, ""]);
  });

  it.each(["start", "test", "check", "build"])("%s prints its help without installing", async (name) => {
    const { code, stdout } = await tree.command([name, "--help"]);
    expect([code, stdout]).toEqual([0, expect.stringMatching(new RegExp(`^npm (run )?${name}`))]);
    expect(tree.npmCalls).toEqual([]);
  });

  it("is refused when it is unknown", async () => {
    const { code, stderr } = await tree.command(["strat"]);
    expect([code, stderr]).toEqual([
      1,
      "lift-ws: unknown command strat; expected one of start, test, check, check:properties, check:history, check:templates, rehearse, mutate, bench, build, synth, bundle\n",
    ]);
  });
});
