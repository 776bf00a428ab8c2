import type { Connection, ScheduledItem } from "../../../store/index.ts";
import { endpointOf } from "../../connections/by-endpoint.ts";
import { closeWithError } from "../../connections/close-with-error.ts";
import { CONNECT_TIMEOUT_MS, connectDeadline, mayBeConnecting } from "../../connections/connection-age.ts";
import { type AnyContext, contextInternals } from "../../context.ts";
import { LiftError } from "../../errors.ts";
import { fromStore } from "../../event-state.ts";
import type { ScheduledAction, Tick } from "../../scheduler/scheduled-action.ts";
import { expiryFromRow } from "./identity.ts";

/** Kind of the scheduled items that close expired connections. */
export const EXPIRY = "lift:auth.expiry";

/** Schedules the close of this event's connection at its expiry, unless its lifetime ends before. */
export async function scheduleExpiry(ctx: AnyContext, end: number | undefined): Promise<void> {
  const { schedule, lifetimeMs } = contextInternals.settingsOf(ctx);
  const { connectedAt } = ctx.event.requestContext;
  if (schedule === undefined || end === undefined || end > connectedAt + lifetimeMs) return;
  const data = { endpoint: endpointOf(ctx.event), connectedAt };
  const item = { kind: EXPIRY, id: ctx.connectionId, dueAt: end, data };
  await fromStore(schedule.put(item, ctx.lambda));
}

/** Removes the scheduled close on `$disconnect`. A failure is harmless, because the tick ignores closed connections. */
export async function unscheduleExpiry(ctx: AnyContext, toleranceMs: number): Promise<void> {
  const { schedule, lifetimeMs } = contextInternals.settingsOf(ctx);
  const row = contextInternals.rowOf(ctx);
  const dueAt = row && expiryTime(expiryFromRow(row), toleranceMs);
  const { connectedAt } = ctx.event.requestContext;
  if (schedule === undefined || dueAt === undefined || dueAt > connectedAt + lifetimeMs) return;
  try {
    await schedule.delete({ kind: EXPIRY, id: ctx.connectionId, dueAt }, ctx.lambda);
  } catch (error) {
    ctx.logger.warn("The scheduled expiry of a connection was not removed", { error });
  }
}

/** Returns the action that closes a connection whose token has expired, unless it was refreshed since. */
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
    // A connection whose $connect has not finished looks like one that is gone.
    if (wasThere || !mayBeConnecting(connectedAt, tick.now(), CONNECT_TIMEOUT_MS)) return;
    const dueAt = connectDeadline(connectedAt, tick.now());
    await tick.schedule.put({ ...item, dueAt }, tick);
  };
}

/**
 * Reschedules, then reads the row again, because a refresh may have shortened the expiry in between. The loop ends because
 * each due time is earlier than the one before.
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

/** Returns the time from which a token is no longer accepted, in ms since the epoch. */
export function expiryTime(expiresAt: number | undefined, toleranceMs: number): number | undefined {
  return expiresAt === undefined ? undefined : Math.ceil(expiresAt + toleranceMs);
}
