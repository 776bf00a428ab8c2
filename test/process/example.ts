import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { codeBlocks } from "../markdown.ts";

const ROOT = join(import.meta.dirname, "../..");
// Inside the tree, where `lift-ws` is this package.
const WORKSHOP = join(ROOT, ".lift-ws");

/** An example of a document that is marked to run, as a process of its own on the gateway. */
export class Example {
  readonly #folder: string;
  readonly server: ChildProcess;
  readonly address: string;

  private constructor(folder: string, server: ChildProcess, address: string) {
    this.#folder = folder;
    this.server = server;
    this.address = address;
  }

  /** @param which of them, 0 for the first */
  static async start(document: string, which = 0): Promise<Example> {
    const examples = codeBlocks(readFileSync(join(ROOT, document), "utf8"));
    const example = examples.filter((block) => block.info === "ts run")[which];
    mkdirSync(WORKSHOP, { recursive: true });
    const folder = mkdtempSync(join(WORKSHOP, "example-"));
    writeFileSync(join(folder, "example.mts"), example!.code);
    const server = spawn(process.execPath, ["--conditions=@lift-ws/source", "example.mts"], {
      cwd: folder,
      env: { ...process.env, PORT: "0" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    return new Example(folder, server, await addressOf(server));
  }

  async connect(name: string): Promise<WebSocket> {
    const socket = new WebSocket(`${this.address}?name=${name}`);
    await once(socket, "open");
    return socket;
  }

  end(): void {
    this.server.kill("SIGKILL");
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** The one that it prints. */
async function addressOf({ stdout, stderr }: ChildProcess): Promise<string> {
  const complaints = text(stderr!);
  for await (const line of createInterface(stdout!)) {
    const found = /ws:\/\/\S+/.exec(line)?.[0];
    if (found !== undefined) return found;
  }
  throw new Error(`It printed no address: ${await complaints}`);
}
