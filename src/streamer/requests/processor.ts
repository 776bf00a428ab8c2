import { randomUUID } from "node:crypto";
import { logSafely } from "../../internal/log-safely.ts";
import type { StoredRequest } from "../../store/index.ts";
import type { CallContext } from "../call-context.ts";
import type { RequestRegistry } from "./registry.ts";
import { keyOf } from "./request-keys.ts";
import { RequestRun, type RunCollaborators, type RunEnd } from "./request-run.ts";
import { RunQueue } from "./run-queue.ts";

interface ProcessorOptions extends RunCollaborators {
  readonly registry: RequestRegistry;
  /** Creates the context of each run. */
  readonly createContext: () => CallContext;
}

/** The longest delay of a timer. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * Runs stored requests in this process. A new request wakes it; it polls nothing. When it begins, it takes over what an
 * earlier process has left.
 */
export class Processor {
  readonly #options: ProcessorOptions;
  readonly #queue: RunQueue;
  /** By owner and id. */
  readonly #running = new Map<string, { cancel(): void }>();
  #timer: NodeJS.Timeout | undefined;
  #loading: Promise<void> | undefined;
  #isStopped = false;

  constructor(options: ProcessorOptions) {
    this.#options = options;
    this.#queue = new RunQueue((action) => options.registry.get(action)?.concurrency ?? 0);
  }

  /** Takes a request that has just been stored. */
  add(request: StoredRequest): void {
    if (this.#options.settings.workers === 0) return;
    this.load().catch(() => {});
    this.#queue.add(request, request.dueAt, this.#options.now());
    this.#startNext();
  }

  /** Takes over the requests that an earlier process has left. Does it once; rejects when the store does. */
  load(): Promise<void> {
    if (this.#options.settings.workers === 0) return Promise.resolve();
    this.#loading ??= this.#load().catch((error: unknown) => {
      this.#loading = undefined;
      throw error;
    });
    return this.#loading;
  }

  /** Starts what has become due. Call it on every tick. */
  onTick(): void {
    if (this.#options.settings.workers === 0) return;
    this.load().catch((error: unknown) => {
      logSafely(this.#options.createContext().logger, "error", "Stored requests were not read", { error });
    });
    this.#startNext();
  }

  /** Stops the handler of a request that was cancelled, if it runs here. */
  cancel(key: string): void {
    this.#queue.delete(key);
    this.#running.get(key)?.cancel();
  }

  /** Starts nothing more. What runs goes on. */
  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  async #load(): Promise<void> {
    const { store, now } = this.#options;
    const open = store.listOpen?.() ?? store.listDue(now());
    for await (const request of open) {
      if (this.#running.has(keyOf(request))) continue;
      this.#queue.add(request, request.leaseUntil ?? request.dueAt, now());
    }
    this.#startNext();
  }

  #startNext(): void {
    const { settings, now } = this.#options;
    while (!this.#isStopped && this.#running.size < settings.workers) {
      const next = this.#queue.take(now());
      if (next === undefined) break;
      void this.#start(next);
    }
    this.#setTimer();
  }

  #setTimer(): void {
    clearTimeout(this.#timer);
    const at = this.#queue.nextDueAt;
    if (this.#isStopped || at === Number.POSITIVE_INFINITY) return;
    const delayMs = Math.min(Math.max(1, at - this.#options.now()), MAX_TIMER_MS);
    this.#timer = setTimeout(() => this.#startNext(), delayMs);
    this.#timer.unref();
  }

  /** Never rejects. */
  async #start(request: StoredRequest): Promise<void> {
    const key = keyOf(request);
    this.#running.set(key, { cancel() {} });
    let end: RunEnd = "lost";
    const context = this.#options.createContext();
    try {
      end = await this.#run(request, context);
    } catch (error) {
      logSafely(context.logger, "error", "A stored request could not be started", {
        requestId: request.id,
        error,
      });
      end = { retryAt: this.#options.now() + 1_000 };
    }
    this.#running.delete(key);
    this.#queue.release(request);
    if (typeof end === "object") this.#queue.add(request, end.retryAt, this.#options.now());
    this.#startNext();
  }

  async #run({ owner, id, action }: StoredRequest, context: CallContext): Promise<RunEnd> {
    const { store, registry, settings, now } = this.#options;
    const definition = registry.get(action);
    // Another version of the application may know it.
    if (definition === undefined) return "lost";
    const lease = { owner, id, token: randomUUID() };
    const at = now();
    const claimed = await store.claim(lease, { now: at, leaseUntil: at + settings.leaseMs });
    if (claimed === undefined) return "lost";
    const run = new RequestRun(definition, claimed, lease, context, this.#options);
    this.#running.set(keyOf(lease), run);
    return run.run();
  }
}
