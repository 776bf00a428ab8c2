import type {
  Connection,
  ConnectionStore,
  Schedule,
  ScheduledItem,
  TimeBudget,
} from "../../../store/index.ts";
import { endpointOf } from "../../connections/by-endpoint.ts";
import { closeWithError } from "../../connections/close-with-error.ts";
import { CONNECT_TIMEOUT_MS, connectDeadline, mayBeConnecting } from "../../connections/connection-age.ts";
import { type AnyContext, contextInternals } from "../../context.ts";
import { LiftError } from "../../errors.ts";
import { fromStore } from "../../event-state.ts";
import type { ScheduledAction } from "../../scheduler/scheduled-action.ts";
import { expiryFromRow } from "./identity.ts";

/** Kind of the scheduled items that close expired connections. */
export const EXPIRY = "lift:auth.expiry";

/** Schedules the close of a connection at the expiry of its token. For `$connect`, when there is no row and no refresh. */
export async function scheduleExpiry(
  ctx: AnyContext,
  expiresAt: number | undefined,
  toleranceMs: number,
): Promise<void> {
  const { schedule } = contextInternals.settingsOf(ctx);
  const item = expiryItem(ctx, expiresAt, toleranceMs);
  if (schedule !== undefined && item !== undefined) await fromStore(schedule.put(item, ctx.lambda));
}

/** Schedules the close of a connection at the expiry of its new token. */
export async function rescheduleExpiry(
  ctx: AnyContext,
  expiresAt: number | undefined,
  toleranceMs: number,
): Promise<void> {
  const { schedule, store } = contextInternals.settingsOf(ctx);
  const item = expiryItem(ctx, expiresAt, toleranceMs);
  if (schedule === undefined || item === undefined) return;
  await scheduleEarliest(item, toleranceMs, { schedule, store }, ctx.lambda);
}

/** Returns the item that closes this event's connection; `undefined` when its lifetime ends before its token. */
function expiryItem(
  ctx: AnyContext,
  expiresAt: number | undefined,
  toleranceMs: number,
): ScheduledItem | undefined {
  const { lifetimeMs } = contextInternals.settingsOf(ctx);
  const { connectedAt } = ctx.event.requestContext;
  const dueAt = expiryTime(expiresAt, toleranceMs);
  if (dueAt === undefined || dueAt > connectedAt + lifetimeMs) return undefined;
  return {
    kind: EXPIRY,
    id: ctx.connectionId,
    dueAt,
    data: { endpoint: endpointOf(ctx.event), connectedAt },
  };
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
    const row = await readRow(item, tick.store, tick);
    if (row !== undefined) {
      const end = expiryTime(expiryFromRow(row), toleranceMs);
      if (end === undefined) return;
      if (end > tick.now()) return scheduleEarliest({ ...item, dueAt: end }, toleranceMs, tick, tick);
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

interface Stores {
  readonly schedule: Schedule;
  readonly store: ConnectionStore | undefined;
}

/**
 * Schedules an item at its due time, or at the row's expiry when that is earlier: another refresh may have shortened it
 * meanwhile. The loop ends because each due time is earlier than the one before.
 */
async function scheduleEarliest(
  item: ScheduledItem,
  toleranceMs: number,
  { schedule, store }: Stores,
  budget: TimeBudget,
): Promise<void> {
  for (let dueAt: number | undefined = item.dueAt; dueAt !== undefined; ) {
    await fromStore(schedule.put({ ...item, dueAt }, budget));
    const row = await readRow(item, store, budget);
    const latest: number | undefined = row && expiryTime(expiryFromRow(row), toleranceMs);
    dueAt = latest !== undefined && latest < dueAt ? latest : undefined;
  }
}

async function readRow(
  { id }: ScheduledItem,
  store: ConnectionStore | undefined,
  budget: TimeBudget,
): Promise<Connection | undefined> {
  return store && fromStore(store.get(id, budget));
}

/** Returns the time from which a token is no longer accepted, in ms since the epoch. */
export function expiryTime(expiresAt: number | undefined, toleranceMs: number): number | undefined {
  return expiresAt === undefined ? undefined : Math.ceil(expiresAt + toleranceMs);
}
