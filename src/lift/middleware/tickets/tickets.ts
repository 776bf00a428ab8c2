import type { FunctionUrlEvent, FunctionUrlResult, LambdaContext } from "../../../apigw/index.ts";
import { isOrigin } from "../../../internal/origin.ts";
import type { TicketStore } from "../../../store/index.ts";
import { checkOptions, hasMethods } from "../../check-options.ts";
import { errorBody } from "../../connections/error-frames.ts";
import { clientError, LiftError } from "../../errors.ts";
import { FieldLogger, jsonLogger, type Logger } from "../../logger.ts";
import { mintTicket } from "../auth/ticket-store.ts";
import { readToken } from "../auth/tokens.ts";
import { createVerifier, type TokenOptions, VERIFIER_OPTIONS } from "../auth/verifier.ts";

export interface TicketHandlerOptions extends TokenOptions {
  /** The same that `webSocketAuth` takes them from. */
  readonly tickets: TicketStore;
  /** Which pages may ask. Default: none but the function's own origin. Leave it to the function URL, or set it here: not both. */
  readonly cors?: TicketCors;
  /** Default: `jsonLogger()`. */
  readonly logger?: Logger;
}

export interface TicketCors {
  /** Exact, of any scheme: `https://app.example`, `capacitor://localhost`; `null`; or `*` for all but `null`. */
  readonly origins: readonly string[];
  /** Seconds that a browser need not ask again. Default 600; minimum 0. */
  readonly maxAgeSeconds?: number;
}

/** A Lambda function URL's handler, payload format 2.0. */
export type TicketHandler = (event: FunctionUrlEvent, context: LambdaContext) => Promise<FunctionUrlResult>;

const CORS_OPTIONS = {
  origins: (value: unknown) =>
    Array.isArray(value) && value.length > 0 && value.every((origin) => origin === "*" || isOrigin(origin)),
  maxAgeSeconds: (value: unknown) => Number.isSafeInteger(value) && Number(value) >= 0,
};

const OPTIONS = {
  ...VERIFIER_OPTIONS,
  tickets: hasMethods("save", "take"),
  cors: (value: unknown) => typeof value === "object" && value !== null,
  logger: hasMethods("debug", "info", "warn", "error"),
};

/**
 * Gives whoever has a token a ticket to connect with in its place: good for 30 s, once, so that no token stands in a
 * URL. `POST` with `Authorization: Bearer <token>` is answered by `{ "ticket", "expiresAt" }`, ms since the epoch.
 * @throws {LiftError} INVALID_OPTION
 */
export function ticketHandler(options: TicketHandlerOptions): TicketHandler {
  checkOptions(options, OPTIONS);
  const { tickets, cors, logger = jsonLogger() } = options;
  if (tickets === undefined) {
    throw new LiftError("INVALID_OPTION", { message: "ticketHandler needs tickets" });
  }
  if (cors !== undefined) checkCors(cors);
  const verifier = createVerifier(options);
  const { now } = verifier;
  return async (event, context) => {
    const headers = { "cache-control": "no-store", ...corsHeaders(event, cors) };
    const { method } = event.requestContext.http;
    if (method === "OPTIONS") return { statusCode: 204, headers };
    const answer = (statusCode: number, body: string, more = {}): FunctionUrlResult => ({
      statusCode,
      headers: { ...headers, "content-type": "application/json", ...more },
      body,
    });
    try {
      if (method !== "POST") throw new LiftError("METHOD_NOT_ALLOWED", { status: 405, message: "Only POST" });
      const identity = await verifier.verify(tokenOf(event), undefined);
      if (!verifier.isCurrent(identity)) throw new LiftError("TOKEN_EXPIRED");
      return answer(200, JSON.stringify(await mintTicket(tickets, identity, now(), context)));
    } catch (thrown) {
      const error = clientError(thrown);
      const own = new FieldLogger(logger, () => ({ requestId: event.requestContext.requestId }));
      own[error.status >= 500 ? "error" : "warn"]("No ticket was given", { code: error.code, error: thrown });
      const more = error.status === 401 ? { "www-authenticate": "Bearer" } : {};
      return answer(error.status, errorBody(error), error.status === 405 ? { allow: "POST" } : more);
    }
  };
}

/** @throws {LiftError} UNAUTHORIZED */
function tokenOf({ headers }: FunctionUrlEvent): string {
  const token = readToken(headers.authorization);
  if (token === undefined) throw new LiftError("UNAUTHORIZED", { cause: "There is no token" });
  return token;
}

function checkCors(cors: TicketCors): void {
  checkOptions(cors, CORS_OPTIONS);
  if (cors.origins === undefined) {
    throw new LiftError("INVALID_OPTION", { message: "cors needs origins" });
  }
}

function corsHeaders(event: FunctionUrlEvent, cors: TicketCors | undefined): { [name: string]: string } {
  if (cors === undefined) return {};
  const { origin } = event.headers;
  // A sandboxed frame of any page has the origin null, so `*` does not cover it.
  const anyPage = cors.origins.includes("*") && origin !== "null";
  const allowed = origin !== undefined && (anyPage || cors.origins.includes(origin));
  if (!allowed) return { vary: "origin" };
  return {
    vary: "origin",
    "access-control-allow-origin": origin,
    "access-control-allow-methods": "POST",
    "access-control-allow-headers": "authorization",
    "access-control-max-age": String(cors.maxAgeSeconds ?? 600),
  };
}
