import {
  isSuccess,
  type LambdaHandler,
  parseStatusCode,
  parseWebSocketResult,
  type WebSocketResult,
} from "../../apigw/index.ts";
import { type SteadyClock, type Timer, waitAtMost } from "../clock.ts";
import type { GatewaySettings } from "../options.ts";
import { LambdaContextFactory, type NodeLambdaContext } from "./lambda-context.ts";

/** The outcome of an invocation. `failed`: the handler threw, or its result is invalid. */
export type Outcome =
  | { readonly kind: "answered"; readonly value: unknown }
  | { readonly kind: "failed"; readonly error: unknown }
  | { readonly kind: "timed out" };

const TIMED_OUT: Outcome = { kind: "timed out" };

type Settle = (outcome: Outcome) => void;

/**
 * Runs handlers like Lambda, for at most the integration timeout. All invocations have the same timeout, so the oldest
 * expires first and one timer is enough.
 */
export class Invoker {
  readonly #inFlight = new InFlightInvocations();
  readonly #clock: SteadyClock;
  readonly #timeoutMs: number;
  readonly #contexts: LambdaContextFactory;
  #timer: Timer | undefined;

  constructor(settings: GatewaySettings) {
    this.#clock = settings.clock;
    this.#timeoutMs = settings.limits.integrationTimeoutMs;
    this.#contexts = new LambdaContextFactory(settings);
  }

  /**
   * Runs a handler.
   * @param name the function's name in the Lambda context
   * @param settle called once with the outcome
   * @param late called at most once with the outcome of a handler that ended after its timeout
   */
  run<Event>(
    handler: LambdaHandler<Event>,
    event: Event,
    name: string,
    settle: Settle,
    late?: Settle | undefined,
  ): void {
    const deadline = this.#clock.elapsed() + this.#timeoutMs;
    const invocation = new Invocation(deadline, this.#inFlight, settle, late);
    this.#inFlight.add(invocation);
    if (this.#timer === undefined && this.#timeoutMs !== Number.POSITIVE_INFINITY) this.#arm(this.#timeoutMs);
    invocation.start(handler, event, this.#contexts.create(name, deadline, invocation.callback));
  }

  get isBusy(): boolean {
    return this.#inFlight.oldest !== undefined;
  }

  /** Resolves when the running handlers have ended, or after `ms`. */
  async drain(ms: number): Promise<void> {
    if (!this.isBusy) return;
    const ended = Promise.all(this.#inFlight.all().map((invocation) => invocation.ended));
    await waitAtMost(this.#clock, ms, ended);
  }

  /** Times out the running handlers and stops the timer. */
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
    const now = this.#clock.elapsed();
    let { oldest } = this.#inFlight;
    while (oldest !== undefined && oldest.deadline <= now) {
      oldest.end(TIMED_OUT);
      oldest = this.#inFlight.oldest;
    }
    if (oldest !== undefined) this.#arm(oldest.deadline - now);
  }
}

/** Invocations in start order. A linked list, because a small Set with frequent changes rehashes all the time. */
class InFlightInvocations {
  oldest: Invocation | undefined;
  #newest: Invocation | undefined;

  add(invocation: Invocation): void {
    invocation.earlier = this.#newest;
    if (this.#newest === undefined) this.oldest = invocation;
    else this.#newest.later = invocation;
    this.#newest = invocation;
  }

  /** Removes an invocation. Call it once for each. */
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
  readonly #inFlight: InFlightInvocations;
  readonly #settle: Settle;
  #late: Settle | undefined;
  #outcome: Outcome | undefined;
  #onEnd: (() => void) | undefined;

  readonly callback = (error?: unknown, value?: unknown): void => {
    if (error !== undefined && error !== null) this.#fail(error);
    else this.#succeed(value);
  };

  constructor(deadline: number, inFlight: InFlightInvocations, settle: Settle, late: Settle | undefined) {
    this.deadline = deadline;
    this.#inFlight = inFlight;
    this.#settle = settle;
    this.#late = late;
  }

  get ended(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#outcome) resolve();
      else this.#onEnd = resolve;
    });
  }

  /**
   * Calls the handler. A handler that uses its callback ends by the callback, as in Lambda, also when it returns something
   * else, such as a Timeout.
   */
  start<Event>(handler: LambdaHandler<Event>, event: Event, context: NodeLambdaContext): void {
    try {
      const returned = handler(event, context, this.callback);
      if (isThenable(returned)) {
        returned.then(
          (value) => this.#succeed(value),
          (error) => this.#fail(error),
        );
      } else if (handler.length < 3 && !context.isAnsweredByCallback) {
        this.#succeed(returned);
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Ends the invocation. Only the first outcome counts; one after a timeout goes to `late`. */
  end(outcome: Outcome): void {
    if (this.#outcome) {
      if (this.#outcome === TIMED_OUT) this.#reportLate(outcome);
      return;
    }
    this.#outcome = outcome;
    this.#inFlight.delete(this);
    this.#settle(outcome);
    this.#onEnd?.();
  }

  #succeed(value: unknown): void {
    this.end({ kind: "answered", value });
  }

  #fail(error: unknown): void {
    this.end({ kind: "failed", error });
  }

  #reportLate(outcome: Outcome): void {
    const late = this.#late;
    this.#late = undefined;
    late?.(outcome);
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function"
  );
}

/** The outcome of a route, with a validated result. On AWS results are JSON, so others are invalid. */
export type RouteOutcome =
  | { readonly kind: "answered"; readonly result: WebSocketResult }
  /** `answer` is the invalid result, if there is one. */
  | { readonly kind: "failed"; readonly error: unknown; readonly answer?: unknown }
  | { readonly kind: "timed out" };

/** Validates the result of a route's handler. */
export function checkResult(outcome: Outcome): RouteOutcome {
  if (outcome.kind !== "answered") return outcome;
  try {
    return { kind: "answered", result: parseWebSocketResult(outcome.value) };
  } catch (error) {
    return { kind: "failed", error, answer: outcome.value };
  }
}

/** Returns whether a `$connect` result has a success status, even if the rest of it is invalid. */
export function acceptsConnection(result: unknown): boolean {
  if (typeof result !== "object" || result === null) return false;
  try {
    const status = parseStatusCode((result as { statusCode?: unknown }).statusCode);
    return status !== undefined && isSuccess(status);
  } catch {
    // Getters and proxies may throw.
    return false;
  }
}

/** Returns the status of an outcome: the result's, 502 for a failure, or 504 for a timeout. */
export function outcomeStatus(outcome: RouteOutcome): number {
  if (outcome.kind === "answered") return outcome.result.statusCode;
  return outcome.kind === "failed" ? 502 : 504;
}
