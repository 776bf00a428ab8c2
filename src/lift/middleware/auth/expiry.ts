import type { Connection, ScheduledItem } from "../../../store/index.ts";
import { endpointOf } from "../../connections/by-endpoint.ts";
import { closeWithError } from "../../connections/close-with-error.ts";
import { mayBeConnecting } from "../../connections/connection-age.ts";
import { type AnyContext, rowOf, settingsOf } from "../../context.ts";
import { LiftError } from "../../errors.ts";
import { fromStore } from "../../event-state.ts";
import type { ScheduledAction, Tick } from "../../scheduler/tick.ts";
import { expiryFromRow } from "./identity.ts";

/** The kind of the items that end connections. */
export const EXPIRY = "lift:auth.expiry";

/** A `$connect` that takes longer than this has failed: the service waits 29 s for it. */
const CONNECTING_MS = 30_000;

/** Puts the end of this event's connection into the app's schedule; not where its lifetime ends it before. */
export async function scheduleExpiry(ctx: AnyContext, end: number | undefined): Promise<void> {
  const { schedule, lifetimeMs } = settingsOf(ctx);
  const { connectedAt } = ctx.event.requestContext;
  if (schedule === undefined || end === undefined || end > connectedAt + lifetimeMs) return;
  const data = { endpoint: endpointOf(ctx.event), connectedAt };
  const item = { kind: EXPIRY, id: ctx.connectionId, dueAt: end, data };
  await fromStore(schedule.put(item, ctx.lambda));
}

/** On `$disconnect`: best effort, for the tick copes with connections that have gone. */
export async function unscheduleExpiry(ctx: AnyContext, toleranceMs: number): Promise<void> {
  const { schedule, lifetimeMs } = settingsOf(ctx);
  const row = rowOf(ctx);
  const dueAt = row && expiryTime(expiryFromRow(row), toleranceMs);
  const { connectedAt } = ctx.event.requestContext;
  if (schedule === undefined || dueAt === undefined || dueAt > connectedAt + lifetimeMs) return;
  try {
    await schedule.delete({ kind: EXPIRY, id: ctx.connectionId, dueAt }, ctx.lambda);
  } catch (error) {
    ctx.logger.warn("The expiry of a connection was left in the schedule", { error });
  }
}

/** Ends a connection whose token has expired, unless it has been refreshed since. */
export function closeExpired(toleranceMs: number): ScheduledAction {
  return async (item, tick) => {
    const row = await readRow(item, tick);
    if (row !== undefined) {
      const end = expiryTime(expiryFromRow(row), toleranceMs);
      if (end === undefined) return;
      if (end > tick.now()) return reschedule(item, end, toleranceMs, tick);
    }
    const { endpoint, connectedAt } = item.data as { endpoint: string; connectedAt: number };
    const options = { signal: tick.signal };
    const error = new LiftError("TOKEN_EXPIRED");
    const wasThere = await closeWithError(tick.connectionsAt(endpoint), item.id, error, options);
    // Before its $connect has ended a connection can't be reached, and looks like one that has gone.
    if (wasThere || !mayBeConnecting(connectedAt, tick.now(), CONNECTING_MS)) return;
    const dueAt = Math.min(connectedAt, tick.now()) + CONNECTING_MS;
    await tick.schedule.put({ ...item, dueAt }, tick);
  };
}

/**
 * Puts the end off, then looks whether it still is the row's: a refresh to a shorter token may have moved it to its
 * own end in between, and must not be undone. Ends because each is earlier than the one before.
 */
async function reschedule(item: ScheduledItem, end: number, toleranceMs: number, tick: Tick): Promise<void> {
  for (let dueAt: number | undefined = end; dueAt !== undefined; ) {
    await tick.schedule.put({ ...item, dueAt }, tick);
    const row = await readRow(item, tick);
    const latest: number | undefined = row && expiryTime(expiryFromRow(row), toleranceMs);
    dueAt = latest !== undefined && latest < dueAt ? latest : undefined;
  }
}

async function readRow({ id }: ScheduledItem, tick: Tick): Promise<Connection | undefined> {
  return tick.store && fromStore(tick.store.get(id, tick));
}

/** The first moment at which the token is no good any more; ms since the epoch. */
export function expiryTime(expiresAt: number | undefined, toleranceMs: number): number | undefined {
  return expiresAt === undefined ? undefined : Math.ceil(expiresAt + toleranceMs);
}
