import type { MessageEvent } from "../../../apigw/index.ts";
import { errorFrame, requestIdOf } from "../../connections/error-frames.ts";
import type { AnyContext } from "../../context.ts";
import { LiftError } from "../../errors.ts";
import { fromStore } from "../../event-state.ts";
import { rescheduleExpiry } from "./expiry.ts";
import { type AuthIdentity, authIdentity, identityToRow, setAuthIdentity } from "./identity.ts";
import { readToken } from "./tokens.ts";

interface RefreshOptions {
  readonly verify: (token: string, event: MessageEvent) => Promise<AuthIdentity>;
  /** Time after its expiry for which a token is still accepted, in ms. */
  readonly toleranceMs: number;
}

/** Returns the handler that replaces a connection's identity by the one in a new token. */
export function createRefresh({
  verify,
  toleranceMs,
}: RefreshOptions): (ctx: AnyContext, given: unknown) => Promise<void> {
  return async (ctx, given) => {
    const token = readToken(given);
    if (token === undefined) {
      throw new LiftError("VALIDATION_ERROR", { message: "The field `token` is required: the new token" });
    }
    if (authIdentity(ctx) === undefined) throw new LiftError("UNAUTHORIZED");
    const { connectionStore } = ctx;
    const identity = await verify(token, ctx.event as MessageEvent);
    if (identity.userId !== ctx.userId || identity.tenantId !== ctx.tenantId) return rejectOtherIdentity(ctx);
    const written = connectionStore.setState(ctx.connectionId, identityToRow(identity), ctx.lambda);
    if (!(await fromStore(written))) throw new LiftError("CONNECTION_CLOSED");
    setAuthIdentity(ctx, identity);
    // After the row is written: an item that is due before it is moved then finds the new expiry there.
    await rescheduleExpiry(ctx, identity.expiresAt, toleranceMs);
    const data = identity.expiresAt === undefined ? {} : { expiresAt: identity.expiresAt };
    await ctx.reply({ type: "response", request_id: requestIdOf(ctx), success: true, data });
  };
}

/**
 * A connection keeps its identity for its whole life, because its subscriptions and state belong to that identity.
 * @throws {LiftError} FORBIDDEN, after the error frame and the close
 */
async function rejectOtherIdentity(ctx: AnyContext): Promise<never> {
  const error = new LiftError("FORBIDDEN", {
    message: "The new token belongs to another user or tenant; connect again with it",
  });
  const ws = ctx.asWebSocket();
  await ws.sendMessage(errorFrame(ctx, error)).finally(() => ws.disconnect());
  throw error;
}
