import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { FunctionError, type FunctionErrorPayload } from "../errors.ts";
import { type Invocation, type RuntimeApi, type RuntimeListener, serveRuntimeApi } from "../runtime-api.ts";
import { createEnvironment, type FunctionDescription } from "./environment.ts";
import { endLines, initLine, startLine } from "./log-lines.ts";
import type { OrphanKiller } from "./orphan-killer.ts";
import type { ApiHosts } from "./own-hosts.ts";

/** As long as a function may take to load before its own timeout begins. */
const INIT_MS = 10_000;

const IS_POSIX = process.platform !== "win32";
const BOOTSTRAP = fileURLToPath(new URL("./bootstrap.js", import.meta.url));

export interface ProcessSettings extends FunctionDescription {
  readonly accountId: string;
  readonly environment: { readonly [name: string]: string };
  readonly timeoutMs: number;
  readonly log: (line: string) => void;
  readonly guard: OrphanKiller;
  readonly ownHosts: ApiHosts | undefined;
}

export interface ProcessOwner {
  idle(process: FunctionProcess): void;
  ended(process: FunctionProcess): void;
}

interface RunningInvocation {
  readonly requestId: string;
  readonly event: string;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
  /** Once the process has it. */
  startedAt?: number;
  settled: boolean;
  status?: "error" | "timeout";
}

/** A function's process: one event at a time, frozen between them. It begins with an event, as on Lambda. */
export class FunctionProcess implements RuntimeListener {
  readonly #settings: ProcessSettings;
  readonly #owner: ProcessOwner;
  readonly #startedAt = performance.now();
  readonly #timer = new ResettableTimer(() => this.#timeOut());
  #api: RuntimeApi | undefined;
  #child: ChildProcess | undefined;
  #give: ((invocation: Invocation) => void) | undefined;
  #underWay: RunningInvocation | undefined;
  #initMs: number | undefined;
  /** Of the invocation that waited for it. */
  #initToReport: number | undefined;
  #ended = false;

  constructor(settings: ProcessSettings, owner: ProcessOwner) {
    this.#settings = settings;
    this.#owner = owner;
    this.#timer.set(INIT_MS + settings.timeoutMs);
    this.#start().catch((error: unknown) => this.#end(`Error: ${(error as Error).message}`));
  }

  /**
   * Hands it an event, as JSON. Only when it is new or idle.
   * @throws {LambdaEmulatorError} FUNCTION_FAILED
   */
  run(event: string): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#underWay = { requestId: randomUUID(), event, resolve, reject, settled: false };
      this.#handOver();
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
    if (this.#underWay !== undefined) {
      this.#handOver();
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
    if (this.#underWay !== undefined) this.#fail(fault);
  }

  async #start(): Promise<void> {
    const { directory, environment, guard, ownHosts } = this.#settings;
    this.#api = await serveRuntimeApi(this);
    // A group of its own: a Ctrl-C is not for it, and what it starts itself is frozen and ended with it.
    const child = spawn(process.execPath, [BOOTSTRAP, ...(ownHosts ? [JSON.stringify(ownHosts)] : [])], {
      cwd: directory,
      env: createEnvironment(this.#settings, environment, this.#api.address),
      detached: IS_POSIX,
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    if (child.pid !== undefined) guard.add(child.pid);
    for (const input of [child.stdout, child.stderr]) {
      createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY }).on("line", this.#settings.log);
    }
    child.once("error", (error) => this.#end(`Error: ${error.message}`));
    // What it has started may hold its output open.
    child.once("exit", () => this.#signal("SIGKILL"));
    child.once("close", (code, signal) => this.#end(describeExit(code, signal)));
  }

  #handOver(): void {
    const [give, underWay] = [this.#give, this.#underWay];
    if (give === undefined || underWay === undefined) return;
    const { log, timeoutMs, region, accountId, name } = this.#settings;
    const { requestId, event } = underWay;
    this.#give = undefined;
    underWay.startedAt = performance.now();
    this.#timer.set(timeoutMs);
    this.#signal("SIGCONT");
    log(startLine(requestId));
    give({
      requestId,
      event,
      deadline: Date.now() + timeoutMs,
      functionArn: `arn:aws:lambda:${region}:${accountId}:function:${name}`,
      traceId: traceId(),
    });
  }

  #awaits(requestId: string): boolean {
    return this.#underWay?.requestId === requestId && !this.#underWay.settled;
  }

  #settle(): RunningInvocation {
    const underWay = this.#underWay!;
    underWay.settled = true;
    return underWay;
  }

  #fail(fault: FunctionErrorPayload): void {
    const underWay = this.#settle();
    underWay.status ??= "error";
    underWay.reject(new FunctionError(fault));
  }

  /** Tells the log of an invocation that is over. */
  #finish(): void {
    const underWay = this.#underWay;
    this.#underWay = undefined;
    if (underWay?.startedAt === undefined) return;
    const { requestId, startedAt, status } = underWay;
    const span = {
      requestId,
      durationMs: performance.now() - startedAt,
      initMs: this.#initToReport,
      memoryMB: this.#settings.memoryMB,
      usedMB: peakMemoryMB(this.#child?.pid),
      ...(status && { status }),
    };
    this.#initToReport = undefined;
    for (const line of endLines(span)) this.#settings.log(line);
  }

  #timeOut(): void {
    const underWay = this.#underWay;
    if (underWay !== undefined && !underWay.settled) {
      const message = `Task timed out after ${(this.#settings.timeoutMs / 1000).toFixed(2)} seconds`;
      this.#settings.log(`${new Date().toISOString()} ${underWay.requestId} ${message}`);
      underWay.status = "timeout";
      this.#fail(errorOf(underWay, "Sandbox.Timedout", message));
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
    if (this.#underWay !== undefined && !this.#underWay.settled) {
      this.#fail(errorOf(this.#underWay, "Runtime.ExitError", reason));
    }
    this.#finish();
    if (this.#child?.pid !== undefined) this.#settings.guard.delete(this.#child.pid);
    this.#owner.ended(this);
  }

  #signal(signal: "SIGCONT" | "SIGKILL" | "SIGSTOP"): void {
    const pid = this.#child?.pid;
    if (pid === undefined) return;
    try {
      if (IS_POSIX) process.kill(-pid, signal);
      else if (signal === "SIGKILL") this.#child?.kill();
    } catch (error) {
      // It has ended already.
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
}

/** A timer that can be set anew. */
class ResettableTimer {
  readonly #ring: () => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(ring: () => void) {
    this.#ring = ring;
  }

  set(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#ring, ms);
  }

  clear(): void {
    clearTimeout(this.#timer);
  }
}

function errorOf({ requestId }: RunningInvocation, errorType: string, message: string): FunctionErrorPayload {
  return { errorType, errorMessage: `RequestId: ${requestId} Error: ${message}` };
}

function describeExit(code: number | null, signal: NodeJS.Signals | null): string {
  if (signal !== null) return `Runtime exited with error: signal: ${signal}`;
  return code === 0
    ? "Runtime exited without providing a reason"
    : `Runtime exited with error: exit status ${code}`;
}

/** As X-Ray spells it, not sampled. */
function traceId(): string {
  const hex = (bytes: number) => randomBytes(bytes).toString("hex");
  const seconds = Math.floor(Date.now() / 1000).toString(16);
  return `Root=1-${seconds}-${hex(12)};Parent=${hex(8)};Sampled=0`;
}

/** Linux tells it, until the process has ended. */
function peakMemoryMB(pid: number | undefined): number | undefined {
  try {
    const kilobytes = /^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return kilobytes === undefined ? undefined : Math.ceil(Number(kilobytes) / 1024);
  } catch {
    return undefined;
  }
}
