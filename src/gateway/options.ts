import type { IncomingMessage, ServerResponse } from "node:http";
import type { LambdaAuthorizer, LambdaHandler, StageVariables } from "../apigw/index.ts";
import {
  CONNECTIONS_PER_SECOND,
  IDLE_TIMEOUT_MS,
  MAX_AUTHORIZER_RESULT_BYTES,
  MAX_FRAME_BYTES,
  MAX_INTEGRATION_TIMEOUT_MS,
  MAX_LIFETIME_MS,
  MAX_MESSAGE_BYTES,
  MAX_ROUTES,
  MAX_URL_LENGTH,
  REQUEST_BURST,
  REQUESTS_PER_SECOND,
} from "../apigw/index.ts";
import type { Clock, SteadyClock } from "./clock.ts";

/** Limits of API Gateway, and limits that protect the gateway. `Infinity` turns a limit off. */
export interface GatewayLimits {
  /** Maximum size of a frame from a client, in bytes. Default 32,768; minimum 1. */
  readonly frameBytes: number;
  /** Maximum size of a message in either direction, in bytes. Default 131,072; minimum 1. */
  readonly messageBytes: number;
  /** Time without a message after which a connection is closed, in ms. Default 600,000; minimum 1. */
  readonly idleMs: number;
  /** Maximum lifetime of a connection, in ms. Default 7,200,000; minimum 1. */
  readonly lifetimeMs: number;
  /** Time limit of a handler, in ms. Default 29,000; minimum 1. */
  readonly integrationTimeoutMs: number;
  /** New connections per second. Default 500; minimum 1. */
  readonly connectionsPerSecond: number;
  /** Messages, connects and @connections calls per second. Default 10,000; minimum 1. */
  readonly requestsPerSecond: number;
  /** How many messages, connects and @connections calls are accepted at once. Default 5,000; minimum 1. */
  readonly requestBurst: number;
  /** Maximum length of a client's URL, in characters. Default 4,096; minimum 1. */
  readonly urlLength: number;
  /** Maximum size of an authorizer's result, in bytes. Default 8,192; minimum 1. */
  readonly authorizerResultBytes: number;
  /** Messages per second of one connection. More are refused with 429. Default 2,500; minimum 1. */
  readonly connectionMessagesPerSecond: number;
  /** Messages of one connection that are handled at once. At the limit its socket is not read. Default 100; minimum 1. */
  readonly messagesInFlight: number;
  /**
   * Refused messages (429, no route, or a 4xx result) after which a connection is closed with 1008. A tenth of the limit
   * is subtracted from the count each second. Default 2,000; minimum 1.
   */
  readonly refusedMessages: number;
  /** Maximum number of routes. Default 300; minimum 1. */
  readonly routes: number;
  /** Bytes buffered for one slow client before a POST to it is answered with 429. Default 1,048,576; minimum 1. */
  readonly bufferBytes: number;
  /** Time over `bufferBytes` after which a client is disconnected, in ms. Default 10,000; minimum 0. */
  readonly slowClientMs: number;
}

/** The default of each limit. */
export const DEFAULT_LIMITS: GatewayLimits = {
  frameBytes: MAX_FRAME_BYTES,
  messageBytes: MAX_MESSAGE_BYTES,
  idleMs: IDLE_TIMEOUT_MS,
  lifetimeMs: MAX_LIFETIME_MS,
  integrationTimeoutMs: MAX_INTEGRATION_TIMEOUT_MS,
  connectionsPerSecond: CONNECTIONS_PER_SECOND,
  requestsPerSecond: REQUESTS_PER_SECOND,
  requestBurst: REQUEST_BURST,
  urlLength: MAX_URL_LENGTH,
  authorizerResultBytes: MAX_AUTHORIZER_RESULT_BYTES,
  connectionMessagesPerSecond: 2_500,
  messagesInFlight: 100,
  refusedMessages: 2_000,
  routes: MAX_ROUTES,
  bufferBytes: 1024 * 1024,
  slowClientMs: 10_000,
};

/** A key pair that signs @connections requests. */
export interface Credentials {
  /** Any non-empty string. */
  readonly accessKeyId: string;
  /** Any non-empty string. */
  readonly secretAccessKey: string;
}

/** A request that was refused because of its `Origin` or its `Host` header. */
export interface AccessRefusal {
  /** The header that is not allowed. */
  readonly header: "Origin" | "Host";
  /** The header's value, as the client sent it. */
  readonly value: string;
}

/** The outcome of one event. */
export interface EventReport {
  /** The route key, also when no route has it, or `authorizer`. */
  readonly routeKey: string;
  /** The id of the event's connection. */
  readonly connectionId: string;
  /** The id in the event and in error messages to the client. */
  readonly requestId: string;
  /**
   * The status of the handler's result. 502 when the handler failed and 504 when it timed out. When no handler was
   * called, the status of the refusal, for example 403 (no route), 401 (no identity) or 429 (rate limit).
   */
  readonly status: number;
  /** Duration of the handler in ms. 0 when no handler was called. */
  readonly durationMs: number;
  /** The error that the handler threw, or the fault of its result. For logs only; clients never see it. */
  readonly error?: unknown;
  /** The result's body when its status is 400 or above. It is neither redacted nor truncated. */
  readonly body?: string;
}

/** A signed request to @connections. */
export interface ConnectionsCall {
  /** The access key that signed it. */
  readonly accessKeyId: string;
  /** `POST`, `GET` or `DELETE`. */
  readonly method: string;
  /** The connection that it names. */
  readonly connectionId: string;
}

/** Whether a caller may do what it asks for, and if not, why: the message of the response. */
export type CallDecision = { readonly allowed: true } | { readonly allowed: false; readonly reason: string };

/** Options of {@link createGateway}. Either `handler` or `routes` is required. */
export interface GatewayOptions {
  /** Handles every route; the key that a message selects is its `routeKey`. Give either this or `routes`. */
  readonly handler?: LambdaHandler;
  /**
   * Handlers by route key, like the integrations of an API. `$connect`, `$disconnect` and `$default` are optional. A
   * message without a route gets the Forbidden error. A `Map` is read for each event, so its routes may change. Give
   * either this or `handler`.
   */
  readonly routes?: { readonly [routeKey: string]: LambdaHandler } | ReadonlyMap<string, LambdaHandler>;
  /** A REQUEST authorizer, called on every `$connect`. Its result is never cached. Default none. */
  readonly authorizer?: LambdaAuthorizer;
  /**
   * Values that a request needs before the authorizer is called: `route.request.header.Name`,
   * `route.request.querystring.name`, `context.name`, `stageVariables.name`. A request without one is refused with 401.
   * Default none.
   */
  readonly identitySources?: readonly string[];
  /** The expression that reads the route key from a message. Default `$request.body.action`. */
  readonly routeSelectionExpression?: string;
  /** Keys of the routes whose result's body is sent back to the sender. Default none. */
  readonly routeResponses?: readonly string[];
  /** The stage: letters, digits, `_` and `-`, or `$default`. Default `dev`. */
  readonly stage?: string;
  /** The first path segment, like the base path of a custom domain. Default the stage. */
  readonly basePath?: string;
  /** Variables in every event. Default none. */
  readonly stageVariables?: StageVariables;
  /** The API's id. Default 10 random characters per gateway. */
  readonly apiId?: string;
  /** The AWS region. With `credentials`, signatures must name it. Default `us-east-1`. */
  readonly region?: string;
  /** The AWS account in ARNs. Default `000000000000`. */
  readonly accountId?: string;
  /** The `domainName` in events. Default the listening address with its port, so that an endpoint built from it works. */
  readonly domainName?: string;
  /** Limits other than the defaults. Default {@link DEFAULT_LIMITS}. */
  readonly limits?: Partial<GatewayLimits>;
  /** The clock of all limits and dates. Default the system clock; tests pass a `ManualClock`. */
  readonly clock?: Clock;
  /**
   * Key pairs whose signatures @connections accepts. Without them any well-formed SigV4 header passes, and the gateway
   * listens on loopback only. Default none.
   */
  readonly credentials?: Credentials | readonly Credentials[];
  /** Decides as IAM does whether the owner of an access key may call @connections. Default: everyone who signs may. */
  readonly authorizeCall?: (call: ConnectionsCall) => CallDecision;
  /**
   * Reads the client's address from the last entry of `X-Forwarded-For`, with or without a port. Set it only behind a
   * proxy of your own, because clients can send the header too. Default false.
   */
  readonly trustProxy?: boolean;
  /**
   * Exact origins whose pages may connect, such as `https://app.example`. `*` allows all but `null`. Requests without
   * an `Origin` header are always allowed. Default: all; with `ownOrigins`, none besides those.
   */
  readonly allowedOrigins?: readonly string[];
  /**
   * Allows pages of this machine (loopback origins) and of the host in the request's `Host` header. Other origins need
   * an entry in `allowedOrigins`. Default false; `start` and `lift-ws dev` set it to true.
   */
  readonly ownOrigins?: boolean;
  /**
   * Names that the `Host` header may have while the gateway listens on loopback, as a defence against DNS rebinding.
   * Loopback names, `domainName` and `{apiId}.execute-api.{region}.amazonaws.com` are always allowed. Default: all
   * names; `start` and `lift-ws dev` set an empty list.
   */
  readonly allowedHosts?: readonly string[];
  /** Called for each request that `allowedOrigins`, `ownOrigins` or `allowedHosts` refuses. Default none. */
  readonly onRefused?: (refusal: AccessRefusal) => void;
  /** Counts a client's ping as activity. Default false; not verified against the service. */
  readonly pingResetsIdle?: boolean;
  /** The close code that a client gets after DELETE @connections. Default 1000; not verified against the service. */
  readonly deleteCloseCode?: number;
  /** A key and a certificate in PEM. The same port then accepts TLS too. Default none. */
  readonly tls?: { readonly key: string; readonly cert: string };
  /** Handles HTTP requests outside the API's path and `/healthz`. Default: a 404 response. */
  readonly http?: (request: IncomingMessage, response: ServerResponse) => void;
  /**
   * Called once for each event, when its handler has ended or when no handler was called. Its errors become process
   * warnings and do not affect the event. Default none.
   */
  readonly onEvent?: (report: EventReport) => void;
  /**
   * Called every second from `listen` to `close`, in place of a scheduled function. Calls never overlap. Its errors become
   * process warnings. Default none.
   */
  readonly everySecond?: () => unknown;
}

/** The checked options, with their defaults. */
export interface GatewaySettings {
  readonly routes: ReadonlyMap<string, LambdaHandler>;
  /** Handles each key that is not in `routes`. */
  readonly handler: LambdaHandler | undefined;
  readonly authorizer: LambdaAuthorizer | undefined;
  readonly identitySources: readonly string[];
  readonly routeSelectionExpression: string;
  readonly routeResponses: ReadonlySet<string>;
  readonly stage: string;
  readonly basePath: string;
  readonly stageVariables: StageVariables | undefined;
  readonly apiId: string;
  readonly region: string;
  readonly accountId: string;
  readonly domainName: string | undefined;
  readonly limits: GatewayLimits;
  readonly clock: SteadyClock;
  readonly credentials: readonly Credentials[];
  readonly authorizeCall: ((call: ConnectionsCall) => CallDecision) | undefined;
  readonly trustProxy: boolean;
  readonly allowedOrigins: ReadonlySet<string> | undefined;
  readonly ownOrigins: boolean;
  readonly allowedHosts: ReadonlySet<string> | undefined;
  readonly onRefused: ((refusal: AccessRefusal) => void) | undefined;
  readonly pingResetsIdle: boolean;
  readonly deleteCloseCode: number;
  readonly tls: { readonly key: string; readonly cert: string } | undefined;
  readonly http: ((request: IncomingMessage, response: ServerResponse) => void) | undefined;
  readonly onEvent: ((report: EventReport) => void) | undefined;
  readonly everySecond: (() => unknown) | undefined;
}
