import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { FunctionError, type FunctionErrorPayload } from "../errors.ts";
import { type Invocation, type RuntimeApi, type RuntimeListener, serveRuntimeApi } from "../runtime-api.ts";
import type { ApiHosts } from "./api-hosts.ts";
import { createEnvironment, type FunctionDescription } from "./environment.ts";
import { endLines, initLine, startLine } from "./log-lines.ts";
import type { OrphanKiller } from "./orphan-killer.ts";

/** Lambda's limit of the initialization, in ms. The function's own timeout starts after it. */
const INIT_MS = 10_000;

const IS_POSIX = process.platform !== "win32";
const BOOTSTRAP = fileURLToPath(new URL("./bootstrap.js", import.meta.url));

/** Settings of all processes of a function. */
export interface ProcessSettings extends FunctionDescription {
  readonly accountId: string;
  readonly environment: { readonly [name: string]: string };
  readonly timeoutMs: number;
  readonly log: (line: string) => void;
  readonly orphanKiller: OrphanKiller;
  readonly apiHosts: ApiHosts | undefined;
  readonly sdkFolders: readonly string[] | undefined;
}

/** Receives the state changes of a process. */
export interface ProcessOwner {
  idle(process: FunctionProcess): void;
  ended(process: FunctionProcess): void;
}

interface RunningInvocation {
  readonly requestId: string;
  readonly event: string;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
  /** Set when the process has received the event. */
  startedAt?: number;
  settled: boolean;
  status?: "error" | "timeout";
}

/** A process of a function. It handles one event at a time and is frozen in between. Like in Lambda, an event starts it. */
export class FunctionProcess implements RuntimeListener {
  readonly #settings: ProcessSettings;
  readonly #owner: ProcessOwner;
  readonly #startedAt = performance.now();
  readonly #timer = new ResettableTimer(() => this.#timeOut());
  #api: RuntimeApi | undefined;
  #child: ChildProcess | undefined;
  #give: ((invocation: Invocation) => void) | undefined;
  #running: RunningInvocation | undefined;
  #initMs: number | undefined;
  /** Duration of the initialization, until a REPORT line contains it. */
  #initToReport: number | undefined;
  #ended = false;

  constructor(settings: ProcessSettings, owner: ProcessOwner) {
    this.#settings = settings;
    this.#owner = owner;
    this.#timer.set(INIT_MS + settings.timeoutMs);
    this.#start().catch((error: unknown) => this.#end(`Error: ${(error as Error).message}`));
  }

  /**
   * Runs an event, given as JSON. Call it only on a new or idle process.
   * @throws {LambdaEmulatorError} FUNCTION_FAILED
   */
  run(event: string): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#running = { requestId: randomUUID(), event, resolve, reject, settled: false };
      this.#sendEvent();
    });
  }

  kill(): void {
    this.#signal("SIGKILL");
  }

  next(give: (invocation: Invocation) => void): void {
    this.#give = give;
    if (this.#initMs === undefined) {
      this.#initMs = this.#initToReport = performance.now() - this.#startedAt;
    } else {
      this.#finish();
    }
    this.#timer.clear();
    if (this.#running !== undefined) {
      this.#sendEvent();
    } else {
      this.#signal("SIGSTOP");
      this.#owner.idle(this);
    }
  }

  response(requestId: string, body: string): boolean {
    if (!this.#awaits(requestId)) return false;
    try {
      this.#settle().resolve(JSON.parse(body));
    } catch {
      this.#fail({ errorType: "Runtime.InvalidJson", errorMessage: "The response is not JSON" });
    }
    return true;
  }

  error(requestId: string, fault: FunctionErrorPayload): boolean {
    if (!this.#awaits(requestId)) return false;
    this.#fail(fault);
    return true;
  }

  initError(fault: FunctionErrorPayload): void {
    if (this.#initMs !== undefined) return;
    this.#initMs = performance.now() - this.#startedAt;
    this.#settings.log(initLine(this.#initMs, fault.errorType));
    if (this.#running !== undefined) this.#fail(fault);
  }

  async #start(): Promise<void> {
    const { directory, environment, orphanKiller, apiHosts, sdkFolders } = this.#settings;
    this.#api = await serveRuntimeApi(this);
    // In a group of its own, so that Ctrl-C does not reach it, and its child processes are frozen and killed with it.
    const child = spawn(process.execPath, [BOOTSTRAP, JSON.stringify({ apiHosts, sdkFolders })], {
      cwd: directory,
      env: createEnvironment(this.#settings, environment, this.#api.address),
      detached: IS_POSIX,
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    if (child.pid !== undefined) orphanKiller.add(child.pid);
    for (const input of [child.stdout, child.stderr]) {
      createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY }).on("line", this.#settings.log);
    }
    child.once("error", (error) => this.#end(`Error: ${error.message}`));
    // Kill its child processes, which may keep its output open.
    child.once("exit", () => this.#signal("SIGKILL"));
    child.once("close", (code, signal) => this.#end(describeExit(code, signal)));
  }

  #sendEvent(): void {
    const [give, running] = [this.#give, this.#running];
    if (give === undefined || running === undefined) return;
    const { log, timeoutMs, region, accountId, name } = this.#settings;
    const { requestId, event } = running;
    this.#give = undefined;
    running.startedAt = performance.now();
    this.#timer.set(timeoutMs);
    this.#signal("SIGCONT");
    log(startLine(requestId));
    give({
      requestId,
      event,
      deadline: Date.now() + timeoutMs,
      functionArn: `arn:aws:lambda:${region}:${accountId}:function:${name}`,
      traceId: createTraceId(),
    });
  }

  #awaits(requestId: string): boolean {
    return this.#running?.requestId === requestId && !this.#running.settled;
  }

  #settle(): RunningInvocation {
    const running = this.#running!;
    running.settled = true;
    return running;
  }

  #fail(fault: FunctionErrorPayload): void {
    const running = this.#settle();
    running.status ??= "error";
    running.reject(new FunctionError(fault));
  }

  /** Logs the end of an invocation. */
  #finish(): void {
    const running = this.#running;
    this.#running = undefined;
    if (running?.startedAt === undefined) return;
    const { requestId, startedAt, status } = running;
    const report = {
      requestId,
      durationMs: performance.now() - startedAt,
      initMs: this.#initToReport,
      memoryMB: this.#settings.memoryMB,
      usedMB: readPeakMemoryMB(this.#child?.pid),
      ...(status && { status }),
    };
    this.#initToReport = undefined;
    for (const line of endLines(report)) this.#settings.log(line);
  }

  #timeOut(): void {
    const running = this.#running;
    if (running !== undefined && !running.settled) {
      const message = `Task timed out after ${(this.#settings.timeoutMs / 1000).toFixed(2)} seconds`;
      this.#settings.log(`${new Date().toISOString()} ${running.requestId} ${message}`);
      running.status = "timeout";
      this.#fail(toPayload(running, "Sandbox.Timedout", message));
    }
    this.kill();
  }

  #end(reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#timer.clear();
    this.#api?.close();
    if (this.#initMs === undefined) {
      this.#settings.log(initLine(performance.now() - this.#startedAt, "Runtime.ExitError"));
    }
    if (this.#running !== undefined && !this.#running.settled) {
      this.#fail(toPayload(this.#running, "Runtime.ExitError", reason));
    }
    this.#finish();
    if (this.#child?.pid !== undefined) this.#settings.orphanKiller.delete(this.#child.pid);
    this.#owner.ended(this);
  }

  #signal(signal: "SIGCONT" | "SIGKILL" | "SIGSTOP"): void {
    const pid = this.#child?.pid;
    if (pid === undefined) return;
    try {
      if (IS_POSIX) process.kill(-pid, signal);
      else if (signal === "SIGKILL") this.#child?.kill();
    } catch (error) {
      // The process has already ended.
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
}

/** A timer that can be restarted. */
class ResettableTimer {
  readonly #callback: () => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(callback: () => void) {
    this.#callback = callback;
  }

  set(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#callback, ms);
  }

  clear(): void {
    clearTimeout(this.#timer);
  }
}

function toPayload(
  { requestId }: RunningInvocation,
  errorType: string,
  message: string,
): FunctionErrorPayload {
  return { errorType, errorMessage: `RequestId: ${requestId} Error: ${message}` };
}

function describeExit(code: number | null, signal: NodeJS.Signals | null): string {
  if (signal !== null) return `Runtime exited with error: signal: ${signal}`;
  return code === 0
    ? "Runtime exited without providing a reason"
    : `Runtime exited with error: exit status ${code}`;
}

/** Creates a trace id in X-Ray's form, not sampled. */
function createTraceId(): string {
  const hex = (bytes: number) => randomBytes(bytes).toString("hex");
  const seconds = Math.floor(Date.now() / 1000).toString(16);
  return `Root=1-${seconds}-${hex(12)};Parent=${hex(8)};Sampled=0`;
}

/** Reads the peak memory of a running process. Linux only. */
function readPeakMemoryMB(pid: number | undefined): number | undefined {
  try {
    const kilobytes = /^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return kilobytes === undefined ? undefined : Math.ceil(Number(kilobytes) / 1024);
  } catch {
    return undefined;
  }
}
