import { createHash, randomBytes } from "node:crypto";
import type { JsonObject, TicketStore, TimeBudget } from "../../../store/index.ts";
import { LiftError } from "../../errors.ts";
import { fromStore } from "../../event-state.ts";
import { type AuthIdentity, validateIdentity } from "./identity.ts";

/** Life of a ticket in ms: enough to connect, too short to be used when found in a log. */
const TICKET_LIFE_MS = 30_000;

/** Allowed difference between the clocks that mint and redeem, in ms. */
const CLOCK_SKEW_MS = 5 * 60_000;

/** Random bytes of a ticket: too many to guess. */
const TICKET_BYTES = 32;

/** A one-time ticket for `$connect`. */
export interface Ticket {
  readonly ticket: string;
  /** ms since the epoch. */
  readonly expiresAt: number;
}

/** Creates a ticket for an identity. @throws {LiftError} STORE_FAILED */
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
  const ticketExpiry = now + TICKET_LIFE_MS;
  await fromStore(tickets.save(hashOf(ticket), content, ticketExpiry, budget));
  return { ticket, expiresAt: ticketExpiry };
}

/** Returns the identity of a ticket and invalidates it. @throws {LiftError} UNAUTHORIZED, STORE_FAILED */
export async function redeemTicket(
  tickets: TicketStore,
  ticket: string,
  now: number,
  budget?: TimeBudget,
): Promise<AuthIdentity> {
  const content = await fromStore(tickets.take(hashOf(ticket), now, budget));
  if (content !== undefined && !isFromFuture(content, now)) return validateIdentity(content);
  throw new LiftError("UNAUTHORIZED", { cause: "The ticket is unknown, used or expired" });
}

/** A ticket dated in the future would live longer than 30 s. */
function isFromFuture({ mintedAt }: JsonObject, now: number): boolean {
  // Tickets of earlier versions have no date.
  return typeof mintedAt === "number" && mintedAt - now > CLOCK_SKEW_MS;
}

/** Only the hash is stored. It cannot be reversed, because a ticket is random and as long as the hash. */
function hashOf(ticket: string): string {
  return createHash("sha256").update(ticket).digest("base64url");
}
