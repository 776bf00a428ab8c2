// The real npm, which runs commands in a shell that forwards no signals. Each signal goes to npm only.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { Command, Project } from "../project.ts";
import { ToolTree } from "./tool-tree.ts";

const ROOT = join(import.meta.dirname, "../../..");
const NODE = `${process.execPath} --conditions=@lift-ws/source`;
const PUBLISHED = `${NODE} ${ROOT}/src/cli/main.ts`;
const IN_THE_TREE = `${process.execPath} ${ROOT}/tools/lift-ws.mjs`;
const SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP", "SIGKILL"] as const;

const APP = `
  import { Lift } from "lift-ws";
  import { start } from "lift-ws/start";
  setInterval(() => {}, 1000); // an open handle, as a pool of connections is
  await start(new Lift({}));`;

let folder: string;
let remove: () => void | Promise<void>;
let group: number;

afterEach(async () => {
  try {
    process.kill(-group, "SIGKILL");
  } catch {} // The whole group has ended.
  await remove();
});

/** @param command the shell command of `lift-ws` */
async function createProject(scripts: Record<string, string> = {}, command = PUBLISHED): Promise<Project> {
  const project = await Project.create({
    "package.json": JSON.stringify({ type: "module", scripts }),
    "app.mjs": APP,
    "handler.mjs": "export const handler = async () => ({ statusCode: 200 });",
    "node_modules/.bin/lift-ws": `#!/bin/sh\nexec ${command} "$@"\n`,
  });
  await chmod(join(project.directory, "node_modules/.bin/lift-ws"), 0o755);
  folder = project.directory;
  remove = () => project.remove();
  return project;
}

/** Without npm's variables, and in its own process group, so that the test can end the whole group. */
function run(...[program = "npm", ...args]: string[]): Command {
  const own = Object.entries(process.env).filter(([name]) => !name.toLowerCase().startsWith("npm_"));
  const env = { ...Object.fromEntries(own), PORT: "0" };
  const running = new Command(spawn(program, args, { cwd: folder, env, detached: true }));
  group = running.pid;
  return running;
}

// Without SIGINT: the shell waits for its child and forwards nothing. Ctrl-C in a terminal reaches the whole group.
describe.each(SIGNALS.filter((signal) => signal !== "SIGINT"))("%s to npm", (signal) => {
  it("drains the server of npm start, and leaves no process", async () => {
    const project = await createProject({ start: `${NODE} app.mjs` });
    const running = run("npm", "start");
    await running.prints(/^@connections/m);
    const socket = await project.connect(running.url);
    const closed = once(socket, "close");
    running.signal(signal);
    expect((await closed)[0]).toBe(1001);
    await running.exited;
  });

  it.each([
    ["as it is published", PUBLISHED],
    ["in this tree", IN_THE_TREE],
  ])("drains the server of npx lift-ws dev, %s, and leaves no process", async (_, command) => {
    const project = await createProject({}, command);
    const running = run("npx", "lift-ws", "dev", "handler.mjs");
    await running.prints(/^Routes/m);
    const socket = await project.connect(running.url);
    const closed = once(socket, "close");
    running.signal(signal);
    expect((await closed)[0]).toBe(1001);
    await running.exited;
    expect(running.output).toContain("Stopping");
  });
});

describe.each(SIGNALS)("%s to npm", (signal) => {
  it("reaches the demo, which ends gracefully", async () => {
    const tree = new ToolTree();
    [folder, remove] = [tree.folder, () => tree.remove()];
    // With the fake npm, because the real one finds everything installed.
    await tree.command(["start", "serve"]);
    const running = run("npm", "start", "--", "wait");
    await running.prints(/^wait/m);
    running.signal(signal);
    await running.exited;
    expect(running.output).toMatch(/^SIG(?:TERM|INT|HUP) 1$/m);
  });
});
