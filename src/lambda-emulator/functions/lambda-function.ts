import { resolve } from "node:path";
import type { LambdaHandler } from "../../apigw/index.ts";
import {
  anyFunction,
  findOptionFault,
  integer,
  isRecord,
  type OptionChecks,
  record,
  text,
} from "../../internal/options.ts";
import { LambdaEmulatorError } from "../errors.ts";
import type { ApiHosts } from "./api-hosts.ts";
import { FunctionProcess, type ProcessSettings } from "./function-process.ts";
import { OrphanKiller } from "./orphan-killer.ts";

/** Options of {@link LambdaFunction}. `name` and `directory` are required. */
export interface LambdaFunctionOptions {
  /** The function's name. */
  readonly name: string;
  /** The folder of its code, which would be uploaded. */
  readonly directory: string;
  /** The file and the export of the handler. Default `index.handler`. */
  readonly handler?: string;
  /** The function's environment variables, besides Lambda's. This process's variables are not passed. Default none. */
  readonly environment?: { readonly [name: string]: string };
  /** Time limit of an invocation, in ms. Default 30,000; 1 to 900,000. */
  readonly timeoutMs?: number;
  /** Events at a time, waiting ones included; more fail with THROTTLED. Default 1,000, the quota of a new account; minimum 0. */
  readonly concurrency?: number;
  /** Processes at a time. Events beyond them wait until one is free. Default 10; minimum 1. */
  readonly processes?: number;
  /** The memory size in the log, in MB. It is not enforced. Default 128; minimum 128. */
  readonly memoryMB?: number;
  /** The AWS region. Default `us-east-1`. */
  readonly region?: string;
  /** The AWS account in the function's ARN. Default `000000000000`. */
  readonly accountId?: string;
  /** Hosts whose connections are redirected to a gateway on this machine. Default none. */
  readonly apiHosts?: ApiHosts;
  /** Folders that provide the packages of the AWS SDK which `directory` lacks, as Lambda's runtime does. Default none. */
  readonly sdkFolders?: readonly string[];
  /** Receives each line of the log: the function's own lines, START, END and REPORT. Default none. */
  readonly log?: (line: string) => void;
  /** Receives the outcome of each invocation. Default none. */
  readonly onInvoked?: (outcome: InvocationOutcome) => void;
}

/** The outcome of an invocation, for metrics. */
export interface InvocationOutcome {
  readonly outcome: "failed" | "succeeded" | "throttled";
  /** From the call, or from the end of its wait for a process, to the end, in ms. The start of a process counts. */
  readonly durationMs: number;
}

const MAX_TIMEOUT_MS = 900_000;
/** "Lambda quotas" in the developer guide: concurrent executions of an account. */
const DEFAULT_CONCURRENCY = 1_000;
/** Each takes 60 MB or more. */
const DEFAULT_PROCESSES = 10;

const CHECKS: OptionChecks<LambdaFunctionOptions> = {
  name: text,
  directory: text,
  handler: text,
  environment: {
    test: (value) => isRecord(value) && Object.values(value).every((each) => typeof each === "string"),
    expected: "an object of strings",
  },
  timeoutMs: {
    test: (value) => typeof value === "number" && value >= 1 && value <= MAX_TIMEOUT_MS,
    expected: `a number from 1 to ${MAX_TIMEOUT_MS}`,
  },
  concurrency: integer(0),
  processes: integer(1),
  memoryMB: integer(128),
  region: text,
  accountId: text,
  apiHosts: record,
  sdkFolders: {
    test: (value) => Array.isArray(value) && value.every((each) => typeof each === "string"),
    expected: "a list of strings",
  },
  log: anyFunction,
  onInvoked: anyFunction,
};

/**
 * A Lambda function on this machine. Its bundle runs in Node processes of its own with the Lambda Runtime API. Each process
 * handles one event at a time, so overlapping events start more processes, up to `processes`, and then wait. An idle process is
 * frozen.
 * @example
 * const chat = new LambdaFunction({ name: "chat", directory: "dist/lambda/chat" });
 * const gateway = createGateway({ handler: chat.handler });
 */
export class LambdaFunction {
  readonly #settings: ProcessSettings;
  readonly #concurrency: number;
  readonly #maxProcesses: number;
  readonly #onInvoked: (outcome: InvocationOutcome) => void;
  readonly #orphanKiller = new OrphanKiller();
  readonly #processes = new Set<FunctionProcess>();
  /** A stack: the process that was used last is used first. */
  readonly #idle: FunctionProcess[] = [];
  /** Events that wait until a process asks for the next event. */
  readonly #waiting: PromiseWithResolvers<FunctionProcess>[] = [];
  /** Events without an answer. */
  #running = 0;
  #coldStarts = 0;
  #stopped: Promise<void> | undefined;
  #onEnded: (() => void) | undefined;

  /** @throws {LambdaEmulatorError} INVALID_OPTION */
  constructor(options: LambdaFunctionOptions) {
    const fault = findOptionFault(options, CHECKS, { required: ["name", "directory"] });
    if (fault !== undefined) throw new LambdaEmulatorError("INVALID_OPTION", fault);
    this.#concurrency = options.concurrency ?? DEFAULT_CONCURRENCY;
    this.#maxProcesses = options.processes ?? DEFAULT_PROCESSES;
    this.#onInvoked = options.onInvoked ?? (() => {});
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
      orphanKiller: this.#orphanKiller,
      apiHosts: options.apiHosts,
      sdkFolders: options.sdkFolders?.map((folder) => resolve(folder)),
    };
  }

  /** Number of processes started so far. */
  get coldStarts(): number {
    return this.#coldStarts;
  }

  /** Number of processes now. */
  get processes(): number {
    return this.#processes.size;
  }

  /** The handler for a gateway. The gateway's context is ignored, because the process creates its own. */
  readonly handler: LambdaHandler<unknown> = (event) => this.invoke(event);

  /**
   * Runs an event and resolves to the handler's result.
   * @throws {FunctionError} when the function throws, exits or times out
   * @throws {LambdaEmulatorError} THROTTLED, FUNCTION_STOPPED
   */
  async invoke(event: unknown): Promise<unknown> {
    if (this.#stopped) throw this.#stoppedError();
    let startedAt = performance.now();
    let outcome: InvocationOutcome["outcome"] = "failed";
    this.#running++;
    try {
      if (this.#running > this.#concurrency) throw this.#throttledError();
      let process = this.#idle.pop() ?? this.#startIfAllowed();
      if (process === undefined) {
        process = await this.#waitForProcess();
        // Lambda's metric has no wait: there, another process starts.
        startedAt = performance.now();
      }
      const result = await process.run(JSON.stringify(event));
      outcome = "succeeded";
      return result;
    } catch (error) {
      if (error instanceof LambdaEmulatorError && error.code === "THROTTLED") outcome = "throttled";
      throw error;
    } finally {
      this.#running--;
      this.#onInvoked({ outcome, durationMs: performance.now() - startedAt });
    }
  }

  /**
   * Stops the function. Kills idle processes at once, and the others after their event or after `drainMs`. Waiting events may
   * still run until then; the rest fail with FUNCTION_STOPPED. A second call waits for the first.
   * @param drainMs time for running events, in ms; default 5,000
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
      await new Promise<void>((resolve) => {
        this.#onEnded = resolve;
      });
    }
    clearTimeout(timer);
    await this.#orphanKiller.close();
  }

  #stoppedError(): LambdaEmulatorError {
    return refusal("FUNCTION_STOPPED", `The function ${this.#settings.name} has been stopped`);
  }

  #throttledError(): LambdaEmulatorError {
    return refusal(
      "THROTTLED",
      `Rate Exceeded: ${this.#settings.name} handles at most ${this.#concurrency} events at a time`,
    );
  }

  #startIfAllowed(): FunctionProcess | undefined {
    return this.#processes.size < this.#maxProcesses ? this.#start() : undefined;
  }

  /** @throws {LambdaEmulatorError} FUNCTION_STOPPED */
  #waitForProcess(): Promise<FunctionProcess> {
    const waiting = Promise.withResolvers<FunctionProcess>();
    this.#waiting.push(waiting);
    return waiting.promise;
  }

  #start(): FunctionProcess {
    this.#coldStarts++;
    const process = new FunctionProcess(this.#settings, {
      idle: (idle) => this.#take(idle),
      ended: (ended) => this.#remove(ended),
    });
    this.#processes.add(process);
    return process;
  }

  #take(idle: FunctionProcess): void {
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) waiting.resolve(idle);
    else if (this.#stopped) idle.kill();
    else this.#idle.push(idle);
  }

  #remove(process: FunctionProcess): void {
    this.#processes.delete(process);
    const index = this.#idle.indexOf(process);
    if (index !== -1) this.#idle.splice(index, 1);
    if (!this.#stopped) this.#waiting.shift()?.resolve(this.#start());
    else if (this.#processes.size === 0) {
      for (const { reject } of this.#waiting.splice(0)) reject(this.#stoppedError());
    }
    this.#onEnded?.();
  }
}

/** Its stack would tell nothing about too many events or a stop, and a log would repeat it for each event. */
function refusal(code: "FUNCTION_STOPPED" | "THROTTLED", message: string): LambdaEmulatorError {
  const error = new LambdaEmulatorError(code, message);
  error.stack = `${error.name}: ${message}`;
  return error;
}
