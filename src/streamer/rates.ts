import { hash } from "node:crypto";
import type { Session } from "./core.ts";
import type { Channel } from "./namespaces.ts";

/**
 * Counts a client's call against its namespace's rate.
 * @throws {LiftError} RATE_LIMITED; UNAVAILABLE, where the limiter's store fails and the rate is closed then
 */
export async function assertRate(
  action: "publish" | "subscribe" | "set_presence" | "stream_start" | "upload",
  { key, namespace: { rate } }: Channel,
  { identity: { userId }, ctx, logger }: Session,
): Promise<void> {
  if (rate === undefined) return;
  const who = userId === undefined ? ["connection", ctx.connectionId] : ["user", userId];
  // Hashed, it is as short as a limiter's store may ask, whoever it is.
  await rate.count(hash("sha256", JSON.stringify([action, key, ...who]), "base64url"), logger);
}
