import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, expect, it } from "vitest";
import { codeBlocks } from "../markdown.ts";

const ROOT = join(import.meta.dirname, "../..");
// Inside the tree, where `lift-ws` is this package.
const WORKSHOP = join(ROOT, ".lift-ws");

let folder: string;
let server: ChildProcess;
let address: string;

beforeAll(async () => {
  const [example] = codeBlocks(readFileSync(join(ROOT, "README.md"), "utf8")).filter(
    (block) => block.info === "ts run",
  );
  mkdirSync(WORKSHOP, { recursive: true });
  folder = mkdtempSync(join(WORKSHOP, "readme-"));
  writeFileSync(join(folder, "chat.mts"), example!.code);
  server = spawn(process.execPath, ["--conditions=@lift-ws/source", "chat.mts"], {
    cwd: folder,
    env: { ...process.env, PORT: "0" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  address = await addressOf(server);
});

afterAll(() => {
  server?.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

it("runs the README's example: what one says, everybody reads", async () => {
  const [ann, bob] = await Promise.all([connect("ann"), connect("bob")]);
  const heard = [ann, bob].map(async (socket) => {
    const [message] = (await once(socket, "message")) as [{ data: string }];
    return JSON.parse(message.data);
  });
  ann.send(JSON.stringify({ action: "say", text: "hello" }));
  const said = { from: "ann", text: "hello" };
  expect(await Promise.all(heard)).toEqual([said, said]);
});

it("refuses who gives no name", async () => {
  const socket = new WebSocket(address);
  const [event] = await Promise.race([once(socket, "error"), once(socket, "open")]);
  expect(event.type).toBe("error");
});

it("ends cleanly when it is told to", async () => {
  server.kill("SIGTERM");
  expect(await once(server, "exit")).toEqual([0, null]);
});

/** The one that it prints. */
async function addressOf({ stdout, stderr }: ChildProcess): Promise<string> {
  const complaints = text(stderr!);
  for await (const line of createInterface(stdout!)) {
    const found = /ws:\/\/\S+/.exec(line)?.[0];
    if (found !== undefined) return found;
  }
  throw new Error(`It printed no address: ${await complaints}`);
}

async function connect(name: string): Promise<WebSocket> {
  const socket = new WebSocket(`${address}?name=${name}`);
  await once(socket, "open");
  return socket;
}
