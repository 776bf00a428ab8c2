// Start-up errors of the demo and the chat.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Command } from "../project.ts";

const EXAMPLES = join(import.meta.dirname, "../../../examples");
const running: Command[] = [];
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lift-ws-demo-"));
});
afterEach(async () => {
  for (const server of running.splice(0)) await server.kill();
  rmSync(folder, { recursive: true });
});

function launch(env: Record<string, string> = {}, example = "streamer"): Command {
  const args = ["--conditions=@lift-ws/source", join(EXAMPLES, example, "main.ts")];
  const server = new Command(
    spawn(process.execPath, args, { cwd: folder, env: { ...process.env, PORT: "0", ...env } }),
  );
  running.push(server);
  return server;
}

describe("npm start", () => {
  it.each([{}, { PORT: "3999" }])(
    "says at once in one line that the demo is running already, with %j",
    async (env) => {
      await launch().prints(/^Page/m);
      const second = launch(env);
      expect([await second.exited, second.output]).toEqual([
        1,
        "The demo is running already, with .lift-ws/streamer.db: open its page, or stop it and start again\n",
      ]);
    },
  );

  it.each(["0.0.0.0", "::", "192.0.2.1", "demo.example"])(
    "says in one line that HOST=%s lets others reach a demo without a sign-in",
    async (HOST) => {
      const server = launch({ HOST });
      expect([await server.exited, server.output]).toEqual([
        1,
        `HOST=${HOST} lets others reach the demo, which has no sign-in: unset HOST, or see "Beyond this machine" in its README\n`,
      ]);
    },
  );

  it.each([
    ["is a folder", () => mkdirSync(join(folder, ".lift-ws/streamer.db"), { recursive: true })],
    ["is not a database", () => write("Dear diary, ".repeat(100))],
    ["is damaged", () => write("SQLite format 3\0".padEnd(200, "x"))],
  ])("reports in one line that its history file %s", async (words, damage) => {
    damage();
    const server = launch();
    expect(await server.exited).toBe(1);
    expect(server.output).toMatch(/^\/\S*\/\.lift-ws\/streamer\.db is [^:\n]+: [^:\n]+\n$/);
    expect(server.output).toMatch(words === "is damaged" ? /is damaged|is not a database/ : words);
  });

  it("reports in one line that it cannot create its folder", async () => {
    writeFileSync(join(folder, ".lift-ws"), "");
    const server = launch();
    expect([await server.exited, server.output]).toEqual([
      1,
      "Can't make the folder .lift-ws (EEXIST): make its place writable\n",
    ]);
  });
});

it("the chat reports in one line that HOST lets others reach it without a sign-in", async () => {
  const server = launch({ HOST: "0.0.0.0" }, "chat");
  expect([await server.exited, server.output]).toEqual([
    1,
    "HOST=0.0.0.0 lets others reach the chat, which has no sign-in: unset HOST, or give createChat a `verify` of your own\n",
  ]);
});

function write(text: string): void {
  mkdirSync(join(folder, ".lift-ws"));
  writeFileSync(join(folder, ".lift-ws/streamer.db"), text);
}
