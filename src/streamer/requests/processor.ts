import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { logSafely } from "../../internal/log-safely.ts";
import type { ClaimedRequest, FirstClaim, NewRequest, StoredRequest } from "../../store/index.ts";
import type { CallContext } from "../call-context.ts";
import type { RequestRegistry } from "./registry.ts";
import { isFinal, keyOf } from "./request-keys.ts";
import { RequestRun, type RunCollaborators, type RunEnd } from "./request-run.ts";
import { RunQueue } from "./run-queue.ts";

interface ProcessorOptions extends RunCollaborators {
  readonly registry: RequestRegistry;
  /** Creates the context of each run. */
  readonly createContext: () => CallContext;
}

/** How often a process reads a shared store for what others have left, within the time of a lease. */
const RELOADS_PER_LEASE = 3;

/** A request that this process stores for a free worker, claims or runs. */
interface Running {
  /** Absent until the request is claimed. */
  run?: RequestRun;
  /** Whether the request was cancelled before it was claimed here. */
  isCancelled?: boolean;
  /** Whether it was added again meanwhile: it may have been redriven, or be another one with its id. */
  isAddedAgain?: boolean;
}

/** The claim with which a request was created, and what it claimed, if that is known. */
interface Reserved extends FirstClaim {
  readonly claimed: ClaimedRequest | undefined;
}

/** A request that runs here again, and when: in ms since the epoch. */
interface NextRun {
  readonly request: StoredRequest;
  readonly at: number;
}

/** Delay before a request is tried again after the store has failed, in ms. */
const RESTART_MS = 1_000;

/** How long `stop` waits, in ms. */
const STOP_MS = 5_000;

/** The longest delay of a timer. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * Runs stored requests in this process. A new request wakes it; it polls nothing. When it begins, it takes over what an
 * earlier process has left. With a store that several processes share, it looks for what they have left on ticks too.
 */
export class Processor {
  readonly #options: ProcessorOptions;
  readonly #queue: RunQueue;
  /** By owner and id. */
  readonly #running = new Map<string, Running>();
  readonly #runs = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #loading: Promise<void> | undefined;
  /** ms since the epoch. */
  #loadedAt = 0;
  #isStopped = false;

  constructor(options: ProcessorOptions) {
    this.#options = options;
    this.#queue = new RunQueue((action) => options.registry.get(action)?.concurrency ?? 0);
  }

  /** Takes a request that has just been stored. */
  add(request: StoredRequest): void {
    if (this.#options.settings.workers === 0 || this.#isStopped) return;
    this.load().catch(() => {});
    const running = this.#running.get(keyOf(request));
    if (running !== undefined) {
      running.isAddedAgain = true;
      return;
    }
    this.#queue.add(request, request.dueAt, this.#options.now());
    this.#startNext();
  }

  /**
   * Keeps a worker free for a request that is about to be stored, so that one write stores and claims it. `start` it
   * when that write has ended, in whatever way.
   * @returns `undefined` when it has to wait for others, or when other processes share the store
   */
  reserve(request: NewRequest): FirstClaim | undefined {
    const { settings, store, now } = this.#options;
    if (this.#isStopped || store.listOpen === undefined || this.#running.size >= settings.workers)
      return undefined;
    this.load().catch(() => {});
    const key = keyOf(request);
    const at = now();
    if (request.dueAt > at || this.#running.has(key) || !this.#queue.reserve(request, at)) return undefined;
    this.#running.set(key, {});
    return { token: randomUUID(), leaseUntil: at + settings.leaseMs };
  }

  /**
   * Starts a request with the worker that was reserved for it.
   * @param claimed absent: it was stored before, or the write has failed and may have been done
   */
  start(created: NewRequest, claim: FirstClaim, claimed: ClaimedRequest | undefined): void {
    const { input: _, ...request } = created;
    const stored: StoredRequest = { ...request, state: "PENDING", attempt: 0, updatedAt: request.createdAt };
    this.#track(this.#start(stored, { ...claim, claimed }));
  }

  /** Takes over the requests that an earlier process has left. Does it once until a tick; rejects when the store does. */
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
    const { settings, store, now } = this.#options;
    if (settings.workers === 0 || this.#isStopped) return;
    // Other processes share this store, and what they leave is not known here.
    const isShared = store.listOpen === undefined;
    if (isShared && now() - this.#loadedAt >= settings.leaseMs / RELOADS_PER_LEASE) this.#loading = undefined;
    this.load().catch((error: unknown) => {
      logSafely(this.#options.createContext().logger, "error", "Stored requests were not read", { error });
    });
    this.#startNext();
  }

  /** Stops the handler of a request that was cancelled, if it runs here. */
  cancel(key: string): void {
    this.#queue.delete(key);
    const running = this.#running.get(key);
    if (running === undefined) return;
    running.isCancelled = true;
    running.run?.cancel();
  }

  /**
   * Starts nothing more, and hands over what runs: the next process continues it at once. Resolves when it is handed
   * over, or after the time that a store may take.
   */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    for (const { run } of this.#running.values()) run?.handOver({ isForced: true });
    const ended = Promise.all(this.#runs).then(() => {});
    await Promise.race([ended, sleep(STOP_MS, undefined, { ref: false })]);
  }

  async #load(): Promise<void> {
    const { store, now } = this.#options;
    const open = store.listOpen?.() ?? store.listDue(now());
    // A load that takes long is not repeated before its end.
    this.#loadedAt = Number.POSITIVE_INFINITY;
    try {
      for await (const request of open) {
        if (this.#running.has(keyOf(request))) continue;
        this.#queue.add(request, request.leaseUntil ?? request.dueAt, now());
      }
    } finally {
      this.#loadedAt = now();
    }
    this.#startNext();
  }

  #startNext(): void {
    const { settings, now } = this.#options;
    while (!this.#isStopped && this.#running.size < settings.workers) {
      const next = this.#queue.take(now());
      if (next === undefined) break;
      this.#track(this.#start(next));
    }
    this.#setTimer();
  }

  #track(started: Promise<void>): void {
    const run: Promise<void> = started.finally(() => this.#runs.delete(run));
    this.#runs.add(run);
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
  async #start(request: StoredRequest, first?: Reserved): Promise<void> {
    const key = keyOf(request);
    const running = this.#running.get(key) ?? {};
    this.#running.set(key, running);
    const context = this.#options.createContext();
    let next: NextRun | undefined;
    try {
      const end = await this.#run(request, running, context, first);
      if (typeof end === "object") next = { request, at: end.retryAt };
      else if (end === "lost") running.isAddedAgain = true;
      while (running.isAddedAgain) {
        running.isAddedAgain = false;
        next = await this.#findNextRun(request);
      }
    } catch (error) {
      logSafely(context.logger, "error", "A stored request could not be started", {
        requestId: request.id,
        error,
      });
      next = { request, at: this.#options.now() + RESTART_MS };
    }
    this.#running.delete(key);
    this.#queue.release(request);
    if (next !== undefined) this.#queue.add(next.request, next.at, this.#options.now());
    this.#startNext();
  }

  /** A worker that has a request may die, also this one: the store may not have taken how its attempt ended. */
  async #findNextRun({ owner, id }: StoredRequest): Promise<NextRun | undefined> {
    const request = await this.#options.store.get({ owner, id });
    if (request === undefined || isFinal(request)) return undefined;
    return { request, at: request.leaseUntil ?? request.dueAt };
  }

  async #run(
    { owner, id, action }: StoredRequest,
    running: Running,
    context: CallContext,
    first: Reserved | undefined,
  ): Promise<RunEnd> {
    const { store, registry, settings, now } = this.#options;
    const definition = registry.get(action);
    // Another version of the application may know it.
    if (definition === undefined) return "handed over";
    const lease = { owner, id, token: first?.token ?? randomUUID() };
    const at = now();
    const claim = { now: at, leaseUntil: at + settings.leaseMs };
    const claimed = first?.claimed ?? (await store.claim(lease, claim));
    if (claimed === undefined) return "lost";
    const run = new RequestRun(definition, claimed, lease, context, this.#options);
    running.run = run;
    if (running.isCancelled) run.cancel();
    if (this.#isStopped) run.handOver({ isForced: true });
    return run.run();
  }
}
