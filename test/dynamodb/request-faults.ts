import type { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { onTestFinished, vi } from "vitest";

/** The fault of one request. */
export interface Fault {
  /** Name of DynamoDB's exception. */
  readonly exception: string;
  readonly status: number;
  /** Fields of the exception. */
  readonly members?: object;
  /** The request takes effect, and only the response is replaced. */
  readonly afterwards?: true;
}

export const THROTTLED: Fault = { exception: "ProvisionedThroughputExceededException", status: 400 };
export const INTERNAL_ERROR: Fault = { exception: "InternalServerError", status: 500 };
export const RESPONSE_LOST: Fault = { ...INTERNAL_ERROR, afterwards: true };
export const TRANSACTION_CONFLICT: Fault = {
  exception: "TransactionCanceledException",
  status: 400,
  members: { CancellationReasons: [{ Code: "TransactionConflict" }, { Code: "None" }] },
};

/** Makes a client's requests fail as `choose` decides, with DynamoDB's own response bytes. */
export function injectFaults(
  client: DynamoDBClient,
  choose: (request: { readonly operation: string; readonly input: object }) => Fault | undefined,
): void {
  client.middlewareStack.add(
    (next, context) => async (args) => {
      const fault = choose({
        operation: String(context.commandName).replace(/Command$/, ""),
        input: args.input,
      });
      if (fault === undefined) return next(args);
      if (fault.afterwards) await next(args);
      const answer = { __type: `com.amazonaws.dynamodb.v20120810#${fault.exception}`, ...fault.members };
      const body = new TextEncoder().encode(JSON.stringify(answer));
      // Below the step that parses responses, so that the whole SDK handles it as DynamoDB's response.
      return { response: { statusCode: fault.status, headers: {}, body } } as unknown as Awaited<
        ReturnType<typeof next>
      >;
    },
    { step: "deserialize", priority: "low", name: "injectFaults" },
  );
}

/**
 * Throttles every request for `ms`. From then on the monotonic clock of the process stops, except that each throttled
 * request takes `requestMs`: the number of requests does not depend on the speed of the machine.
 */
export function throttleFor(ms: number, requestMs: number): () => Fault | undefined {
  vi.useFakeTimers({ toFake: ["performance"] });
  onTestFinished(() => void vi.useRealTimers());
  const end = performance.now() + ms;
  return () => {
    if (performance.now() >= end) return undefined;
    vi.advanceTimersByTime(requestMs);
    return THROTTLED;
  };
}

/** Fails the first attempt of each request. Requests with the same content are attempts of one request. */
export function failFirstAttempts(
  fault: Fault,
): (request: { operation: string; input: object }) => Fault | undefined {
  const seen = new Set<string>();
  return ({ operation, input }) => {
    const request = operation + JSON.stringify(input);
    if (seen.has(request)) return undefined;
    seen.add(request);
    return fault;
  };
}
