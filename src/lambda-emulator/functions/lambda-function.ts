import { resolve } from "node:path";
import type { LambdaHandler } from "../../apigw/index.ts";
import { LambdaEmulatorError } from "../errors.ts";
import { FunctionProcess, type ProcessSettings } from "./function-process.ts";
import { OrphanKiller } from "./orphan-killer.ts";
import type { ApiHosts } from "./own-hosts.ts";

export interface LambdaFunctionOptions {
  readonly name: string;
  /** The folder of its code: what would be uploaded. */
  readonly directory: string;
  /** A file in it and an export. Default `index.handler`. */
  readonly handler?: string;
  /** The function's variables. It gets Lambda's besides, and none of this process's. Default none. */
  readonly environment?: { readonly [name: string]: string };
  /** ms that an invocation may take. Default 30,000; minimum 1. */
  readonly timeoutMs?: number;
  /** Processes at a time; an event past it is refused with THROTTLED. Default 10; minimum 1. */
  readonly concurrency?: number;
  /** What the log calls its size; nothing limits it here. Default 128; minimum 128. */
  readonly memoryMB?: number;
  /** Default `us-east-1`. */
  readonly region?: string;
  /** Default `000000000000`. */
  readonly accountId?: string;
  /** Hosts whose connections are led to a gateway on this machine. Default none. */
  readonly ownHosts?: ApiHosts;
  /** Takes the log, a line at a time: the function's own, START, END and REPORT. Default: nobody does. */
  readonly log?: (line: string) => void;
}

const MAX_TIMEOUT_MS = 900_000;

const CHECKS: { readonly [name in keyof Required<LambdaFunctionOptions>]: (value: unknown) => boolean } = {
  name: isText,
  directory: isText,
  handler: isText,
  environment: (value) => Object.values(Object(value)).every((text) => typeof text === "string"),
  timeoutMs: (value) => isFrom(1, value) && Number(value) <= MAX_TIMEOUT_MS,
  concurrency: (value) => isFrom(1, value) && Number.isInteger(value),
  memoryMB: (value) => isFrom(128, value) && Number.isInteger(value),
  region: isText,
  accountId: isText,
  ownHosts: (value) => typeof value === "object" && value !== null,
  log: (value) => typeof value === "function",
};

/**
 * A Lambda function on this machine: its bundle runs in Node processes of its own, under the Lambda Runtime API, one
 * event at a time in each, more of them as events overlap. A process is frozen while it has nothing to do.
 */
export class LambdaFunction {
  readonly #settings: ProcessSettings;
  readonly #concurrency: number;
  readonly #guard = new OrphanKiller();
  readonly #processes = new Set<FunctionProcess>();
  /** The one that was used last is taken first. */
  readonly #idle: FunctionProcess[] = [];
  #coldStarts = 0;
  #stopped: Promise<void> | undefined;
  #onEnded: (() => void) | undefined;

  /** @throws {LambdaEmulatorError} INVALID_OPTION */
  constructor(options: LambdaFunctionOptions) {
    checkOptions(options);
    this.#concurrency = options.concurrency ?? 10;
    this.#settings = {
      name: options.name,
      directory: resolve(options.directory),
      handler: options.handler ?? "index.handler",
      environment: options.environment ?? {},
      timeoutMs: options.timeoutMs ?? 30_000,
      memoryMB: options.memoryMB ?? 128,
      region: options.region ?? "us-east-1",
      accountId: options.accountId ?? "000000000000",
      log: options.log ?? (() => {}),
      guard: this.#guard,
      ownHosts: options.ownHosts,
    };
  }

  /** How many processes were started so far. */
  get coldStarts(): number {
    return this.#coldStarts;
  }

  /** How many there are now. */
  get processes(): number {
    return this.#processes.size;
  }

  /** For a gateway. The context that it hands over is not the function's: that one makes its own. */
  readonly handler: LambdaHandler<unknown> = (event) => this.invoke(event);

  /**
   * Resolves to what the handler answers.
   * @throws {FunctionError} what the function threw
   * @throws {LambdaEmulatorError} THROTTLED, FUNCTION_STOPPED
   */
  async invoke(event: unknown): Promise<unknown> {
    if (this.#stopped)
      throw new LambdaEmulatorError("FUNCTION_STOPPED", `${this.#settings.name} was stopped`);
    const process = this.#idle.pop() ?? this.#start();
    return process.run(JSON.stringify(event));
  }

  /**
   * Ends its processes: those that are idle at once, the others with their event, after `drainMs` at the latest, 5 s by
   * default. Asked twice, it ends once, in the first one's time.
   */
  stop({ drainMs = 5_000 }: { readonly drainMs?: number } = {}): Promise<void> {
    this.#stopped ??= this.#end(drainMs);
    return this.#stopped;
  }

  async #end(drainMs: number): Promise<void> {
    for (const process of this.#idle.splice(0)) process.kill();
    const timer = setTimeout(() => {
      for (const process of this.#processes) process.kill();
    }, drainMs);
    while (this.#processes.size > 0) {
      await new Promise<void>((ended) => {
        this.#onEnded = ended;
      });
    }
    clearTimeout(timer);
    await this.#guard.close();
  }

  #start(): FunctionProcess {
    const { name } = this.#settings;
    if (this.#processes.size >= this.#concurrency) {
      throw new LambdaEmulatorError(
        "THROTTLED",
        `Rate Exceeded: ${name} has ${this.#concurrency} processes, all busy`,
      );
    }
    this.#coldStarts++;
    const process = new FunctionProcess(this.#settings, {
      idle: (it) => (this.#stopped ? it.kill() : void this.#idle.push(it)),
      ended: (it) => this.#forget(it),
    });
    this.#processes.add(process);
    return process;
  }

  #forget(process: FunctionProcess): void {
    this.#processes.delete(process);
    const index = this.#idle.indexOf(process);
    if (index !== -1) this.#idle.splice(index, 1);
    this.#onEnded?.();
  }
}

function checkOptions(options: LambdaFunctionOptions): void {
  for (const name of ["name", "directory"] as const) {
    if (options[name] === undefined) throw invalid(`${name} is missing`);
  }
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(CHECKS, name)) throw invalid(`${name} is none of ${Object.keys(CHECKS).join(", ")}`);
    if (value !== undefined && !CHECKS[name as keyof typeof CHECKS](value))
      throw invalid(`${name} is invalid`);
  }
}

function isText(value: unknown): boolean {
  return typeof value === "string" && value !== "";
}

function isFrom(minimum: number, value: unknown): boolean {
  return typeof value === "number" && value >= minimum && Number.isFinite(value);
}

function invalid(what: string): LambdaEmulatorError {
  return new LambdaEmulatorError("INVALID_OPTION", `A function's option ${what}`);
}
