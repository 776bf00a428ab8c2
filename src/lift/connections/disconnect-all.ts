import { logSafely } from "../../internal/log-safely.ts";
import type { Connection, ConnectionStore, TimeBudget } from "../../store/index.ts";
import { Deadline } from "../deadline.ts";
import { LiftError } from "../errors.ts";
import { fromStore } from "../event-state.ts";
import { forEachConcurrently } from "../scheduler/for-each.ts";
import type { ScheduledAction } from "../scheduler/scheduled-action.ts";
import type { AppSettings } from "../settings.ts";
import { connectionsAt } from "./by-endpoint.ts";
import { closeWithError } from "./close-with-error.ts";
import { CONNECT_TIMEOUT_MS, connectDeadline, mayBeConnecting } from "./connection-age.ts";

/** Selects the connections of a user, of a tenant, or of a user within a tenant. */
export type ConnectionFilter =
  | { readonly userId: string; readonly tenantId?: string }
  | { readonly tenantId: string };

/** Result of `Lift.disconnect`. */
export interface DisconnectReport {
  /** Connections that were closed. */
  readonly closed: number;
  /** Connections that had a row but were already closed. */
  readonly gone: number;
  /** Connections whose `$connect` has not finished. If the app has a `schedule`, a tick closes them. */
  readonly connecting: number;
  /** Connections that could not be closed. The log has the reasons. */
  readonly failed: number;
  /** `false` when the time ran out before all connections were processed. */
  readonly complete: boolean;
}

/** Kind of the scheduled items that close connections whose `$connect` had not finished when they were revoked. */
export const REVOCATION = "lift:revocation";

/** Connections that are closed concurrently. */
const CONCURRENCY = 32;

/** @throws {LiftError} STORE_REQUIRED; STORE_FAILED when the connections could not be listed */
export async function disconnectAll(
  filter: ConnectionFilter,
  settings: AppSettings,
  budget: TimeBudget,
): Promise<DisconnectReport> {
  const { store, logger, deadlineMarginMs, now, schedule } = settings;
  if (store === undefined) throw new LiftError("STORE_REQUIRED");
  const deadline = new Deadline(budget, deadlineMarginMs);
  const counts = { closed: 0, gone: 0, connecting: 0, failed: 0 };
  const close = async (row: Connection) => {
    try {
      const connections = connectionsAt(row.endpoint, settings);
      const wasThere = await closeWithError(connections, row.id, new LiftError("REVOKED"), {
        signal: deadline.signal,
      });
      if (wasThere) counts.closed++;
      else if (!mayBeConnecting(row.connectedAt, now(), CONNECT_TIMEOUT_MS)) counts.gone++;
      else {
        const data = { endpoint: row.endpoint };
        const dueAt = connectDeadline(row.connectedAt, now());
        await schedule?.put({ kind: REVOCATION, id: row.id, dueAt, data }, budget);
        counts.connecting++;
      }
    } catch (error) {
      counts.failed++;
      logSafely(logger, "error", "A connection was not closed", { connectionId: row.id, error });
    }
  };
  try {
    const complete = await fromStore(
      forEachConcurrently(listConnections(store, filter), CONCURRENCY, close, deadline.signal),
    );
    return { ...counts, complete };
  } finally {
    deadline.cancel();
  }
}

/** Closes a connection whose `$connect` finished after it was revoked. */
export const closeRevoked: ScheduledAction = async ({ id, data }, { connectionsAt, signal }) => {
  await closeWithError(connectionsAt((data as { endpoint: string }).endpoint), id, new LiftError("REVOKED"), {
    signal,
  });
};

/** An empty or undefined id selects no connection, never all of them. */
async function* listConnections(
  store: ConnectionStore,
  filter: ConnectionFilter,
): AsyncGenerator<Connection> {
  const { userId, tenantId }: { userId?: string; tenantId?: string } = filter;
  if (!("userId" in filter)) {
    if (tenantId) yield* store.listByTenant(tenantId);
  } else if (userId) {
    for await (const row of store.listByUser(userId)) {
      if (!("tenantId" in filter) || (tenantId && row.tenantId === tenantId)) yield row;
    }
  }
}
