import { createHash, randomBytes } from "node:crypto";
import type { JsonObject, TicketStore, TimeBudget } from "../../../store/index.ts";
import { LiftError } from "../../errors.ts";
import { fromStore } from "../../event-state.ts";
import { type AuthIdentity, validateIdentity } from "./identity.ts";

/** Long enough to connect with, too short to be found in a log and used. */
const GOOD_MS = 30_000;

/** Allowed difference between the clocks that mint and redeem, in ms. */
const CLOCK_SKEW_MS = 5 * 60_000;

/** Past guessing, however many there are. */
const TICKET_BYTES = 32;

export interface Ticket {
  readonly ticket: string;
  /** ms since the epoch. */
  readonly expiresAt: number;
}

/** @throws {LiftError} STORE_FAILED */
export async function mintTicket(
  tickets: TicketStore,
  { userId, tenantId, roles = [], permissions = [], expiresAt }: AuthIdentity,
  now: number,
  budget: TimeBudget,
): Promise<Ticket> {
  const ticket = randomBytes(TICKET_BYTES).toString("base64url");
  const content: JsonObject = {
    userId,
    ...(tenantId === undefined ? {} : { tenantId }),
    roles,
    permissions,
    ...(expiresAt === undefined ? {} : { expiresAt }),
    mintedAt: now,
  };
  const goodUntil = now + GOOD_MS;
  await fromStore(tickets.save(hashOf(ticket), content, goodUntil, budget));
  return { ticket, expiresAt: goodUntil };
}

/** @throws {LiftError} UNAUTHORIZED, STORE_FAILED */
export async function redeemTicket(
  tickets: TicketStore,
  ticket: string,
  now: number,
  budget?: TimeBudget,
): Promise<AuthIdentity> {
  const content = await fromStore(tickets.take(hashOf(ticket), now, budget));
  if (content !== undefined && !isFromFuture(content, now)) return validateIdentity(content);
  throw new LiftError("UNAUTHORIZED", { cause: "The ticket is unknown, was used, or is over" });
}

/** A ticket that is dated in the future would be good for as long as that date is away, not for 30 s. */
function isFromFuture({ mintedAt }: JsonObject, now: number): boolean {
  // Tickets of earlier versions are not dated.
  return typeof mintedAt === "number" && mintedAt - now > CLOCK_SKEW_MS;
}

/** What is stored: it can't be turned back into a ticket, which is random and as long as the hash. */
function hashOf(ticket: string): string {
  return createHash("sha256").update(ticket).digest("base64url");
}
