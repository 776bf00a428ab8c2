import type { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { onTestFinished, vi } from "vitest";

/** What befalls one request on its way. */
export interface Fault {
  /** DynamoDB's exception. */
  readonly exception: string;
  readonly status: number;
  /** Members of the exception. */
  readonly members?: object;
  /** The request is carried out, and only the answer replaced. */
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

/** Lets the client's requests fail as `choose` says, with the bytes that DynamoDB would answer. */
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
      // Below the step that parses answers, so the whole of the SDK takes it for DynamoDB's own.
      return { response: { statusCode: fault.status, headers: {}, body } } as unknown as Awaited<
        ReturnType<typeof next>
      >;
    },
    { step: "deserialize", priority: "low", name: "injectFaults" },
  );
}

/**
 * Throttles every request for `ms`. The process's monotonic clock stands still from here on, except that each throttled
 * request takes `requestMs` by it: how many are made does not depend on how fast the machine is.
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

/** Each request fails the first time, however it is sent again: what tells requests apart is their content. */
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
