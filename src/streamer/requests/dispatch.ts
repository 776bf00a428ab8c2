import { logSafely } from "../../internal/log-safely.ts";
import { anyFunction, type OptionChecks, record } from "../../internal/options.ts";
import { Semaphore } from "../../internal/semaphore.ts";
import type {
  RequestKey,
  RequestStore,
  StoredRequest,
  TableStreamRequests,
  TimeBudget,
} from "../../store/index.ts";
import type { CallContext } from "../call-context.ts";
import { assertOptions, invalidOption } from "../errors.ts";
import { RequestStarter, RUN_LIMIT_CHECKS, type RunLimits, type WorkerEvent } from "./starter.ts";

/** Options of `streamer.dispatchHandler` and `streamer.workerHandler`. Both functions need the same ones. */
export interface DispatchOptions {
  /** Invokes the worker function asynchronously with an event, such as by `lambdaInvoker`. */
  readonly invoke: (event: WorkerEvent) => unknown;
  /** Requests beyond them wait until others end. Default: none. */
  readonly limits?: RunLimits;
}

/** The event of a table's stream, as far as it is read, or of a schedule. */
export interface DispatchEvent {
  /** The records of the batch, in order. Absent: the event is a schedule's. */
  readonly Records?: readonly {
    readonly dynamodb?: { readonly NewImage?: object; readonly SequenceNumber?: string };
  }[];
}

/** Lists the records to deliver again; the service continues from the first one. */
export interface DispatchReport {
  /** The failed records, by their sequence numbers. */
  readonly batchItemFailures: { itemIdentifier: string }[];
}

/** A Lambda handler for the stream of the requests' table, and for a schedule. */
export type DispatchHandler = (event: DispatchEvent, context: TimeBudget) => Promise<DispatchReport>;

interface DispatcherOptions {
  readonly store: RequestStore;
  readonly createContext: (budget: TimeBudget) => CallContext;
  /** ms since the epoch. */
  readonly now: () => number;
}

const CHECKS: OptionChecks<DispatchOptions> = { invoke: anyFunction, limits: record };

/** Invocations at the same time. */
const CONCURRENCY = 16;
/** The tick leaves a newer request to the stream, in ms. */
const MIN_AGE_MS = 5_000;
/** Starts nothing more with less time than this, in ms. */
const MIN_REMAINING_MS = 2_000;
/** The most requests that a worker starts when it has ended one. */
const MAX_NEXT = 10;

/** Starts stored requests in worker functions. It never runs one itself: that would delay the records behind it. */
export class RequestDispatcher {
  readonly #store: TableStreamRequests;
  readonly #starter: RequestStarter;
  readonly #options: DispatcherOptions;

  /** @throws {LiftError} INVALID_OPTION, also when the store has no table stream */
  constructor(options: DispatcherOptions, dispatch: DispatchOptions) {
    assertOptions(dispatch, CHECKS, { required: ["invoke"] });
    const { invoke, limits = {} } = dispatch;
    assertOptions(limits, RUN_LIMIT_CHECKS, { prefix: "limits." });
    const { store, now } = options;
    if (!hasTableStream(store)) {
      throw invalidOption("Worker functions require a store of requests with a table stream");
    }
    this.#store = store;
    this.#options = options;
    this.#starter = new RequestStarter({ store, invoke, limits, now });
  }

  /** Whether claims are counted. */
  get isLimited(): boolean {
    return this.#starter.isLimited;
  }

  get store(): TableStreamRequests {
    return this.#store;
  }

  readonly handle: DispatchHandler = async ({ Records }, lambda) => {
    const context = this.#options.createContext(lambda);
    if (Records !== undefined) return this.#startNew(Records, context);
    await this.#startDue(context);
    return { batchItemFailures: [] };
  };

  /** Starts requests that wait, in place of one that has ended. Never rejects. */
  async startNext(context: CallContext, ended: RequestKey): Promise<void> {
    if (!this.isLimited) return;
    try {
      await this.#startWaiting(context, { minAgeMs: 0, most: MAX_NEXT, ended });
    } catch (error) {
      logSafely(context.logger, "error", "Waiting requests were not started; the schedule starts them", {
        error,
      });
    }
  }

  async #startNew(
    records: NonNullable<DispatchEvent["Records"]>,
    context: CallContext,
  ): Promise<DispatchReport> {
    const semaphore = new Semaphore(CONCURRENCY);
    const starts: Promise<string | undefined>[] = [];
    const free = await this.#starter.readFreeSlots(context.budget);
    for (const { dynamodb: { NewImage, SequenceNumber: sequenceNumber = "" } = {} } of records) {
      const request = NewImage && this.#parse(NewImage, sequenceNumber, context);
      // The schedule starts a delayed request.
      if (request === undefined || request.dueAt > this.#options.now()) continue;
      // A request beyond the limits waits until another one ends.
      if (!(await free.take(request.tenant))) continue;
      const start = semaphore.use(() => this.#start(request, context));
      starts.push(start.then((isStarted) => (isStarted ? undefined : sequenceNumber)));
    }
    const failed = (await Promise.all(starts)).filter((sequenceNumber) => sequenceNumber !== undefined);
    return { batchItemFailures: failed.map((itemIdentifier) => ({ itemIdentifier })) };
  }

  /** Logs an unreadable record and skips it: a retry could not read it either, and would block the records behind it. */
  #parse(image: object, sequenceNumber: string, { logger }: CallContext): StoredRequest | undefined {
    try {
      return this.#store.parseTableStreamImage(image);
    } catch (error) {
      logSafely(logger, "error", "A record of the table stream is unreadable", { sequenceNumber, error });
      return undefined;
    }
  }

  /** Starts what no record of the stream reports: delayed requests, retries, expired leases, and lost records. */
  async #startDue(context: CallContext): Promise<void> {
    const free = await this.#starter.readFreeSlots(context.budget);
    for await (const request of this.#store.listOverdue(this.#options.now())) {
      if (!hasTime(context)) return;
      // The place of a worker that has died is still counted.
      if (request.state !== "PROCESSING" && !(await free.take(request.tenant))) continue;
      await this.#start(request, context);
    }
    await this.#startWaiting(context, { minAgeMs: MIN_AGE_MS, most: Number.POSITIVE_INFINITY });
  }

  async #startWaiting(
    context: CallContext,
    {
      minAgeMs,
      most,
      ended,
    }: { readonly minAgeMs: number; readonly most: number; readonly ended?: RequestKey },
  ): Promise<void> {
    const now = this.#options.now();
    const free = await this.#starter.readFreeSlots(context.budget, ended);
    let left = most;
    for await (const request of this.#store.listWaiting(now, free.full)) {
      if (!hasTime(context) || free.isFull || left <= 0) return;
      const since = Math.max(request.updatedAt, request.dueAt);
      if (this.#starter.hasStarted(request) || now - since < minAgeMs) continue;
      if (!(await free.take(request.tenant))) continue;
      if (await this.#start(request, context)) left--;
    }
  }

  /** @returns whether the worker function was invoked */
  async #start(request: StoredRequest, { logger }: CallContext): Promise<boolean> {
    try {
      await this.#starter.start(request);
      return true;
    } catch (error) {
      const { id: requestId } = request;
      logSafely(logger, "error", "The worker function could not be invoked", { requestId, error });
      return false;
    }
  }
}

function hasTime({ budget }: CallContext): boolean {
  return budget === undefined || budget.getRemainingTimeInMillis() >= MIN_REMAINING_MS;
}

function hasTableStream(store: RequestStore): store is TableStreamRequests {
  return "parseTableStreamImage" in store;
}
