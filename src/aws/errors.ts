/** What services of AWS call a failure that passes, and what it is when there was no answer. */
const TRANSIENT_EXCEPTIONS = new Set([
  "InternalServerError",
  "RequestLimitExceeded",
  "ServiceUnavailable",
  "ThrottlingException",
  "TooManyRequestsException",
  // No answer: the attempt was given up, or the connection broke.
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

/** What is known of an error of the SDK, of our own requests, or of the network below them. */
interface Failure {
  readonly name?: string;
  readonly code?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: number | undefined };
  readonly $response?: { readonly statusCode?: number };
}

/** Whether the same call may succeed later: throttled, timed out, broken off, or a fault of the service's own. */
export function isTransient(error: unknown): boolean {
  const { name = "", code } = error as Failure;
  if (TRANSIENT_EXCEPTIONS.has(name)) return true;
  if (typeof code === "string" && TRANSIENT_SYSTEM_ERRORS.has(code)) return true;
  const status = getHttpStatus(error);
  return status !== undefined && (status >= 500 || status === 429);
}

/** The HTTP status that an error stands for, if there was an answer. */
export function getHttpStatus(error: unknown): number | undefined {
  const { $metadata, $response } = error as Failure;
  return $metadata?.httpStatusCode ?? $response?.statusCode;
}
