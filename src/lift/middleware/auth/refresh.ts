import type { MessageEvent } from "../../../apigw/index.ts";
import { errorFrame, messageId } from "../../connections/frames.ts";
import type { AnyContext } from "../../context.ts";
import { LiftError } from "../../errors.ts";
import { fromStore } from "../../event-state.ts";
import { scheduleExpiry } from "./expiry.ts";
import { type AuthIdentity, authIdentity, establish, toRow } from "./identity.ts";
import { readToken } from "./tokens.ts";

interface Refreshing {
  readonly verify: (token: string, event: MessageEvent) => Promise<AuthIdentity>;
  /** The first moment at which an identity has expired; `undefined`: it does not. */
  readonly endOf: (identity: AuthIdentity) => number | undefined;
}

/** By which a client brings a new token. */
export function refreshing({
  verify,
  endOf,
}: Refreshing): (ctx: AnyContext, given: unknown) => Promise<void> {
  return async (ctx, given) => {
    const token = readToken(given);
    if (token === undefined) {
      throw new LiftError("VALIDATION_ERROR", { message: "A refresh carries the new token as `token`" });
    }
    if (authIdentity(ctx) === undefined) throw new LiftError("UNAUTHORIZED");
    const { connectionStore } = ctx;
    const identity = await verify(token, ctx.event as MessageEvent);
    if (identity.userId !== ctx.userId || identity.tenantId !== ctx.tenantId) return end(ctx);
    const kept = connectionStore.setState(ctx.connectionId, toRow(identity), ctx.lambda);
    if (!(await fromStore(kept))) throw new LiftError("CONNECTION_CLOSED");
    establish(ctx, identity);
    // After the row: an item that falls due before it was moved finds the new expiry there.
    await scheduleExpiry(ctx, endOf(identity));
    const data = identity.expiresAt === undefined ? {} : { expiresAt: identity.expiresAt };
    await ctx.reply({ type: "response", request_id: messageId(ctx), success: true, data });
  };
}

/**
 * A connection has one identity for its whole life: what was set up for it must not become another's.
 * @throws {LiftError} FORBIDDEN, once the connection has been told and closed
 */
async function end(ctx: AnyContext): Promise<never> {
  const error = new LiftError("FORBIDDEN", {
    message: "The new token is for another user or tenant: connect with it instead",
  });
  const ws = ctx.asWebSocket();
  await ws.sendMessage(errorFrame(ctx, error)).finally(() => ws.disconnect());
  throw error;
}
