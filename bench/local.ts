/** Measures messages/s through `lift-ws local`, which decides each call of a function by its policies, beside `lift-ws dev --lambda`. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import WebSocket from "ws";
import { mintDevelopmentToken } from "../src/cli/development.ts";
import { bundleExample } from "../tools/bundle.mjs";
import { synth } from "../tools/commands.mjs";
import { freePort } from "./lib/free-port.ts";
import { atLeast, type Findings, none } from "./lib/report.ts";
import { median } from "./lib/stats.ts";

const ROOT = join(import.meta.dirname, "..");
const CONNECTIONS = 8;
const SAMPLE_MS = 3_000;
const STARTED_MS = 60_000;

interface Side {
  /** Sends for `ms`, one message in flight on each connection. Returns the answers a second. */
  messages(ms: number): Promise<number>;
  /** Answers that were not the expected ones. */
  readonly failed: number;
  stop(): Promise<void>;
}

export async function local(runs: number, progress: (line: string) => void): Promise<Findings> {
  progress("local: bundles and template");
  const folder = mkdtempSync(join(tmpdir(), "lift-ws-bench-"));
  const sides: Side[] = [];
  try {
    await bundleExample(ROOT, "streamer", folder);
    if ((await synth(ROOT, [])) !== 0) throw new Error("The template was not synthesized");
    sides.push(await start(["local", join(ROOT, "dist", "cdk", "Lounge.template.json")]));
    sides.push(await start(["dev", "--lambda", folder]));
    const [stack, bundles] = sides as [Side, Side];
    const rates: { stack: number; bundles: number }[] = [];
    // The processes of the functions start, and V8 compiles.
    for (const side of sides) await side.messages(SAMPLE_MS);
    for (let run = 1; run <= runs; run++) {
      progress(`local: sample ${run} of ${runs}`);
      rates.push({ stack: await stack.messages(SAMPLE_MS), bundles: await bundles.messages(SAMPLE_MS) });
    }
    const [ofStack, ofBundles] = [
      median(rates.map((each) => each.stack)),
      median(rates.map((each) => each.bundles)),
    ];
    return {
      measure: "local",
      runs,
      rows: [
        { side: "lift-ws local", "messages/s": ofStack, "of dev --lambda": ofStack / ofBundles },
        { side: "lift-ws dev --lambda", "messages/s": ofBundles, "of dev --lambda": 1 },
      ],
      targets: [
        atLeast("messages/s of lift-ws dev --lambda", 0.8, ofStack / ofBundles),
        none("answers other than the message", stack.failed + bundles.failed),
      ],
      notes: [
        `${CONNECTIONS} connections with one \`echo\` in flight on each: a request in place, that the router function answers.`,
        "The server, the processes of its functions, DynamoDB Local and the client share all cores: none is pinned.",
      ],
    };
  } finally {
    for (const side of sides) await side.stop();
    rmSync(folder, { recursive: true });
  }
}

async function start(command: readonly string[]): Promise<Side> {
  const port = await freePort();
  const main = join(ROOT, "src", "cli", "main.ts");
  const server = spawn(
    process.execPath,
    ["--conditions=@lift-ws/source", main, ...command, "--port", String(port)],
    { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] },
  );
  const kill = () => server.kill();
  process.once("exit", kill);
  const url = await addressOf(server, command.join(" "));
  const token = await mintDevelopmentToken({ sub: "ann", tenant: "bench" });
  const sockets = await Promise.all(
    Array.from({ length: CONNECTIONS }, () => connect(`${url}?token=${encodeURIComponent(token)}`)),
  );
  let failed = 0;
  return {
    get failed() {
      return failed;
    },
    async messages(ms) {
      const begin = performance.now();
      const counts = await Promise.all(
        sockets.map(async (socket) => {
          let count = 0;
          while (performance.now() - begin < ms) {
            if (await echo(socket, `message ${count}`)) count++;
            else failed++;
          }
          return count;
        }),
      );
      return (1_000 * counts.reduce((sum, each) => sum + each)) / (performance.now() - begin);
    },
    async stop() {
      for (const socket of sockets) socket.removeAllListeners("close").terminate();
      process.off("exit", kill);
      const ended = new Promise((resolve) => server.once("exit", resolve));
      kill();
      await ended;
    },
  };
}

/** Waits for the line of the start message that has the address, and reads on, so that the server is never blocked. */
function addressOf(server: ChildProcess, name: string): Promise<string> {
  let output = "";
  return new Promise((resolve, reject) => {
    const fail = () => reject(new Error(`lift-ws ${name} has not started:\n${output}`));
    const timer = setTimeout(fail, STARTED_MS);
    server.once("exit", fail);
    const read = (chunk: Buffer) => {
      if (output.length > 10_000) return;
      output += chunk;
      const address = /ws:\/\/\S+/.exec(output)?.[0];
      if (address === undefined) return;
      clearTimeout(timer);
      server.off("exit", fail);
      resolve(address);
    };
    server.stdout?.on("data", read);
    server.stderr?.on("data", read);
  });
}

async function connect(url: string): Promise<WebSocket> {
  const socket = new WebSocket(url);
  await once(socket, "open");
  // An answer would be waited for without end.
  socket.once("close", () => {
    throw new Error("The server has closed a connection");
  });
  return socket;
}

/** Sends a request, and returns whether the next message is its answer. */
async function echo(socket: WebSocket, text: string): Promise<boolean> {
  const answered = once(socket, "message");
  socket.send(JSON.stringify({ action: "echo", id: text, payload: text }));
  const [data] = await answered;
  const answer = JSON.parse(String(data)) as { type: string; data?: { echo?: unknown } };
  return answer.type === "response" && answer.data?.echo === text;
}
