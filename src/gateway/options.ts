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

/** Every limit of the service as an option. `Infinity` turns one off. */
export interface GatewayLimits {
  /** Bytes of one frame from a client. Default 32,768; minimum 1. */
  readonly frameBytes: number;
  /** Bytes of one message, either direction. Default 131,072; minimum 1. */
  readonly messageBytes: number;
  /** ms without a message until a connection is closed. Default 600,000; minimum 1. */
  readonly idleMs: number;
  /** ms that a connection lives at most. Default 7,200,000; minimum 1. */
  readonly lifetimeMs: number;
  /** ms that a handler may take. Default 29,000; minimum 1. */
  readonly integrationTimeoutMs: number;
  /** New connections per second. Default 500; minimum 1. */
  readonly connectionsPerSecond: number;
  /** Messages, connects and @connections calls per second. Default 10,000; minimum 1. */
  readonly requestsPerSecond: number;
  /** How many of them may come at once. Default 5,000; minimum 1. */
  readonly requestBurst: number;
  /** Characters of a client's URL. Default 4,096; minimum 1. */
  readonly urlLength: number;
  /** Bytes of an authorizer's result. Default 8,192; minimum 1. */
  readonly authorizerResultBytes: number;
  /** Messages of one connection per second; past it each is refused with 429. Default 2,500; minimum 1. */
  readonly connectionMessagesPerSecond: number;
  /** Messages of one connection under way at once; past it its socket is not read. Default 100; minimum 1. */
  readonly messagesInFlight: number;
  /**
   * Refused messages (429, no route, or a 4xx result) after which a connection is closed with 1008. A tenth of them is
   * forgotten each second. Default 2,000; minimum 1.
   */
  readonly refusedMessages: number;
  /** Routes. Default 300; minimum 1. */
  readonly routes: number;
  /** Bytes that wait for one slow client before a POST to it answers 429. Default 1,048,576; minimum 1. */
  readonly bufferBytes: number;
  /** ms that a client may stay over `bufferBytes` before it is closed. Default 10,000; minimum 0. */
  readonly slowClientMs: number;
}

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

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** A request that is refused for where it comes from, or for the name that it was sent to. */
export interface AccessRefusal {
  readonly header: "Origin" | "Host";
  /** As the client wrote it. */
  readonly value: string;
}

/** What became of one event. */
export interface EventReport {
  /** The route's key, the key that a message selected in vain, or `authorizer`. */
  readonly routeKey: string;
  readonly connectionId: string;
  readonly requestId: string;
  /**
   * The result's status; the service's own where the handler failed (502), took too long (504) or was not asked:
   * no route or no identity, over a rate, an upgrade that is none.
   */
  readonly status: number;
  /** 0 when no handler was asked. */
  readonly durationMs: number;
  /** What the handler threw, or what was wrong with its answer. For the log; a client never sees it. */
  readonly error?: unknown;
  /** The result's body, where its status is 400 or above: handlers explain refusals there. Not redacted, not cut. */
  readonly body?: string;
}

export interface GatewayOptions {
  /** Answers every route; whatever key a message selects is its `routeKey`. Either this or `routes`. */
  readonly handler?: LambdaHandler;
  /**
   * A handler per route key, as an API has its integrations. `$connect`, `$disconnect` and `$default` are
   * optional; a message that matches none gets the Forbidden frame. A `Map` is asked anew for each event, so its
   * routes may come and go. Either this or `handler`.
   */
  readonly routes?: { readonly [routeKey: string]: LambdaHandler } | ReadonlyMap<string, LambdaHandler>;
  /** A REQUEST authorizer, asked on every `$connect`; its answer is never cached. */
  readonly authorizer?: LambdaAuthorizer;
  /**
   * What a request must carry before the authorizer is asked: `route.request.header.Name`,
   * `route.request.querystring.name`, `context.name`, `stageVariables.name`. Default none.
   */
  readonly identitySources?: readonly string[];
  /** Default `$request.body.action`. */
  readonly routeSelectionExpression?: string;
  /** The keys of the routes whose result's body goes back to the sender. Default none. */
  readonly routeResponses?: readonly string[];
  /** Default `dev`. */
  readonly stage?: string;
  /** The first path segment, in place of the stage, as with a custom domain's base path. Default the stage. */
  readonly basePath?: string;
  readonly stageVariables?: StageVariables;
  /** Default 10 characters, random per gateway. */
  readonly apiId?: string;
  /** With `credentials`, a signature must be for it. Default `us-east-1`. */
  readonly region?: string;
  /** Default `000000000000`. */
  readonly accountId?: string;
  /** Default the address it listens on, with its port, so that an endpoint built from an event reaches it. */
  readonly domainName?: string;
  readonly limits?: Partial<GatewayLimits>;
  /** Default the system's. Tests hand in a `ManualClock`. */
  readonly clock?: Clock;
  /**
   * Whose signatures @connections accepts. Without it any well-formed SigV4 header passes, and the gateway
   * listens on loopback only.
   */
  readonly credentials?: Credentials | readonly Credentials[];
  /**
   * Whether the last entry of `X-Forwarded-For` names the client, with or without a port: only behind a proxy of your
   * own. Default false.
   */
  readonly trustProxy?: boolean;
  /**
   * Origins whose pages may connect, exact: `https://app.example`; `*` for all but `null`. Default: any, or with
   * `ownOrigins` none besides those. Requests without an Origin always may.
   */
  readonly allowedOrigins?: readonly string[];
  /**
   * Whether pages of this machine (loopback origins), and of the host that a request names in `Host`, may connect, and
   * others only when `allowedOrigins` lists them. Default false; `start` and `lift-ws dev` set it.
   */
  readonly ownOrigins?: boolean;
  /**
   * Names besides loopback ones that a request may have in `Host` while the gateway listens on loopback, against DNS
   * rebinding. `domainName` and `{apiId}.execute-api.{region}.amazonaws.com` always may. Default: any name passes;
   * `start` and `lift-ws dev` set it to none.
   */
  readonly allowedHosts?: readonly string[];
  /** Called for each request that `allowedOrigins`, `ownOrigins` or `allowedHosts` refuses. */
  readonly onRefused?: (refusal: AccessRefusal) => void;
  /** Whether a client's ping counts as activity. Default false; the service has not been asked. */
  readonly pingResetsIdle?: boolean;
  /** The code a client sees after DELETE @connections. Default 1000; the service has not been asked. */
  readonly deleteCloseCode?: number;
  /** PEM. With it the same port answers TLS as well. */
  readonly tls?: { readonly key: string; readonly cert: string };
  /** Answers HTTP requests outside the service's path and `/healthz`. Default 404. */
  readonly http?: (request: IncomingMessage, response: ServerResponse) => void;
  /**
   * Called once for each event, after its handler has ended or when none could be asked. What it throws changes
   * nothing for the event and becomes a process warning.
   */
  readonly onEvent?: (report: EventReport) => void;
  /**
   * Called every second from `listen` to `close`, but not before the last call has ended: in place of a scheduled
   * function. What it throws or rejects with becomes a process warning.
   */
  readonly everySecond?: () => unknown;
}

/** The options with their defaults in, checked. */
export interface GatewaySettings {
  readonly routes: ReadonlyMap<string, LambdaHandler>;
  /** Takes any key that `routes` has not. */
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
