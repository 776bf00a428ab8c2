import { randomUUID } from "node:crypto";
import {
  isSuccess,
  isWebSocketResult,
  type LambdaContext,
  type LambdaHandler,
  type WebSocketResult,
} from "../apigw/index.ts";
import type { Clock, Timer } from "./clock.ts";
import type { GatewaySettings } from "./options.ts";

/** How an invocation ended. `failed`: it threw, or its answer is malformed. */
export type Outcome =
  | { readonly kind: "answered"; readonly value: unknown }
  | { readonly kind: "failed"; readonly error: unknown }
  | { readonly kind: "timed out" };

const TIMED_OUT: Outcome = { kind: "timed out" };

type Settle = (outcome: Outcome) => void;

/**
 * Runs handlers as Lambda does, for at most the integration timeout. All have the same timeout, so the oldest
 * in flight is always the next to expire, and one timer serves them all.
 */
export class Invoker {
  readonly #inFlight = new InFlight();
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #region: string;
  readonly #accountId: string;
  #timer: Timer | undefined;

  constructor({ clock, limits, region, accountId }: GatewaySettings) {
    this.#clock = clock;
    this.#timeoutMs = limits.integrationTimeoutMs;
    this.#region = region;
    this.#accountId = accountId;
  }

  /**
   * Calls `settle` once, however the handler behaves. `late` hears, once at most, how a handler ended that had
   * been given up.
   */
  run<Event>(
    handler: LambdaHandler<Event>,
    event: Event,
    name: string,
    settle: Settle,
    late?: Settle | undefined,
  ): void {
    const deadline = this.#clock.now() + this.#timeoutMs;
    const ended: Settle = (outcome) => {
      this.#inFlight.delete(invocation);
      settle(outcome);
    };
    const invocation = new Invocation(deadline, ended, late);
    this.#inFlight.add(invocation);
    if (this.#timer === undefined && this.#timeoutMs !== Number.POSITIVE_INFINITY) this.#arm(this.#timeoutMs);
    invocation.start(
      handler,
      event,
      new Context(name, this.#region, this.#accountId, deadline, this.#clock, invocation),
    );
  }

  get isBusy(): boolean {
    return this.#inFlight.oldest !== undefined;
  }

  /** Resolves when what runs now has ended, after `ms` at the latest. */
  async drain(ms: number): Promise<void> {
    if (!this.isBusy) return;
    const ended = Promise.all(this.#inFlight.all().map((invocation) => invocation.ended));
    await new Promise<void>((resolve) => {
      const timer = this.#clock.setTimeout(resolve, ms);
      void ended.then(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  /** Gives up what still runs, and the timer. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const invocation of this.#inFlight.all()) invocation.end(TIMED_OUT);
  }

  #arm(ms: number): void {
    this.#timer = this.#clock.setTimeout(() => this.#expire(), ms);
  }

  #expire(): void {
    this.#timer = undefined;
    const now = this.#clock.now();
    let { oldest } = this.#inFlight;
    while (oldest !== undefined && oldest.deadline <= now) {
      oldest.end(TIMED_OUT);
      oldest = this.#inFlight.oldest;
    }
    if (oldest !== undefined) this.#arm(oldest.deadline - now);
  }
}

/** Invocations in the order they started: a linked list, as a Set of few that come and go rehashes all the time. */
class InFlight {
  oldest: Invocation | undefined;
  #newest: Invocation | undefined;

  add(invocation: Invocation): void {
    invocation.earlier = this.#newest;
    if (this.#newest === undefined) this.oldest = invocation;
    else this.#newest.later = invocation;
    this.#newest = invocation;
  }

  /** Once per invocation. */
  delete({ earlier, later }: Invocation): void {
    if (earlier === undefined) this.oldest = later;
    else earlier.later = later;
    if (later === undefined) this.#newest = earlier;
    else later.earlier = earlier;
  }

  all(): Invocation[] {
    const all: Invocation[] = [];
    for (let next = this.oldest; next !== undefined; next = next.later) all.push(next);
    return all;
  }
}

class Invocation {
  readonly deadline: number;
  earlier: Invocation | undefined;
  later: Invocation | undefined;
  readonly #settle: Settle;
  #late: Settle | undefined;
  #outcome: Outcome | undefined;
  #onEnd: (() => void) | undefined;

  constructor(deadline: number, settle: Settle, late: Settle | undefined) {
    this.deadline = deadline;
    this.#settle = settle;
    this.#late = late;
  }

  get ended(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#outcome) resolve();
      else this.#onEnd = resolve;
    });
  }

  start<Event>(handler: LambdaHandler<Event>, event: Event, context: LambdaContext): void {
    try {
      const answer = handler(event, context, this.#callback);
      if (isThenable(answer)) answer.then(this.#answered, this.#failed);
      // A handler that takes a callback answers by it, unless it returned something all the same.
      else if (handler.length < 3 || answer !== undefined) this.#answered(answer);
    } catch (error) {
      this.#failed(error);
    }
  }

  /** The first end counts; what a handler answers after its timeout is for `late` alone. */
  end(outcome: Outcome): void {
    if (this.#outcome) {
      if (this.#outcome === TIMED_OUT) this.#hearLate(outcome);
      return;
    }
    this.#outcome = outcome;
    this.#settle(outcome);
    this.#onEnd?.();
  }

  #hearLate(outcome: Outcome): void {
    const late = this.#late;
    this.#late = undefined;
    late?.(outcome);
  }

  readonly #answered = (value: unknown): void => this.end({ kind: "answered", value });

  readonly #failed = (error: unknown): void => this.end({ kind: "failed", error });

  readonly #callback = (error?: unknown, value?: unknown): void => {
    if (error !== undefined && error !== null) this.#failed(error);
    else this.#answered(value);
  };

  /** What `context.done` does: the runtimes before Node 24 still have it, and old handlers end by it. */
  get callback(): (error?: unknown, value?: unknown) => void {
    return this.#callback;
  }
}

const FUNCTION_VERSION = "$LATEST";

/** The context object of the Node runtimes. */
class Context implements LambdaContext {
  callbackWaitsForEmptyEventLoop = true;
  readonly functionName: string;
  readonly functionVersion = FUNCTION_VERSION;
  readonly memoryLimitInMB = "128";
  #awsRequestId: string | undefined;
  readonly #region: string;
  readonly #accountId: string;
  readonly #deadline: number;
  readonly #clock: Clock;
  readonly #invocation: Invocation;

  constructor(
    functionName: string,
    region: string,
    accountId: string,
    deadline: number,
    clock: Clock,
    invocation: Invocation,
  ) {
    this.functionName = functionName;
    this.#region = region;
    this.#accountId = accountId;
    this.#deadline = deadline;
    this.#clock = clock;
    this.#invocation = invocation;
  }

  /** Made when first asked for: most handlers never do, and random bytes are dear. */
  get awsRequestId(): string {
    this.#awsRequestId ??= randomUUID();
    return this.#awsRequestId;
  }

  get invokedFunctionArn(): string {
    return `arn:aws:lambda:${this.#region}:${this.#accountId}:function:${this.functionName}`;
  }

  get logGroupName(): string {
    return `/aws/lambda/${this.functionName}`;
  }

  get logStreamName(): string {
    const day = new Date(this.#clock.now()).toISOString().slice(0, 10).replaceAll("-", "/");
    return `${day}/[${FUNCTION_VERSION}]${this.awsRequestId.replaceAll("-", "")}`;
  }

  getRemainingTimeInMillis(): number {
    return Math.max(0, this.#deadline - this.#clock.now());
  }

  done(error?: unknown, value?: unknown): void {
    this.#invocation.callback(error, value);
  }

  succeed(value?: unknown): void {
    this.#invocation.callback(undefined, value);
  }

  fail(error?: unknown): void {
    this.#invocation.callback(error ?? new Error("context.fail() without an error"));
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function"
  );
}

const RESULT_FIELDS: ReadonlySet<string> = new Set(["statusCode", "body"]);

/** A route's outcome, its answer checked: on AWS it travels as JSON, so what JSON can't carry is malformed. */
export type RouteOutcome =
  | { readonly kind: "answered"; readonly result: WebSocketResult }
  /** `answer` is the malformed one, if there is one. */
  | { readonly kind: "failed"; readonly error: unknown; readonly answer?: unknown }
  | { readonly kind: "timed out" };

export function checkResult(outcome: Outcome): RouteOutcome {
  if (outcome.kind !== "answered") return outcome;
  try {
    return { kind: "answered", result: readResult(outcome.value) };
  } catch (error) {
    return { kind: "failed", error, answer: outcome.value };
  }
}

/** Whether a `$connect` believes that its client is let in, whatever else is wrong with its answer. */
export function letsIn(answer: unknown): boolean {
  try {
    return isWebSocketResult(answer) && isSuccess(answer.statusCode);
  } catch {
    return false;
  }
}

/** Throws on what is malformed; so do a getter and a proxy in the answer, if they like. */
function readResult(value: unknown): WebSocketResult {
  if (!isWebSocketResult(value)) {
    throw new TypeError("The handler's answer has no integer statusCode, or a body that is no string");
  }
  for (const field in value) {
    if (RESULT_FIELDS.has(field)) continue;
    JSON.stringify(value);
    break;
  }
  return value;
}

/** The status that stands for an outcome: the result's, or the one the service gives in its place. */
export function statusOf(outcome: RouteOutcome): number {
  if (outcome.kind === "answered") return outcome.result.statusCode;
  return outcome.kind === "failed" ? 502 : 504;
}
