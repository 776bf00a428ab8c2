/**
 * The service's limits. Unless a line says otherwise the source is the quota page of the API Gateway developer
 * guide, "Quotas for configuring and running a WebSocket API".
 */

/** A frame from the client. Past it the service closes with 1009. */
export const MAX_FRAME_BYTES = 32 * 1024;

/** A message, in either direction. Past it: close 1009 inbound, 413 on @connections. */
export const MAX_MESSAGE_BYTES = 128 * 1024;

/** A connection without a message for this time is closed with 1001. */
export const IDLE_TIMEOUT_MS = 10 * 60 * 1000;

/** No connection lives longer. */
export const MAX_LIFETIME_MS = 2 * 60 * 60 * 1000;

/** The longest integration timeout. */
export const MAX_INTEGRATION_TIMEOUT_MS = 29_000;

/** The shortest integration timeout that the service accepts. */
export const MIN_INTEGRATION_TIMEOUT_MS = 50;

/** New connections per second and account. Past it the upgrade gets 429. */
export const CONNECTIONS_PER_SECOND = 500;

/** Requests per second and account, @connections calls included. Source: "Amazon API Gateway quotas". */
export const REQUESTS_PER_SECOND = 10_000;

/** The token bucket above `REQUESTS_PER_SECOND`. Source: "Amazon API Gateway quotas". */
export const REQUEST_BURST = 5_000;

/** Routes per API. */
export const MAX_ROUTES = 300;

/** Characters of the URL that a client connects to. */
export const MAX_URL_LENGTH = 4_096;

/** An authorizer's result, as JSON. */
export const MAX_AUTHORIZER_RESULT_BYTES = 8 * 1024;

/** A Lambda's synchronous response. Source: the Lambda quota page, "Invocation payload". */
export const MAX_LAMBDA_RESPONSE_BYTES = 6 * 1024 * 1024;
