import { type AnyContext, LiftError } from "../lift/index.ts";
import { ProtocolError } from "../protocol/index.ts";

/** Fields of a message that only legacy clients send. */
const LEGACY_FIELDS = ["request_id", "connection_id", "metadata"];

/** Codes of this protocol, and the codes that legacy clients know instead. See PROTOCOL.md, "Legacy clients". */
const LEGACY_CODES: ReadonlyMap<string, string> = new Map([
  ["NOT_FOUND", "INVALID_ACTION"],
  ["MALFORMED_JSON", "VALIDATION_ERROR"],
]);

/** Marks a connection of a legacy client, which sends its token in the query parameter `Authorization`. */
export function rememberLegacyClient(ctx: AnyContext): void {
  if (ctx.query("Authorization") !== undefined) ctx.setMetadata({ legacyClient: true });
}

/**
 * Returns the error of a message that could not be parsed, with the code that its client knows. Other errors stay as they
 * are.
 */
export async function toLegacyError(ctx: AnyContext, thrown: unknown): Promise<unknown> {
  const code = thrown instanceof ProtocolError ? LEGACY_CODES.get(thrown.code) : undefined;
  if (code === undefined || !(await isLegacyClient(ctx))) return thrown;
  return new LiftError(code, { status: 400, message: (thrown as ProtocolError).message });
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
