/** Names of transient errors of AWS services, and of requests without an answer. */
const TRANSIENT_EXCEPTIONS = new Set([
  "InternalServerError",
  "ProvisionedThroughputExceededException",
  "ReplicatedWriteConflictException",
  "RequestLimitExceeded",
  "ServiceUnavailable",
  "ThrottlingException",
  "TooManyRequestsException",
  "TransactionConflictException",
  "TransactionInProgressException",
  // Without an answer: the attempt timed out, or the connection broke.
  "AbortError",
  "TimeoutError",
]);

const TRANSIENT_SYSTEM_ERRORS = new Set([
  "EAI_AGAIN",
  "ECONNREFUSED",
  "ECONNRESET",
  "ENOTFOUND",
  "EPIPE",
  "ETIMEDOUT",
]);

/** The known fields of errors from the SDK, from `AwsEndpoint`, and from the network. */
interface Failure {
  readonly name?: string;
  readonly code?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: number | undefined };
  readonly $response?: { readonly statusCode?: number };
}

/** Returns whether the same call may succeed later: it was throttled, timed out, was cut off, or the service failed. */
export function isTransient(error: unknown): boolean {
  const { name = "", code } = error as Failure;
  if (TRANSIENT_EXCEPTIONS.has(name)) return true;
  if (typeof code === "string" && TRANSIENT_SYSTEM_ERRORS.has(code)) return true;
  const status = getHttpStatus(error);
  return status !== undefined && (status >= 500 || status === 429);
}

/** Returns the HTTP status of an error's response; `undefined` when there was no response. */
export function getHttpStatus(error: unknown): number | undefined {
  const { $metadata, $response } = error as Failure;
  return $metadata?.httpStatusCode ?? $response?.statusCode;
}
