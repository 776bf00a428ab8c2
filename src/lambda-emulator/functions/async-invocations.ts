import { randomUUID } from "node:crypto";
import { LambdaEmulatorError } from "../errors.ts";
import type { LambdaFunction } from "./lambda-function.ts";

/** Failure record of a discarded event, as the service sends it to a destination. */
export interface FailedInvocation {
  readonly version: "1.0";
  readonly timestamp: string;
  readonly requestContext: {
    readonly requestId: string;
    /** `RetriesExhausted`: the function has failed each time. `EventAgeExceeded`: it was throttled for too long. */
    readonly condition: "RetriesExhausted" | "EventAgeExceeded";
    readonly approximateInvokeCount: number;
  };
  readonly requestPayload: unknown;
  /** The function's last error. */
  readonly responsePayload: { readonly errorType: string; readonly errorMessage: string };
}

/** Settings of asynchronous invocations. Defaults are the service's. */
export interface AsyncInvocationOptions {
  /** Delays before each retry of an event that the function has failed, in ms. Default one minute, then two. */
  readonly retryDelaysMs?: readonly number[];
  /** Delay before the first retry of a throttled event, in ms. It doubles with each, up to 5 minutes. Default 1,000. */
  readonly throttledDelayMs?: number;
  /** Age after which a throttled event is discarded, in ms. Default 6 hours. */
  readonly maxEventAgeMs?: number;
  /** Receives the error of each failed invocation, and of a failed `onFailure`. Default none. */
  readonly onError?: (error: Error) => void;
  /** The destination of discarded events. Default none. */
  readonly onFailure?: (failed: FailedInvocation) => unknown;
}

const MINUTE = 60_000;
const LONGEST_THROTTLED_MS = 5 * MINUTE;

interface QueuedEvent {
  readonly id: string;
  readonly event: unknown;
  readonly acceptedAt: number;
  failures: number;
  throttled: number;
}

/**
 * Invokes a function asynchronously: an event is accepted first, and retried when the function fails or is throttled.
 * https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
 */
export class AsyncInvocations {
  readonly #function: LambdaFunction;
  readonly #options: Required<Omit<AsyncInvocationOptions, "onError" | "onFailure">> & AsyncInvocationOptions;
  readonly #timers = new Set<NodeJS.Timeout>();
  #isStopped = false;

  constructor(lambdaFunction: LambdaFunction, options: AsyncInvocationOptions = {}) {
    this.#function = lambdaFunction;
    this.#options = {
      retryDelaysMs: [MINUTE, 2 * MINUTE],
      throttledDelayMs: 1_000,
      maxEventAgeMs: 6 * 60 * MINUTE,
      ...options,
    };
  }

  /** Accepts an event. @returns its request id */
  accept(event: unknown): string {
    const id = randomUUID();
    void this.#run({ id, event, acceptedAt: performance.now(), failures: 0, throttled: 0 });
    return id;
  }

  /** Drops all events that wait for a retry. */
  stop(): void {
    this.#isStopped = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  async #run(queued: QueuedEvent): Promise<void> {
    try {
      await this.#function.invoke(queued.event);
    } catch (error) {
      if (!this.#isStopped) await this.#retry(queued, error as Error);
    }
  }

  async #retry(queued: QueuedEvent, error: Error): Promise<void> {
    const { retryDelaysMs, throttledDelayMs, maxEventAgeMs } = this.#options;
    if (error instanceof LambdaEmulatorError && error.code === "THROTTLED") {
      const delayMs = Math.min(LONGEST_THROTTLED_MS, throttledDelayMs * 2 ** queued.throttled++);
      const ageMs = performance.now() - queued.acceptedAt + delayMs;
      if (ageMs > maxEventAgeMs) await this.#discard(queued, "EventAgeExceeded", error);
      else this.#runAfter(delayMs, queued);
      return;
    }
    this.#options.onError?.(error);
    const delayMs = retryDelaysMs[queued.failures++];
    if (delayMs === undefined) await this.#discard(queued, "RetriesExhausted", error);
    else this.#runAfter(delayMs, queued);
  }

  #runAfter(delayMs: number, queued: QueuedEvent): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      void this.#run(queued);
    }, delayMs);
    this.#timers.add(timer);
  }

  async #discard(
    { id, event, failures }: QueuedEvent,
    condition: FailedInvocation["requestContext"]["condition"],
    { name, message }: Error,
  ): Promise<void> {
    try {
      await this.#options.onFailure?.({
        version: "1.0",
        timestamp: new Date().toISOString(),
        requestContext: { requestId: id, condition, approximateInvokeCount: failures },
        requestPayload: event,
        responsePayload: { errorType: name, errorMessage: message },
      });
    } catch (error) {
      this.#options.onError?.(error as Error);
    }
  }
}
