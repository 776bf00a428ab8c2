import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import type { Terminal } from "../arguments.ts";
import { CliError } from "../errors.ts";
import { PROBE_TEMPLATE } from "./probe-template.ts";

/** A stack that is deployed and removed. */
interface Deployed {
  readonly assembly: string;
  readonly stackName: string;
}

/** The context of a CDK app that names its stack, and deletes its tables and logs with it. */
const CONTEXT = (stackName: string) => ["--context", `stackName=${stackName}`, "--context", "temporary=true"];

/** Stacks that are deployed by the CDK's command line of the project, and removed. */
export class Deployment {
  readonly #cdk = findCdk();
  readonly #folder: string;
  readonly #terminal: Terminal;
  readonly #signal: AbortSignal;
  readonly #deployed: Deployed[] = [];

  /** @param folder an empty folder for assemblies @throws {CliError} FAILED without the CDK's command line */
  constructor(folder: string, terminal: Terminal, signal: AbortSignal) {
    this.#folder = folder;
    this.#terminal = terminal;
    this.#signal = signal;
  }

  /** Deploys the API that the questions are asked of. @returns its URL @throws {CliError} FAILED */
  deployProbe(stackName: string): Promise<string> {
    const assembly = join(this.#folder, stackName);
    mkdirSync(assembly);
    const templateFile = "probe.template.json";
    writeFileSync(join(assembly, templateFile), JSON.stringify(PROBE_TEMPLATE));
    const stack = {
      type: "aws:cloudformation:stack",
      environment: "aws://unknown-account/unknown-region",
      properties: { templateFile },
    };
    // Without an asset, the CDK deploys it with the user's own rights, and needs no bootstrap.
    writeFileSync(
      join(assembly, "manifest.json"),
      JSON.stringify({ version: "36.0.0", artifacts: { [stackName]: stack } }),
    );
    return this.#deploy({ assembly, stackName }, []);
  }

  /** Deploys a CDK app with a Streamer. @returns its URL @throws {CliError} FAILED, also when the app does not take the stack's name */
  async deployApp(app: string, stackName: string, tokenSecret: string): Promise<string> {
    const assembly = join(this.#folder, stackName);
    await this.#run(["synth", "--quiet", "--output", assembly, ...CONTEXT(stackName)], app);
    const names = stacksIn(assembly);
    // Another name could be that of a stack in use, which would then be removed.
    if (names.length !== 1 || names[0] !== stackName) {
      const message = `${app} must have one stack, named by the context \`stackName\`; it has ${names.join(", ")}`;
      throw new CliError("FAILED", message);
    }
    return this.#deploy({ assembly, stackName }, ["--parameters", `TokenSecret=${tokenSecret}`]);
  }

  /** Removes what was deployed. @throws {CliError} FAILED, which says how to remove the rest */
  async remove(): Promise<void> {
    const failed: string[] = [];
    for (const { assembly, stackName } of this.#deployed.splice(0).reverse()) {
      this.#say(`Removing ${stackName}`);
      const args = ["destroy", "--force", "--all", "--app", assembly];
      await this.#run(args, ".", false).catch(() => failed.push(stackName));
    }
    if (failed.length === 0) return;
    throw new CliError("FAILED", `Not removed: ${failed.join(", ")}. Run ${failed.map(removal).join("; ")}`);
  }

  async #deploy(stack: Deployed, more: readonly string[]): Promise<string> {
    const { assembly, stackName } = stack;
    const outputs = join(this.#folder, `${stackName}.json`);
    this.#say(`Deploying ${stackName}. If this process is killed, remove it: ${removal(stackName)}`);
    this.#signal.throwIfAborted();
    this.#deployed.push(stack);
    const flags = ["--require-approval", "never", "--outputs-file", outputs];
    await this.#run(["deploy", "--all", "--app", assembly, ...flags, ...more], ".");
    const values = Object.values(readJson(outputs)[stackName] ?? {});
    const url = values.find((value) => typeof value === "string" && /^wss?:/.test(value));
    if (typeof url === "string") return url;
    throw new CliError("FAILED", `${stackName} has no output with a WebSocket URL`);
  }

  #say(line: string): void {
    this.#terminal.stderr.write(`${line}\n`);
  }

  /** Runs the CDK's command line. Its output is for the terminal only. */
  async #run(args: readonly string[], cwd: string, stops = true): Promise<void> {
    if (stops) this.#signal.throwIfAborted();
    const child = spawn(process.execPath, [this.#cdk, ...args], {
      cwd,
      stdio: ["ignore", "pipe", "pipe"],
      // In a process group of its own: Ctrl-C must not end a removal.
      detached: true,
    });
    const stop = () => child.kill();
    if (stops) this.#signal.addEventListener("abort", stop);
    for (const stream of [child.stdout, child.stderr]) {
      // Not `pipe`, which stops reading when the terminal is closed: the command would then never end.
      stream.on("data", (chunk) => this.#terminal.stderr.write(chunk));
    }
    const [code] = await once(child, "close");
    this.#signal.removeEventListener("abort", stop);
    if (stops) this.#signal.throwIfAborted();
    if (code !== 0) throw new CliError("FAILED", `cdk ${args[0]} failed`);
  }
}

function removal(stackName: string): string {
  return `aws cloudformation delete-stack --stack-name ${stackName}`;
}

function findCdk(): string {
  try {
    const manifest = createRequire(resolve("package.json")).resolve("aws-cdk/package.json");
    return join(manifest, "../bin/cdk");
  } catch (cause) {
    throw new CliError("FAILED", "The CDK's command line is missing: npm install --save-dev aws-cdk", {
      cause,
    });
  }
}

function stacksIn(assembly: string): string[] {
  const { artifacts = {} } = readJson(join(assembly, "manifest.json"));
  return Object.entries<Json>(artifacts).flatMap(([id, { type, properties }]) =>
    type === "aws:cloudformation:stack" ? [String(properties?.stackName ?? id)] : [],
  );
}

// biome-ignore lint/suspicious/noExplicitAny: files that the CDK has written
type Json = any;

function readJson(file: string): Json {
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {};
}
