import type { MessageEvent } from "../../../apigw/index.ts";
import { errorFrame, requestIdOf } from "../../connections/error-frames.ts";
import type { AnyContext } from "../../context.ts";
import { LiftError } from "../../errors.ts";
import { fromStore } from "../../event-state.ts";
import { scheduleExpiry } from "./expiry.ts";
import { type AuthIdentity, authIdentity, setAuthIdentity, toRow } from "./identity.ts";
import { readToken } from "./tokens.ts";

interface RefreshOptions {
  readonly verify: (token: string, event: MessageEvent) => Promise<AuthIdentity>;
  /** The first moment at which an identity has expired; `undefined`: it does not. */
  readonly endOf: (identity: AuthIdentity) => number | undefined;
}

/** By which a client brings a new token. */
export function createRefresh({
  verify,
  endOf,
}: RefreshOptions): (ctx: AnyContext, given: unknown) => Promise<void> {
  return async (ctx, given) => {
    const token = readToken(given);
    if (token === undefined) {
      throw new LiftError("VALIDATION_ERROR", { message: "A refresh carries the new token as `token`" });
    }
    if (authIdentity(ctx) === undefined) throw new LiftError("UNAUTHORIZED");
    const { connectionStore } = ctx;
    const identity = await verify(token, ctx.event as MessageEvent);
    if (identity.userId !== ctx.userId || identity.tenantId !== ctx.tenantId) return rejectOtherIdentity(ctx);
    const kept = connectionStore.setState(ctx.connectionId, toRow(identity), ctx.lambda);
    if (!(await fromStore(kept))) throw new LiftError("CONNECTION_CLOSED");
    setAuthIdentity(ctx, identity);
    // After the row: an item that falls due before it was moved finds the new expiry there.
    await scheduleExpiry(ctx, endOf(identity));
    const data = identity.expiresAt === undefined ? {} : { expiresAt: identity.expiresAt };
    await ctx.reply({ type: "response", request_id: requestIdOf(ctx), success: true, data });
  };
}

/**
 * A connection has one identity for its whole life: what was set up for it must not become another's.
 * @throws {LiftError} FORBIDDEN, once the connection has been told and closed
 */
async function rejectOtherIdentity(ctx: AnyContext): Promise<never> {
  const error = new LiftError("FORBIDDEN", {
    message: "The new token is for another user or tenant: connect with it instead",
  });
  const ws = ctx.asWebSocket();
  await ws.sendMessage(errorFrame(ctx, error)).finally(() => ws.disconnect());
  throw error;
}
