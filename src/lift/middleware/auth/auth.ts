import {
  type AuthorizerEvent,
  type AuthorizerResult,
  type ConnectEvent,
  isConnectEvent,
  isDisconnectEvent,
  isSuccess,
  MAX_AUTHORIZER_RESULT_BYTES,
} from "../../../apigw/index.ts";
import type { TicketStore, TimeBudget } from "../../../store/index.ts";
import { checkOptions, hasMethods, isFunction } from "../../check-options.ts";
import type { Middleware } from "../../compose.ts";
import { type AnyContext, resultOf, settingsOf } from "../../context.ts";
import { clientError, LiftError } from "../../errors.ts";
import { closeExpired, EXPIRY, expiryTime, scheduleExpiry, unscheduleExpiry } from "./expiry.ts";
import {
  type AuthIdentity,
  authIdentity,
  readRefreshedIdentity,
  setAuthIdentity,
  toAuthorizer,
  toRow,
} from "./identity.ts";
import { createRefresh } from "./refresh.ts";
import { redeemTicket } from "./ticket-store.ts";
import { chooseProtocol, ticketFromRequest, tokenFromRequest } from "./tokens.ts";
import { createVerifier, type TokenOptions, VERIFIER_OPTIONS, type Verifier } from "./verifier.ts";

export interface WebSocketAuthOptions extends TokenOptions {
  /** Takes one-time tickets too, from the query's `ticket`: those that a `ticketHandler` with the same store gave. */
  readonly tickets?: TicketStore;
  /** Registered keys of routes that need no identity; with `$connect` among them no token is looked at. */
  readonly skipRoutes?: readonly string[];
  /** Told of every refusal, which stands whatever it returns; what it throws is answered instead. */
  readonly onError?: (error: LiftError, ctx: AnyContext) => unknown;
  /** The application's subprotocols, to choose from for clients that offer their token as one. Default: none. */
  readonly protocols?: readonly string[];
}

const isTexts = (value: unknown) => Array.isArray(value) && value.every((text) => typeof text === "string");

const OPTIONS = {
  ...VERIFIER_OPTIONS,
  tickets: hasMethods("save", "take"),
  skipRoutes: isTexts,
  onError: isFunction,
  protocols: isTexts,
};

interface Auth extends Verifier {
  readonly tickets: TicketStore | undefined;
  readonly skipped: ReadonlySet<string>;
  readonly protocols: readonly string[];
}

/** The middleware, and what belongs to it. */
export interface WebSocketAuth extends Middleware {
  /**
   * The handler of a route of your choice, by which a client brings a new token before the old one expires:
   * `app.webSocket("auth.refresh", auth.refresh)` and `{ "action": "auth.refresh", "token": "…" }`. The token's
   * user and tenant must be the connection's, else the connection is closed. Needs a `connectionStore`.
   * @param token where the message has it elsewhere
   */
  readonly refresh: (ctx: AnyContext, token?: string) => Promise<void>;
  /** `authIdentity`. */
  readonly identity: (ctx: AnyContext) => AuthIdentity | undefined;
}

/**
 * Establishes on `$connect` whose connection it is, by the token of its upgrade request: refused with 401 without
 * a good one, with 503 when the issuer's keys can't be had. Where an authorizer has established it already,
 * nothing is checked again. Later events know it from the authorizer's context or the connection's row; without
 * it a message gets an UNAUTHORIZED error frame, past its expiry TOKEN_EXPIRED. `$disconnect` always passes.
 *
 * Where the app has a `schedule`, the connection is closed by the first tick after its token has expired.
 * @throws {LiftError} INVALID_OPTION
 */
export function webSocketAuth(options: WebSocketAuthOptions): WebSocketAuth {
  const auth = readOptions(options);
  const { onError } = options;
  const { verify, toleranceMs } = auth;
  const tell = (ctx: AnyContext, thrown: unknown) => onError?.(clientError(thrown), ctx);
  const middleware: Middleware = async (ctx, next) => {
    if (isDisconnectEvent(ctx.event)) {
      await next();
      return unscheduleExpiry(ctx, toleranceMs);
    }
    if (auth.skipped.has(ctx.route)) return next();
    try {
      if (isConnectEvent(ctx.event)) await establishIdentity(ctx, ctx.event, auth);
      if (!auth.isCurrent(authIdentity(ctx))) await requireCurrentIdentity(ctx, auth);
    } catch (thrown) {
      await tell(ctx, thrown);
      throw thrown;
    }
    await next();
    if (isConnectEvent(ctx.event) && isSuccess(ctx.statusCode)) await completeConnect(ctx, ctx.event, auth);
  };
  const refresh = createRefresh({
    verify: async (token, event) => {
      const identity = await verify(token, event);
      if (!auth.isCurrent(identity)) throw new LiftError("TOKEN_EXPIRED");
      return identity;
    },
    endOf: ({ expiresAt }) => expiryTime(expiresAt, toleranceMs),
  });
  return Object.assign(middleware, {
    refresh: async (ctx: AnyContext, token?: string) => {
      try {
        await refresh(ctx, token ?? ctx.body("token"));
      } catch (thrown) {
        await tell(ctx, thrown);
        throw thrown;
      }
    },
    identity: authIdentity,
    scheduled: { [EXPIRY]: { action: closeExpired(toleranceMs), tries: Number.POSITIVE_INFINITY } },
  });
}

/** A Lambda REQUEST authorizer. API Gateway must list no identity source for it. */
export type WebSocketAuthorizer = (event: AuthorizerEvent) => Promise<AuthorizerResult>;

/**
 * The same configuration as a REQUEST authorizer: its context carries the identity into every later event, so
 * that none of them reads a row for it. Refusing is by throwing "Unauthorized", which the service answers with 401.
 * `onError` is for the middleware alone.
 * @throws {LiftError} INVALID_OPTION
 */
export function webSocketAuthorizer(options: WebSocketAuthOptions): WebSocketAuthorizer {
  const auth = readOptions(options);
  return async (event) => {
    if (auth.skipped.has("$connect")) return allow(event, "anonymous", {});
    try {
      const identity = await identifyRequest(event, auth);
      if (!auth.isCurrent(identity)) throw new LiftError("UNAUTHORIZED", { cause: "The token has expired" });
      return allow(event, identity.userId, toAuthorizer(identity));
    } catch (thrown) {
      if (thrown instanceof LiftError && thrown.code === "UNAUTHORIZED") throw new Error("Unauthorized");
      throw thrown;
    }
  };
}

/** @throws {LiftError} INVALID_RESULT */
function allow(
  { methodArn }: AuthorizerEvent,
  principalId: string,
  context: NonNullable<AuthorizerResult["context"]>,
): AuthorizerResult {
  const statement = { Effect: "Allow", Action: "execute-api:Invoke", Resource: methodArn } as const;
  const policyDocument = { Version: "2012-10-17", Statement: [statement] };
  const result = { principalId, policyDocument, context };
  if (Buffer.byteLength(JSON.stringify(result)) <= MAX_AUTHORIZER_RESULT_BYTES) return result;
  const message = `An authorizer's result has ${MAX_AUTHORIZER_RESULT_BYTES} bytes at most: the identity is larger`;
  throw new LiftError("INVALID_RESULT", { message });
}

async function establishIdentity(ctx: AnyContext, event: ConnectEvent, auth: Auth): Promise<void> {
  const { authorizer } = event.requestContext;
  if (authorizer !== undefined && ctx.userId !== undefined) return;
  if (settingsOf(ctx).store === undefined) {
    const message =
      "webSocketAuth needs a connectionStore, or an authorizer, for later events to know the identity";
    throw new LiftError("STORE_REQUIRED", { message });
  }
  const identity = await identifyRequest(event, auth, ctx.lambda);
  ctx.setUserId(identity.userId);
  if (identity.tenantId !== undefined) ctx.setTenantId(identity.tenantId);
  setAuthIdentity(ctx, identity);
}

/** @throws {LiftError} UNAUTHORIZED, UNAVAILABLE, STORE_FAILED */
async function identifyRequest(event: ConnectEvent, auth: Auth, budget?: TimeBudget): Promise<AuthIdentity> {
  const ticket = auth.tickets && ticketFromRequest(event);
  if (auth.tickets !== undefined && ticket !== undefined) {
    return redeemTicket(auth.tickets, ticket, auth.now(), budget);
  }
  const token = tokenFromRequest(event);
  if (token === undefined) throw new LiftError("UNAUTHORIZED", { cause: "There is no token" });
  return auth.verify(token, event);
}

/** @throws {LiftError} UNAUTHORIZED, TOKEN_EXPIRED, STORE_FAILED */
async function requireCurrentIdentity(ctx: AnyContext, auth: Auth): Promise<void> {
  if (authIdentity(ctx) === undefined) throw new LiftError("UNAUTHORIZED");
  if (!auth.isCurrent(await readRefreshedIdentity(ctx))) throw new LiftError("TOKEN_EXPIRED");
}

/** After the handler: a raw result of it has headers of its own, and metadata of its own must not be rights. */
async function completeConnect(ctx: AnyContext, event: ConnectEvent, auth: Auth): Promise<void> {
  const identity = authIdentity(ctx);
  if (identity !== undefined) ctx.setMetadata(toRow(identity));
  acceptProtocol(ctx, event, auth);
  // Before the row is saved: what is in the schedule in vain does no harm, what is missing would.
  await scheduleExpiry(ctx, expiryTime(identity?.expiresAt, auth.toleranceMs));
}

function acceptProtocol(ctx: AnyContext, event: ConnectEvent, { protocols }: Auth): void {
  const protocol = chooseProtocol(event, protocols);
  const names = Object.keys(resultOf(ctx).headers ?? {});
  if (protocol === undefined || names.some((name) => name.toLowerCase() === "sec-websocket-protocol")) return;
  ctx.setHeader("Sec-WebSocket-Protocol", protocol);
}

/** @throws {LiftError} INVALID_OPTION */
function readOptions(options: WebSocketAuthOptions): Auth {
  checkOptions(options, OPTIONS);
  const { tickets, skipRoutes = [], protocols = [] } = options;
  return { ...createVerifier(options), tickets, skipped: new Set(skipRoutes), protocols };
}
