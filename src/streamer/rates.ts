import { hash } from "node:crypto";
import type { ClientRequest } from "./call-context.ts";
import type { Channel } from "./channels.ts";

/**
 * Counts a client's request against the rate of its namespace.
 * @throws {LiftError} RATE_LIMITED; UNAVAILABLE when the limiter's store fails and the rate refuses on failure
 */
export async function enforceRate(
  action: "publish" | "subscribe" | "set_presence" | "stream_start" | "upload",
  { key, namespace: { rate } }: Channel,
  { identity: { userId }, ctx, logger }: ClientRequest,
): Promise<void> {
  if (rate === undefined) return;
  const publisher = userId === undefined ? ["connection", ctx.connectionId] : ["user", userId];
  // A hash fits into the key length that a limiter's store accepts.
  await rate.count(hash("sha256", JSON.stringify([action, key, ...publisher]), "base64url"), logger);
}
