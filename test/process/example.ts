import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { codeBlocks } from "../support/markdown.ts";

const ROOT = join(import.meta.dirname, "../..");
// Inside the repository, so that `lift-ws` is this package.
const WORKSHOP = join(ROOT, ".lift-ws");
/** The server's address in the documents. */
const SHOWN_HOST = "127.0.0.1:3001";

export interface Script {
  readonly file: string;
  readonly code: string;
  /** The expected output. */
  readonly prints: string;
}

/** Returns the scripts of a document that are marked to run. The block after each has its expected output. */
export function scriptsIn(document: string): Script[] {
  const blocks = codeBlocks(readFileSync(join(ROOT, document), "utf8"));
  return blocks.flatMap(({ info, code }, at) => {
    const file = /^ts run (\S+)$/.exec(info)?.[1] ?? "server.mts";
    const { info: next, code: prints } = blocks[at + 1] ?? { info: "", code: "" };
    return file === "server.mts"
      ? []
      : [{ file, code, prints: next === "text" ? prints : "(no expected output)" }];
  });
}

/** The server of a document that is marked to run, in a process of its own. */
export class Example {
  readonly #folder: string;
  readonly server: ChildProcess;
  readonly address: string;

  private constructor(folder: string, server: ChildProcess, address: string) {
    this.#folder = folder;
    this.server = server;
    this.address = address;
  }

  static async start(document: string): Promise<Example> {
    const blocks = codeBlocks(readFileSync(join(ROOT, document), "utf8"));
    const example = blocks.find(({ info }) => info === "ts run" || info === "ts run server.mts");
    mkdirSync(WORKSHOP, { recursive: true });
    const folder = mkdtempSync(join(WORKSHOP, "example-"));
    writeFileSync(join(folder, "server.mts"), example!.code);
    const server = spawnIn(folder, "server.mts");
    return new Example(folder, server, await addressOf(server));
  }

  async connect(name: string): Promise<WebSocket> {
    const socket = new WebSocket(`${this.address}?name=${name}`);
    await once(socket, "open");
    return socket;
  }

  /** Runs a script against the server until the script ends. @returns its output */
  async run({ file, code }: Script): Promise<string> {
    writeFileSync(join(this.#folder, file), code.replaceAll(SHOWN_HOST, new URL(this.address).host));
    const script = spawnIn(this.#folder, file);
    const [printed, complaints] = await Promise.all([text(script.stdout!), text(script.stderr!)]);
    return printed + complaints;
  }

  end(): void {
    this.server.kill("SIGKILL");
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function spawnIn(folder: string, file: string): ChildProcess {
  return spawn(process.execPath, ["--conditions=@lift-ws/source", file], {
    cwd: folder,
    env: { ...process.env, PORT: "0" },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** Returns the address that a server prints. */
async function addressOf({ stdout, stderr }: ChildProcess): Promise<string> {
  const complaints = text(stderr!);
  for await (const line of createInterface(stdout!)) {
    const found = /ws:\/\/\S+/.exec(line)?.[0];
    if (found !== undefined) return found;
  }
  throw new Error(`The server printed no address: ${await complaints}`);
}
