import { type AnyContext, LiftError } from "../lift/index.ts";
import { ProtocolError } from "../protocol/index.ts";
import { toLiftError } from "./errors.ts";

/** Fields of a message that only legacy clients send. */
const LEGACY_FIELDS = ["request_id", "connection_id", "metadata"];

/** Codes of this protocol, and the codes that legacy clients know instead. See PROTOCOL.md, "Legacy clients". */
const LEGACY_CODES: ReadonlyMap<string, string> = new Map([
  ["MALFORMED_JSON", "VALIDATION_ERROR"],
  ["CONFLICT", "VALIDATION_ERROR"],
  ["TOO_LARGE", "VALIDATION_ERROR"],
  ["STORE_FAILED", "INTERNAL_ERROR"],
  ["UNAVAILABLE", "INTERNAL_ERROR"],
]);

/** Marks a connection of a legacy client, which sends its token in the query parameter `Authorization`. */
export function rememberLegacyClient(ctx: AnyContext): void {
  if (ctx.query("Authorization") !== undefined) ctx.setMetadata({ legacyClient: true });
}

/** Returns the error of a message with the code that its client knows. Errors with other codes stay as they are. */
export async function toLegacyError(ctx: AnyContext, thrown: unknown): Promise<unknown> {
  const code = legacyCodeOf(thrown);
  if (code === undefined || !(await isLegacyClient(ctx))) return thrown;
  const { message, status, retry, details } = toLiftError(thrown) as LiftError;
  return new LiftError(code, { message, status, retry, details, cause: thrown });
}

function legacyCodeOf(thrown: unknown): string | undefined {
  if (thrown instanceof ProtocolError && thrown.code === "NOT_FOUND") return "INVALID_ACTION";
  const isKnown = thrown instanceof ProtocolError || thrown instanceof LiftError;
  return isKnown ? LEGACY_CODES.get(thrown.code) : undefined;
}

async function isLegacyClient(ctx: AnyContext): Promise<boolean> {
  try {
    if (LEGACY_FIELDS.some((field) => ctx.body(field) !== undefined)) return true;
  } catch {
    // The message is not JSON.
  }
  try {
    return (await ctx.connection())?.metadata.legacyClient === true;
  } catch {
    return false;
  }
}
