import type { FunctionUrlEvent, FunctionUrlResult, LambdaContext } from "../../../apigw/index.ts";
import { integer, type OptionChecks, record, withMethods } from "../../../internal/options.ts";
import { isOrigin } from "../../../internal/origin.ts";
import type { TicketStore } from "../../../store/index.ts";
import { errorBody } from "../../connections/error-frames.ts";
import { checkOptions, clientError, LiftError } from "../../errors.ts";
import { FieldLogger, jsonLogger, type Logger } from "../../logger.ts";
import { mintTicket } from "../auth/ticket-store.ts";
import { readToken } from "../auth/tokens.ts";
import { createVerifier, type TokenOptions, VERIFIER_OPTIONS } from "../auth/verifier.ts";

/** Options of `ticketHandler`. */
export interface TicketHandlerOptions extends TokenOptions {
  /** Store of the tickets, the same as for `webSocketAuth`. Required. */
  readonly tickets: TicketStore;
  /** Allows requests from pages of other origins. Configure CORS here or on the function URL, not in both. Default: none. */
  readonly cors?: TicketCors;
  /** Default: `jsonLogger()`. */
  readonly logger?: Logger;
}

/** Origins that may request tickets. */
export interface TicketCors {
  /** Exact origins of any scheme: `https://app.example`, `capacitor://localhost`; `null`; or `*` for all except `null`. Required. */
  readonly origins: readonly string[];
  /** Time for which browsers may cache the preflight response, in seconds. Default 600; minimum 0. */
  readonly maxAgeSeconds?: number;
}

/** A Lambda function URL's handler, payload format 2.0. */
export type TicketHandler = (event: FunctionUrlEvent, context: LambdaContext) => Promise<FunctionUrlResult>;

const CORS_OPTIONS: OptionChecks<TicketCors> = {
  origins: {
    test: (value) =>
      Array.isArray(value) && value.length > 0 && value.every((origin) => origin === "*" || isOrigin(origin)),
    expected: "an array of origins such as `https://app.example`, or `*`",
  },
  maxAgeSeconds: integer(0),
};

const OPTIONS: OptionChecks<TicketHandlerOptions> = {
  ...VERIFIER_OPTIONS,
  tickets: withMethods("save", "take"),
  cors: record,
  logger: withMethods("debug", "info", "warn", "error"),
};

/**
 * Returns the handler of a function URL that exchanges a token for a one-time ticket. A client connects with the ticket
 * within 30 s, so that no token is in a URL. `POST` with `Authorization: Bearer <token>` returns
 * `{ "ticket": string, "expiresAt": number }`, the expiry in ms since the epoch.
 * @throws {LiftError} INVALID_OPTION
 * @example
 * export const handler = ticketHandler({ jwt, tickets, cors: { origins: ["https://app.example"] } });
 */
export function ticketHandler(options: TicketHandlerOptions): TicketHandler {
  checkOptions(options, OPTIONS, { required: ["tickets"] });
  const { tickets, cors, logger = jsonLogger() } = options;
  if (cors !== undefined) checkOptions(cors, CORS_OPTIONS, { prefix: "cors.", required: ["origins"] });
  const verifier = createVerifier(options);
  const { now } = verifier;
  return async (event, context) => {
    const headers = { "cache-control": "no-store", ...corsHeaders(event, cors) };
    const { method } = event.requestContext.http;
    if (method === "OPTIONS") return { statusCode: 204, headers };
    const respond = (statusCode: number, body: string, more = {}): FunctionUrlResult => ({
      statusCode,
      headers: { ...headers, "content-type": "application/json", ...more },
      body,
    });
    try {
      if (method !== "POST") throw new LiftError("METHOD_NOT_ALLOWED", { status: 405, message: "Use POST" });
      const identity = await verifier.verify(bearerToken(event), undefined);
      if (!verifier.isCurrent(identity)) throw new LiftError("TOKEN_EXPIRED");
      return respond(200, JSON.stringify(await mintTicket(tickets, identity, now(), context)));
    } catch (thrown) {
      const error = clientError(thrown);
      const requestLogger = new FieldLogger(logger, () => ({ requestId: event.requestContext.requestId }));
      requestLogger[error.status >= 500 ? "error" : "warn"]("The ticket request was refused", {
        code: error.code,
        error: thrown,
      });
      const more = error.status === 401 ? { "www-authenticate": "Bearer" } : {};
      return respond(error.status, errorBody(error), error.status === 405 ? { allow: "POST" } : more);
    }
  };
}

/** @throws {LiftError} UNAUTHORIZED */
function bearerToken({ headers }: FunctionUrlEvent): string {
  const token = readToken(headers.authorization);
  if (token === undefined) throw new LiftError("UNAUTHORIZED", { cause: "The request has no token" });
  return token;
}

function corsHeaders(event: FunctionUrlEvent, cors: TicketCors | undefined): { [name: string]: string } {
  if (cors === undefined) return {};
  const { origin } = event.headers;
  // Sandboxed frames of any page have the origin `null`, so `*` does not include it.
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
