import type { Connection, ConnectionStore, TimeBudget } from "../../store/index.ts";
import { Deadline } from "../deadline.ts";
import { LiftError } from "../errors.ts";
import { fromStore } from "../event-state.ts";
import { logSafely } from "../logger.ts";
import type { Settings } from "../options.ts";
import type { ScheduledAction } from "../scheduler/tick.ts";
import { connectionsAt } from "./by-endpoint.ts";
import { closeWithError } from "./close-with-error.ts";
import { mayBeConnecting } from "./connection-age.ts";
import { forEach } from "./for-each.ts";

/** A user's connections, a tenant's, or those of a user in a tenant. */
export type ConnectionFilter =
  | { readonly userId: string; readonly tenantId?: string }
  | { readonly tenantId: string };

export interface DisconnectReport {
  readonly closed: number;
  /** Had a row, and ended by themselves. */
  readonly gone: number;
  /** Could not be reached yet, their `$connect` being under way: a tick closes them, where the app has a `schedule`. */
  readonly connecting: number;
  /** Could not be closed; the log has the reasons. */
  readonly failed: number;
  /** `false`: the time was over before all of them were looked at. */
  readonly complete: boolean;
}

/** The kind of the items that end what was connecting when it was revoked. */
export const REVOCATION = "lift:revocation";

/** A `$connect` that takes longer than this has failed: the service waits 29 s for it. */
const CONNECTING_MS = 30_000;

/** Connections that are closed at a time. */
const CONCURRENCY = 32;

export async function disconnectAll(
  filter: ConnectionFilter,
  settings: Settings,
  budget: TimeBudget,
): Promise<DisconnectReport> {
  const { store, logger, deadlineMarginMs, now, schedule } = settings;
  if (store === undefined) throw new LiftError("STORE_REQUIRED");
  const deadline = new Deadline(budget, deadlineMarginMs);
  const counts = { closed: 0, gone: 0, connecting: 0, failed: 0 };
  const end = async (row: Connection) => {
    try {
      const connections = connectionsAt(row.endpoint, settings);
      const wasThere = await closeWithError(connections, row.id, new LiftError("REVOKED"), {
        signal: deadline.signal,
      });
      if (wasThere) counts.closed++;
      else if (!mayBeConnecting(row.connectedAt, now(), CONNECTING_MS)) counts.gone++;
      else {
        const data = { endpoint: row.endpoint };
        const dueAt = Math.min(row.connectedAt, now()) + CONNECTING_MS;
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
      forEach(listConnections(store, filter), CONCURRENCY, end, deadline.signal),
    );
    return { ...counts, complete };
  } finally {
    deadline.cancel();
  }
}

/** Ends a connection that has been let in after all. */
export const closeRevoked: ScheduledAction = async ({ id, data }, { connectionsAt, signal }) => {
  await closeWithError(connectionsAt((data as { endpoint: string }).endpoint), id, new LiftError("REVOKED"), {
    signal,
  });
};

/** A name that is given and empty, or undefined, is nobody's, never everyone's. */
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
