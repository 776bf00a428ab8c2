import {
  type AuthorizerEvent,
  type AuthorizerResult,
  type ConnectEvent,
  isConnectEvent,
  isDisconnectEvent,
  MAX_AUTHORIZER_RESULT_BYTES,
} from "../../../apigw/index.ts";
import { anyFunction, type OptionChecks, withMethods } from "../../../internal/options.ts";
import type { TicketStore, TimeBudget } from "../../../store/index.ts";
import type { Middleware } from "../../compose.ts";
import type { AnyContext } from "../../context.ts";
import { checkOptions, clientError, LiftError } from "../../errors.ts";
import { authenticateConnect, type ConnectAuth, identifyByToken, textList } from "./connect-auth.ts";
import { closeExpired, EXPIRY, unscheduleExpiry } from "./expiry.ts";
import { type AuthIdentity, authIdentity, readRefreshedIdentity, toAuthorizer } from "./identity.ts";
import { createRefresh } from "./refresh.ts";
import { redeemTicket } from "./ticket-store.ts";
import { ticketFromRequest } from "./tokens.ts";
import { createVerifier, type TokenOptions, VERIFIER_OPTIONS, type Verifier } from "./verifier.ts";

/** Options of `webSocketAuth` and `webSocketAuthorizer`. */
export interface WebSocketAuthOptions extends TokenOptions {
  /** Store of a `ticketHandler`. Clients may then connect with the query parameter `ticket`. Default: no tickets. */
  readonly tickets?: TicketStore;
  /** Registered keys of routes without authentication. With `$connect` among them, no token is read. Default: none. */
  readonly skipRoutes?: readonly string[];
  /** Called before each refusal. Its return value is ignored; an error that it throws replaces the refusal. */
  readonly onError?: (error: LiftError, ctx: AnyContext) => unknown;
  /** The application's subprotocols, for clients that send their token as a subprotocol. Default: none. */
  readonly protocols?: readonly string[];
}

const OPTIONS: OptionChecks<WebSocketAuthOptions> = {
  ...VERIFIER_OPTIONS,
  tickets: withMethods("save", "take"),
  skipRoutes: textList,
  onError: anyFunction,
  protocols: textList,
};

interface Auth extends ConnectAuth {
  readonly skipped: ReadonlySet<string>;
}

/** The middleware, with the handler of its refresh route. */
export interface WebSocketAuth extends Middleware {
  /**
   * Handles the route with which a client replaces its token before it expires, by a message such as
   * `{ "action": "auth.refresh", "token": "…" }`. If the user or tenant differs from the connection's, the connection is
   * closed. Requires a `connectionStore`.
   * @param token default: the message's field `token`
   * @example
   * app.webSocket("auth.refresh", auth.refresh);
   */
  readonly refresh: (ctx: AnyContext, token?: string) => Promise<void>;
  /** The same function as `authIdentity`. */
  readonly identity: (ctx: AnyContext) => AuthIdentity | undefined;
}

/**
 * Authenticates connections by the token of their upgrade request. `$connect` is refused with 401 for a missing or invalid
 * token, and with 503 when the issuer's keys cannot be fetched. If an authorizer has set the identity, no token is verified
 * again. Later events take the identity from the authorizer's context or the connection's row. A message without identity
 * gets an UNAUTHORIZED error frame, and one after the expiry TOKEN_EXPIRED. `$disconnect` always passes.
 *
 * If the app has a `schedule`, the first tick after the expiry closes the connection.
 * @throws {LiftError} INVALID_OPTION
 * @example
 * const auth = webSocketAuth({
 *   jwt: { jwksUri, algorithms: ["RS256"], issuer: "https://issuer.example", audience: "chat" },
 * });
 * app.use(auth);
 */
export function webSocketAuth(options: WebSocketAuthOptions): WebSocketAuth {
  const auth = readOptions(options);
  const { verify, toleranceMs, onError } = auth;
  const notify = (ctx: AnyContext, thrown: unknown) => onError?.(clientError(thrown), ctx);
  const middleware: Middleware = async (ctx, next) => {
    if (isDisconnectEvent(ctx.event)) {
      await next();
      return unscheduleExpiry(ctx, toleranceMs);
    }
    if (auth.skipped.has(ctx.route)) return next();
    if (isConnectEvent(ctx.event)) return authenticateConnect(ctx, ctx.event, auth, next);
    try {
      if (!auth.isCurrent(authIdentity(ctx))) await requireCurrentIdentity(ctx, auth);
    } catch (thrown) {
      await notify(ctx, thrown);
      throw thrown;
    }
    await next();
  };
  const refresh = createRefresh({
    verify: async (token, event) => {
      const identity = await verify(token, event);
      if (!auth.isCurrent(identity)) throw new LiftError("TOKEN_EXPIRED");
      return identity;
    },
    toleranceMs,
  });
  return Object.assign(middleware, {
    refresh: async (ctx: AnyContext, token?: string) => {
      try {
        await refresh(ctx, token ?? ctx.body("token"));
      } catch (thrown) {
        await notify(ctx, thrown);
        throw thrown;
      }
    },
    identity: authIdentity,
    scheduled: { [EXPIRY]: { action: closeExpired(toleranceMs), tries: Number.POSITIVE_INFINITY } },
  });
}

/** A Lambda REQUEST authorizer. Configure it in API Gateway without identity sources. */
export type WebSocketAuthorizer = (event: AuthorizerEvent) => Promise<AuthorizerResult>;

/**
 * Returns a REQUEST authorizer with the options of `webSocketAuth`. Its context has the identity in every later event, so
 * that no event reads a row for it. It refuses by throwing "Unauthorized", to which the service responds with 401. It does
 * not call `onError`.
 * @throws {LiftError} INVALID_OPTION
 * @example
 * export const handler = webSocketAuthorizer({ jwt });
 */
export function webSocketAuthorizer(options: WebSocketAuthOptions): WebSocketAuthorizer {
  const auth = readOptions(options);
  return async (event) => {
    if (auth.skipped.has("$connect")) return allow(event, "anonymous", {});
    try {
      const identity = await auth.identify(event);
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
  const message = `The identity is too large; an authorizer's result can have ${MAX_AUTHORIZER_RESULT_BYTES} bytes`;
  throw new LiftError("INVALID_RESULT", { message });
}

/** @throws {LiftError} UNAUTHORIZED, UNAVAILABLE, STORE_FAILED */
async function identifyRequest(
  event: ConnectEvent,
  verifier: Verifier,
  tickets: TicketStore | undefined,
  budget?: TimeBudget,
): Promise<AuthIdentity> {
  const ticket = tickets && ticketFromRequest(event);
  if (tickets === undefined || ticket === undefined) return identifyByToken(event, verifier);
  return redeemTicket(tickets, ticket, verifier.now(), budget);
}

/** @throws {LiftError} UNAUTHORIZED, TOKEN_EXPIRED, STORE_FAILED */
async function requireCurrentIdentity(ctx: AnyContext, auth: Auth): Promise<void> {
  if (authIdentity(ctx) === undefined) throw new LiftError("UNAUTHORIZED");
  if (!auth.isCurrent(await readRefreshedIdentity(ctx))) throw new LiftError("TOKEN_EXPIRED");
}

/** @throws {LiftError} INVALID_OPTION */
function readOptions(options: WebSocketAuthOptions): Auth {
  checkOptions(options, OPTIONS);
  const { tickets, skipRoutes = [], protocols = [], onError } = options;
  const verifier = createVerifier(options);
  const identify: ConnectAuth["identify"] = (event, budget) =>
    identifyRequest(event, verifier, tickets, budget);
  return { ...verifier, identify, skipped: new Set(skipRoutes), protocols, onError };
}
