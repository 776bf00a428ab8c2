import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";

const ROOT = join(import.meta.dirname, "../../..");

/** A fake npm: records each call and creates the packages of the lockfile, with the running Node. */
const NPM = `
const { appendFileSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } = require("node:fs");
const { join, relative } = require("node:path");
const root = join(__dirname, "..");
const folder = relative(root, process.cwd());
appendFileSync(join(root, "npm-calls"), [folder || ".", ...process.argv.slice(2)].join(" ") + "\\n");
if (process.env.NPM_FAILS) {
  console.error("npm error code ENOTFOUND\\nnpm error network is down\\nnpm error A complete log of this run can be found in: /logs/1");
  process.exit(1);
}
setTimeout(() => {
  const { packages } = JSON.parse(readFileSync("package-lock.json", "utf8"));
  rmSync("node_modules", { recursive: true, force: true });
  for (const path of Object.keys(packages).filter((path) => path.startsWith("node_modules/"))) {
    mkdirSync(path, { recursive: true });
    writeFileSync(join(path, "package.json"), "{}");
  }
  writeFileSync("node_modules/.package-lock.json", JSON.stringify({ packages }));
  if (packages["node_modules/node"] === undefined) return;
  mkdirSync("node_modules/node/bin");
  symlinkSync(process.execPath, "node_modules/node/bin/node");
}, 100);`;

/** Replaces the entry points of the demo, the benches and the command line. */
const MAIN = `
const [mode, ...rest] = process.argv.slice(2);
const print = () => console.log(mode, JSON.stringify(rest), process.execArgv.join());
if (mode !== "wait") print();
if (mode === "exit") process.exit(Number(rest[0]));
if (mode === "wait") {
  const timer = setInterval(() => {}, 1000);
  let signals = 0;
  const stop = (signal) => { signals++; setTimeout(() => { console.log(signal, signals); clearInterval(timer); }, 50); };
  process.on("SIGTERM", stop).on("SIGINT", stop).on("SIGHUP", stop);
  print();
}`;

/** Node flags that make `process.versions` report an older Node. */
export const OLD_NODE = [
  "--import",
  `data:text/javascript,Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.20.2" } })`,
];

/** A copy of the tools in a temporary tree, with a fake npm. */
export class ToolTree {
  readonly folder = mkdtempSync(join(tmpdir(), "lift-ws-run-"));

  constructor() {
    cpSync(join(ROOT, "tools"), join(this.folder, "tools"), {
      recursive: true,
      // Without installed packages: copying the parser's 170 packages took two minutes.
      filter: (path) => !path.includes("node22") && !path.includes("node_modules"),
    });
    for (const name of ["package.json", "package-lock.json"])
      cpSync(join(ROOT, name), join(this.folder, name));
    for (const main of ["examples/streamer/main.ts", "bench/main.ts", "src/cli/main.ts"])
      this.write(main, MAIN);
    this.write("npm/package.json", "{}");
    this.write("npm/npm-cli.js", NPM);
  }

  write(path: string, text: string): void {
    mkdirSync(join(this.folder, path, ".."), { recursive: true });
    writeFileSync(join(this.folder, path), text);
  }

  /** Changes an entry of the lockfile. */
  lock(path: string, change: object): void {
    const lockfile = JSON.parse(this.read("package-lock.json"));
    Object.assign(lockfile.packages[path], change);
    this.write("package-lock.json", JSON.stringify(lockfile));
  }

  read(path: string): string {
    return readFileSync(join(this.folder, path), "utf8");
  }

  has(path: string): boolean {
    return existsSync(join(this.folder, path));
  }

  /** Folders and arguments of the npm calls. */
  get npmCalls(): string[] {
    return this.has("npm-calls") ? this.read("npm-calls").trim().split("\n") : [];
  }

  launch(
    args: readonly string[],
    env: NodeJS.ProcessEnv = {},
    nodeFlags: readonly string[] = [],
  ): ChildProcess {
    return spawn(process.execPath, [...nodeFlags, join(this.folder, "tools/run.mjs"), ...args], {
      cwd: this.folder,
      env: { ...process.env, npm_execpath: join(this.folder, "npm/npm-cli.js"), ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  /** Runs a command to its end. */
  async command(args: readonly string[], env?: NodeJS.ProcessEnv, nodeFlags?: readonly string[]) {
    const child = this.launch(args, env, nodeFlags);
    const [stdout, stderr, [code]] = await Promise.all([
      text(child.stdout!),
      text(child.stderr!),
      once(child, "exit"),
    ]);
    return { code, stdout, stderr };
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
