import {
  isSuccess,
  type LambdaHandler,
  parseStatusCode,
  parseWebSocketResult,
  type WebSocketResult,
} from "../../apigw/index.ts";
import type { SteadyClock, Timer } from "../clock.ts";
import type { GatewaySettings } from "../options.ts";
import { LambdaContextFactory, type NodeLambdaContext } from "./lambda-context.ts";

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
    const deadline = this.#clock.elapsed() + this.#timeoutMs;
    const ended: Settle = (outcome) => {
      this.#inFlight.delete(invocation);
      settle(outcome);
    };
    const invocation = new Invocation(deadline, ended, late);
    this.#inFlight.add(invocation);
    if (this.#timer === undefined && this.#timeoutMs !== Number.POSITIVE_INFINITY) this.#arm(this.#timeoutMs);
    invocation.start(handler, event, this.#contexts.create(name, deadline, invocation.callback));
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
    const now = this.#clock.elapsed();
    let { oldest } = this.#inFlight;
    while (oldest !== undefined && oldest.deadline <= now) {
      oldest.end(TIMED_OUT);
      oldest = this.#inFlight.oldest;
    }
    if (oldest !== undefined) this.#arm(oldest.deadline - now);
  }
}

/** Invocations in the order they started: a linked list, as a Set of few that come and go rehashes all the time. */
class InFlightInvocations {
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

  readonly callback = (error?: unknown, value?: unknown): void => {
    if (error !== undefined && error !== null) this.#fail(error);
    else this.#answer(value);
  };

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

  /** As on Lambda, whoever answers by a callback is waited for, whatever else it returned: a Timeout, say. */
  start<Event>(handler: LambdaHandler<Event>, event: Event, context: NodeLambdaContext): void {
    try {
      const answer = handler(event, context, this.callback);
      if (isThenable(answer)) {
        answer.then(
          (value) => this.#answer(value),
          (error) => this.#fail(error),
        );
      } else if (handler.length < 3 && !context.isAnsweredByCallback) {
        this.#answer(answer);
      }
    } catch (error) {
      this.#fail(error);
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

  #answer(value: unknown): void {
    this.end({ kind: "answered", value });
  }

  #fail(error: unknown): void {
    this.end({ kind: "failed", error });
  }

  #hearLate(outcome: Outcome): void {
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

/** A route's outcome, its answer checked: on AWS it travels as JSON, so what JSON can't carry is malformed. */
export type RouteOutcome =
  | { readonly kind: "answered"; readonly result: WebSocketResult }
  /** `answer` is the malformed one, if there is one. */
  | { readonly kind: "failed"; readonly error: unknown; readonly answer?: unknown }
  | { readonly kind: "timed out" };

export function checkResult(outcome: Outcome): RouteOutcome {
  if (outcome.kind !== "answered") return outcome;
  try {
    return { kind: "answered", result: parseWebSocketResult(outcome.value) };
  } catch (error) {
    return { kind: "failed", error, answer: outcome.value };
  }
}

/** Whether a `$connect` believes that its client is let in, even if the rest of its answer is malformed. */
export function acceptsConnection(answer: unknown): boolean {
  if (typeof answer !== "object" || answer === null) return false;
  try {
    const status = parseStatusCode((answer as { statusCode?: unknown }).statusCode);
    return status !== undefined && isSuccess(status);
  } catch {
    // A getter or a proxy may throw.
    return false;
  }
}

/** The status that stands for an outcome: the result's, or the one the service gives in its place. */
export function outcomeStatus(outcome: RouteOutcome): number {
  if (outcome.kind === "answered") return outcome.result.statusCode;
  return outcome.kind === "failed" ? 502 : 504;
}
