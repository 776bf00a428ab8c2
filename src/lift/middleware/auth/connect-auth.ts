import { type ConnectEvent, isConnectEvent, isSuccess } from "../../../apigw/index.ts";
import { anyFunction, arrayOf, type OptionChecks } from "../../../internal/options.ts";
import type { TimeBudget } from "../../../store/index.ts";
import type { Middleware, Next } from "../../compose.ts";
import { type AnyContext, contextInternals } from "../../context.ts";
import { checkOptions, clientError, LiftError } from "../../errors.ts";
import { scheduleExpiry } from "./expiry.ts";
import { type AuthIdentity, authIdentity, identityToRow, setAuthIdentity } from "./identity.ts";
import { chooseProtocol, tokenFromRequest } from "./tokens.ts";
import { callbackVerifier, type ValidateToken, type Verifier } from "./verifier.ts";

/** Options of `connectAuth`: those of `webSocketAuth` with the same names. */
export interface ConnectAuthOptions {
  /** Verifies a token and returns its user's id or the whole identity. Required. */
  readonly validateToken: ValidateToken;
  /** Called before each refusal. Its return value is ignored; an error that it throws replaces the refusal. */
  readonly onError?: (error: LiftError, ctx: AnyContext) => unknown;
  /** The application's subprotocols, for clients that send their token as a subprotocol. Default: none. */
  readonly protocols?: readonly string[];
  /** Returns the time in ms since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

/** How connections are authenticated. */
export interface ConnectAuth extends Verifier {
  readonly protocols: readonly string[];
  readonly onError: ConnectAuthOptions["onError"];
  /** Reads the identity of a request. Rejects with UNAUTHORIZED, UNAVAILABLE or STORE_FAILED. */
  identify(event: ConnectEvent, budget?: TimeBudget): Promise<AuthIdentity>;
}

export const textList = arrayOf((item) => typeof item === "string", "an array of strings");

const OPTIONS: OptionChecks<ConnectAuthOptions> = {
  validateToken: anyFunction,
  onError: anyFunction,
  protocols: textList,
  now: anyFunction,
};

/**
 * Authenticates connections in a `connectHandler`, as `webSocketAuth` does on `$connect`, without its JWTs, tickets and
 * refreshes, which would be in the function's bundle. Messages need `webSocketAuth`: this one refuses them.
 * @throws {LiftError} INVALID_OPTION
 * @example
 * const middleware = [connectAuth({ validateToken: async (token) => verifySession(token) })];
 * export const handler = connectHandler({ connectionStore, schedule, middleware });
 */
export function connectAuth(options: ConnectAuthOptions): Middleware {
  checkOptions(options, OPTIONS, { required: ["validateToken"] });
  const { validateToken, onError, protocols = [], now = Date.now } = options;
  const verifier = callbackVerifier(validateToken, now);
  const auth = {
    ...verifier,
    identify: (event: ConnectEvent) => identifyByToken(event, verifier),
    protocols,
    onError,
  };
  return (ctx, next) => {
    if (isConnectEvent(ctx.event)) return authenticateConnect(ctx, ctx.event, auth, next);
    throw new LiftError("UNAUTHORIZED", { cause: "`connectAuth` authenticates on $connect only" });
  };
}

/** Authenticates a connection, runs the rest of the chain, and completes the result if it accepts the client. */
export async function authenticateConnect(
  ctx: AnyContext,
  event: ConnectEvent,
  auth: ConnectAuth,
  next: Next,
): Promise<void> {
  try {
    await establishIdentity(ctx, event, auth);
    if (!auth.isCurrent(authIdentity(ctx))) throw new LiftError("TOKEN_EXPIRED");
  } catch (thrown) {
    await auth.onError?.(clientError(thrown), ctx);
    throw thrown;
  }
  await next();
  if (isSuccess(ctx.statusCode)) await completeConnect(ctx, event, auth);
}

/** Returns the identity of an upgrade request by its token. @throws {LiftError} UNAUTHORIZED, UNAVAILABLE */
export async function identifyByToken(event: ConnectEvent, { verify }: Verifier): Promise<AuthIdentity> {
  const token = tokenFromRequest(event);
  if (token === undefined) throw new LiftError("UNAUTHORIZED", { cause: "The request has no token" });
  return verify(token, event);
}

async function establishIdentity(ctx: AnyContext, event: ConnectEvent, auth: ConnectAuth): Promise<void> {
  const { authorizer } = event.requestContext;
  if (authorizer !== undefined && ctx.userId !== undefined) return;
  if (contextInternals.settingsOf(ctx).store === undefined) {
    const message =
      "Authentication requires the option `connectionStore` or an authorizer, from which later events take the identity";
    throw new LiftError("STORE_REQUIRED", { message });
  }
  const identity = await auth.identify(event, ctx.lambda);
  ctx.setUserId(identity.userId);
  if (identity.tenantId !== undefined) ctx.setTenantId(identity.tenantId);
  setAuthIdentity(ctx, identity);
}

/** Runs after the handler, whose result may have its own headers, and whose metadata must not set permissions. */
async function completeConnect(ctx: AnyContext, event: ConnectEvent, auth: ConnectAuth): Promise<void> {
  const identity = authIdentity(ctx);
  if (identity !== undefined) ctx.setMetadata(identityToRow(identity));
  acceptProtocol(ctx, event, auth);
  // Before the row is saved: a needless item in the schedule is harmless, a missing one is not.
  await scheduleExpiry(ctx, identity?.expiresAt, auth.toleranceMs);
}

function acceptProtocol(ctx: AnyContext, event: ConnectEvent, { protocols }: ConnectAuth): void {
  const protocol = chooseProtocol(event, protocols);
  const names = Object.keys(contextInternals.resultOf(ctx).headers ?? {});
  if (protocol === undefined || names.some((name) => name.toLowerCase() === "sec-websocket-protocol")) return;
  ctx.setHeader("Sec-WebSocket-Protocol", protocol);
}
