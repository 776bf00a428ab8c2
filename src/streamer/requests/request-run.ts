import { setTimeout as sleep } from "node:timers/promises";
import { elapsed } from "../../internal/elapsed.ts";
import { logSafely } from "../../internal/log-safely.ts";
import { clientError, LiftError, type Logger, validate } from "../../lift/index.ts";
import { type ServerMessage, utf8Length } from "../../protocol/index.ts";
import {
  type AttemptOutcome,
  type ClaimedRequest,
  type Json,
  MAX_CHECKPOINT_BYTES,
  type OutputItem,
  type RequestFailure,
  type RequestLease,
  type RequestProgress,
  type RequestStore,
  type StoredRequest,
  StoreError,
  type TimeBudget,
} from "../../store/index.ts";
import type { CallContext } from "../call-context.ts";
import { awaitStore, storeFailed } from "../errors.ts";
import { toJson } from "../schemas.ts";
import { completeMessage, failureMessage, outputMessage, progressMessage } from "./messages.ts";
import type { RequestContext, RequestDefinition, RequestSettings } from "./options.ts";
import { OutputWriter } from "./output/writer.ts";
import { ProgressReporter } from "./progress-reporter.ts";
import { identityOf, toWatched, type Watched } from "./request-keys.ts";
import type { RequestResult, RequestResults } from "./results.ts";
import type { Watchers } from "./watchers.ts";

/** Default of `timeoutMs` for stored requests. */
const TIMEOUT_MS = 15 * 60_000;
/** Delay before a write that the store has not answered is tried again, in ms. */
const RETRY_MS = 250;

/** How often the end of an output is read when the store fails. */
const MAX_END_READS = 5;

/** The longest message of a failure that is stored, in UTF-16 code units, and its largest details, in bytes of JSON. */
const MAX_MESSAGE_LENGTH = 2_048;
const MAX_DETAILS_BYTES = 8_192;

export interface RunCollaborators {
  readonly store: RequestStore;
  readonly results: RequestResults;
  readonly watchers: Watchers;
  readonly settings: RequestSettings;
  /** ms since the epoch. */
  readonly now: () => number;
  /** From 0 to 1, below 1. */
  readonly random: () => number;
  /** Runs an attempt inside the application's middleware. */
  readonly runInMiddleware: <Result>(
    request: StoredRequest,
    budget: TimeBudget,
    attempt: () => Promise<Result>,
  ) => Promise<Result>;
}

/** How a run ended. */
export type RunEnd =
  | "completed"
  | "failed"
  /** Another attempt is due at that time, in ms since the epoch. */
  | { readonly retryAt: number }
  /** Another worker continues. */
  | "handed over"
  /** The request was cancelled, or another worker has it. */
  | "lost";

/** One attempt at a claimed request: runs its handler, and stores and sends what comes of it. */
export class RequestRun {
  readonly #definition: RequestDefinition;
  readonly #claimed: ClaimedRequest;
  readonly #lease: RequestLease;
  readonly #context: CallContext;
  readonly #collaborators: RunCollaborators;
  readonly #stop = new AbortController();
  readonly #logger: Logger;
  readonly #output: OutputWriter;
  readonly #progress: ProgressReporter;
  #watched: Watched;
  /** Whether this attempt has saved a checkpoint or written output. */
  #hasSaved = false;
  #isHandedOver = false;
  /** When the lease ends by this process's own monotonic clock. */
  #leaseEnd: number;

  constructor(
    definition: RequestDefinition,
    claimed: ClaimedRequest,
    lease: RequestLease,
    context: CallContext,
    collaborators: RunCollaborators,
  ) {
    this.#definition = definition;
    this.#claimed = claimed;
    this.#lease = lease;
    this.#context = context;
    this.#collaborators = collaborators;
    const { request, output: head } = claimed;
    const { settings, now } = collaborators;
    this.#watched = toWatched(request);
    this.#leaseEnd = elapsed() + settings.leaseMs;
    this.#logger = withFields(context.logger, { requestId: request.id, action: request.action });
    this.#output = new OutputWriter({
      head,
      gatherMs: settings.gatherMs,
      maxBytes: settings.limits.outputBytes,
      signal: this.#stop.signal,
      now,
      logger: this.#logger,
      append: (item) => this.#append(item),
      send: async (item) => void (await this.#send(outputMessage(request.id, item))),
    });
    this.#progress = new ProgressReporter({
      schema: definition.progress,
      logger: this.#logger,
      send: (progress) => this.#send(progressMessage(request, progress)),
      store: (progress) => this.#renew(progress),
    });
  }

  /** Stops the handler: the request was cancelled in this process. */
  cancel(): void {
    this.#stop.abort(new RequestLost());
  }

  /**
   * Stops the handler, so that another process continues from its checkpoint. An attempt that has neither saved one nor
   * written output fails instead, unless it is forced: it would do the same again and again.
   */
  handOver({ isForced = false } = {}): void {
    if (this.#hasSaved || isForced) this.#isHandedOver = true;
    this.#stop.abort(new LiftError("TIMEOUT", { message: "The function's time is over" }));
  }

  /** Never rejects. */
  async run(): Promise<RunEnd> {
    const { settings } = this.#collaborators;
    const timeoutMs = Math.min(this.#definition.timeoutMs ?? TIMEOUT_MS, 2 ** 31 - 1);
    const timeout = setTimeout(() => this.#stop.abort(timedOut(timeoutMs)), timeoutMs);
    const renewing = setInterval(() => void this.#renew(), settings.leaseMs / 3);
    timeout.unref();
    renewing.unref();
    try {
      // It may have been cancelled or handed over while it was claimed.
      this.#stop.signal.throwIfAborted();
      this.#assertAttemptsLeft();
      const result = await this.#untilStopped(
        this.#collaborators.runInMiddleware(this.#claimed.request, this.#budget(timeoutMs), () =>
          this.#handle(),
        ),
      );
      return await this.#complete(result);
    } catch (error) {
      // Keeps the output that the handler wrote before it failed, unless it was stopped.
      if (!this.#stop.signal.aborted) await this.#output.end().catch(() => {});
      this.#stop.abort(error);
      // The end names the last offset, which an item on its way to the store would exceed.
      await this.#output.cancel();
      return await this.#fail(error);
    } finally {
      clearTimeout(timeout);
      clearInterval(renewing);
      this.#progress.cancel();
      // Nothing that the handler still does counts from now on.
      this.#stop.abort(ENDED);
    }
  }

  /** An attempt whose worker dies is counted, but nothing fails it. @throws {LiftError} INTERNAL_ERROR */
  #assertAttemptsLeft(): void {
    const { attempts } = this.#definition.retry;
    if (this.#claimed.request.attempt <= attempts) return;
    throw new LiftError("INTERNAL_ERROR", {
      message: `Each of the ${attempts} attempts ended with its worker`,
    });
  }

  #budget(timeoutMs: number): TimeBudget {
    const end = elapsed() + timeoutMs;
    return this.#context.budget ?? { getRemainingTimeInMillis: () => end - elapsed() };
  }

  async #handle(): Promise<RequestResult> {
    const { input: schema, handler } = this.#definition;
    const { input } = this.#claimed;
    const validated = schema === undefined ? input : await validate(schema, input, ["payload"]);
    const result = await handler(validated as Json, this.#createContext());
    await this.#output.end();
    const json = await toResult(result, this.#definition);
    return this.#writeResult(json);
  }

  /** A large result is written before the request completes, so a completed request always has its result. */
  #writeResult(json: Json): Promise<RequestResult> {
    const { results } = this.#collaborators;
    assertSize(json, results.maxBytes, "result");
    const { signal } = this.#stop;
    const write = () => {
      signal.throwIfAborted();
      return results.write(this.#lease, json, signal);
    };
    // The lease is renewed meanwhile, but the blob store may stay out of reach.
    return this.#untilStored(write, this.#leaseEnd);
  }

  #createContext(): RequestContext {
    const { request, checkpoint } = this.#claimed;
    const saved = {
      value: checkpoint,
      save: (value: unknown) => {
        const saving = this.#saveCheckpoint(value).then((json) => {
          saved.value = json;
        });
        // A handler that does not wait for it would end the process.
        saving.catch((error: unknown) => {
          if (!this.#stop.signal.aborted) {
            logSafely(this.#logger, "warn", "A checkpoint was not saved", { error });
          }
        });
        return saving;
      },
    };
    return {
      id: request.id,
      identity: identityOf(request),
      attempt: request.attempt,
      signal: this.#stop.signal,
      logger: this.#logger,
      output: this.#output,
      checkpoint: saved,
      progress: (percentage, message, details) => this.#progress.report(percentage, message, details),
    };
  }

  /** Does not wait for a handler that ignores its signal: the store takes nothing more from it. */
  #untilStopped<T>(running: Promise<T>): Promise<T> {
    const { signal } = this.#stop;
    return new Promise<T>((resolve, reject) => {
      const stop = () => reject(signal.reason);
      signal.addEventListener("abort", stop, { once: true });
      // It may have been stopped before the handler's first pause.
      if (signal.aborted) stop();
      running.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
    });
  }

  async #complete(result: RequestResult): Promise<RunEnd> {
    const { settings, results, now } = this.#collaborators;
    const expiresAt = now() + settings.keepMs;
    const isStored = await this.#finish({ state: "COMPLETED", result: results.toRow(result), expiresAt });
    if (!isStored) return "lost";
    await this.#send(completeMessage(this.#lease.id, result, this.#output.offset));
    return "completed";
  }

  async #fail(error: unknown): Promise<RunEnd> {
    const { request } = this.#claimed;
    if (error instanceof RequestLost) return "lost";
    if (this.#isHandedOver) {
      const isStored = await this.#finish({ state: "PENDING" }).catch(() => false);
      return isStored ? "handed over" : "lost";
    }
    const { settings, now, random } = this.#collaborators;
    const { attempts, firstMs, longestMs } = this.#definition.retry;
    const failure = toFailure(error);
    const isFinal = !isRetryable(error) || request.attempt >= attempts;
    logSafely(this.#logger, isFinal ? "error" : "warn", "A request failed", {
      attempt: request.attempt,
      error: error as Error,
    });
    const delayMs = random() * Math.min(longestMs, firstMs * 2 ** Math.min(request.attempt - 1, 30));
    const retryAt = Math.ceil(now() + delayMs);
    const outcome: AttemptOutcome = isFinal
      ? { state: "FAILED", failure, expiresAt: now() + settings.keepMs }
      : { state: "RETRYING", failure, dueAt: retryAt };
    const isStored = await this.#finish(outcome).catch(() => false);
    if (!isStored) return "lost";
    if (!isFinal) {
      await this.#send(progressMessage({ ...request, attempt: request.attempt + 1 }, { percentage: 0 }));
      return { retryAt };
    }
    await this.#send(failureMessage(this.#lease.id, failure, await this.#endOfOutput()));
    return "failed";
  }

  /** The store takes no more output once it has the end. */
  async #endOfOutput(): Promise<number> {
    const { offset, isUncertain } = this.#output;
    if (!isUncertain) return offset;
    const { store } = this.#collaborators;
    for (let tries = 0; tries < MAX_END_READS; tries++) {
      const page = await store.readOutput(this.#lease, { after: offset, limit: 1 }).catch(() => undefined);
      if (page !== undefined) return page.head.offset;
      await sleep(RETRY_MS, undefined, { ref: false });
    }
    return offset;
  }

  async #append(item: OutputItem): Promise<void> {
    if (await this.#untilStored(() => this.#collaborators.store.append(this.#lease, item))) {
      this.#hasSaved = true;
      return;
    }
    this.#stop.abort(new RequestLost());
    throw new RequestLost();
  }

  async #finish(outcome: AttemptOutcome): Promise<boolean> {
    const { store, now } = this.#collaborators;
    const progress = await this.#progress.close();
    const ended = progress === undefined ? outcome : { ...outcome, progress };
    return this.#untilStored(() => store.finish(this.#lease, ended, now()));
  }

  /**
   * Repeats a write until the store has answered.
   * @param end of the tries, by the monotonic clock. Default: the end of the lease
   */
  async #untilStored<Answer>(write: () => Promise<Answer>, end?: number): Promise<Answer> {
    for (;;) {
      try {
        return await write();
      } catch (cause) {
        const mayPass = cause instanceof StoreError && cause.code === "STORE_UNAVAILABLE";
        if (!mayPass || elapsed() + RETRY_MS >= (end ?? this.#leaseEnd)) throw storeFailed(cause);
        await sleep(RETRY_MS, undefined, { ref: false });
      }
    }
  }

  /** Returns the checkpoint as it is stored. */
  async #saveCheckpoint(value: unknown): Promise<Json> {
    const json = toJson(value);
    assertSize(json, MAX_CHECKPOINT_BYTES, "checkpoint");
    const isValid = await awaitStore(this.#collaborators.store.saveCheckpoint(this.#lease, json));
    if (isValid) {
      this.#hasSaved = true;
      return json;
    }
    this.#stop.abort(new RequestLost());
    throw new RequestLost();
  }

  async #renew(progress?: RequestProgress): Promise<void> {
    const { store, settings, now } = this.#collaborators;
    const startedAt = elapsed();
    const renewal = {
      leaseUntil: now() + settings.leaseMs,
      ...(progress === undefined ? {} : { progress }),
    };
    try {
      if (await store.renew(this.#lease, renewal)) this.#leaseEnd = startedAt + settings.leaseMs;
      else this.#stop.abort(new RequestLost());
    } catch (error) {
      logSafely(this.#logger, "warn", "A request's lease was not renewed", { error });
      if (elapsed() >= this.#leaseEnd) this.#stop.abort(new RequestLost());
    }
  }

  async #send(message: ServerMessage): Promise<void> {
    const isOpen = await this.#collaborators.watchers.send(this.#watched, message, this.#context);
    if (!isOpen) this.#watched = { ...this.#watched, requester: undefined };
  }
}

/** Validates a handler's result and returns it as JSON. @throws {LiftError} INTERNAL_ERROR, NOT_JSON */
export async function toResult(result: unknown, { output, name }: RequestDefinition): Promise<Json> {
  return toJson((output === undefined ? result : await validateResult(output, result, name)) ?? null);
}

/** A result that does not match its schema is the handler's fault, not the client's. */
async function validateResult(
  schema: NonNullable<RequestDefinition["output"]>,
  result: unknown,
  name: string,
): Promise<unknown> {
  try {
    return await validate(schema, result, ["result"]);
  } catch (cause) {
    throw new LiftError("INTERNAL_ERROR", {
      cause: `The result of \`${name}\` is invalid: ${String(cause)}`,
    });
  }
}

/** @throws {LiftError} TOO_LARGE */
export function assertSize(value: unknown, maxBytes: number, subject: string): void {
  const bytes = utf8Length(JSON.stringify(value));
  if (bytes <= maxBytes) return;
  throw new LiftError("TOO_LARGE", {
    status: 413,
    message: `The ${subject} has ${bytes} bytes; the limit is ${maxBytes}`,
  });
}

/** Returns what a store can keep of an error. Details that are no JSON, or too large, are left out. */
function toFailure(thrown: unknown): RequestFailure {
  const { code, message, details } = clientError(thrown);
  // An application may have changed the message of its error to anything.
  const text = typeof message === "string" ? message : "The request failed";
  const failure = { code, message: text.slice(0, MAX_MESSAGE_LENGTH) };
  try {
    const json = details === undefined ? undefined : toJson(details);
    const fits = json !== undefined && utf8Length(JSON.stringify(json)) <= MAX_DETAILS_BYTES;
    return fits ? { ...failure, details: json } : failure;
  } catch {
    return failure;
  }
}

/** Errors of unknown kind may pass. A `LiftError` says so itself. */
function isRetryable(thrown: unknown): boolean {
  return !(thrown instanceof LiftError) || thrown.retry;
}

/** The request was cancelled, or another worker has it: nothing more can be stored. */
class RequestLost extends LiftError {
  constructor() {
    super("CANCELLED", { status: 409, message: "The request was cancelled" });
  }
}

/** One for all runs that have ended, because each would collect a stack that nobody reads. */
const ENDED = new RequestLost();

function timedOut(ms: number): LiftError {
  return new LiftError("TIMEOUT", { message: `The request took longer than ${ms} ms` });
}

function withFields(logger: Logger, fields: object): Logger {
  const log = (level: keyof Logger) => (message: string, more?: object) =>
    logger[level](message, { ...fields, ...more });
  return { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") } as Logger;
}
