import type { Connection, ConnectionStore, TimeBudget } from "../store/index.ts";
import { Deadline } from "./deadline.ts";
import { connectionsAt } from "./delivery.ts";
import { dismiss } from "./dismiss.ts";
import { LiftError } from "./errors.ts";
import { forEach } from "./for-each.ts";
import type { Settings } from "./options.ts";
import { fromStore } from "./state.ts";

/** A user's connections, a tenant's, or those of a user in a tenant. */
export type Whose =
  | { readonly userId: string; readonly tenantId?: string }
  | { readonly tenantId: string; readonly userId?: undefined };

export interface DisconnectReport {
  readonly closed: number;
  /** Had a row, and ended by themselves. */
  readonly gone: number;
  /** Could not be closed; the log has the reasons. */
  readonly failed: number;
  /** `false`: the time was over before all of them were looked at. */
  readonly complete: boolean;
}

/** Connections that are closed at a time. */
const CONCURRENCY = 32;

export async function disconnectAll(
  whose: Whose,
  settings: Settings,
  budget: TimeBudget,
): Promise<DisconnectReport> {
  const { store, logger, deadlineMarginMs } = settings;
  if (store === undefined) throw new LiftError("STORE_REQUIRED");
  const deadline = new Deadline(budget, deadlineMarginMs);
  const counts = { closed: 0, gone: 0, failed: 0 };
  const end = async (row: Connection) => {
    try {
      const connections = connectionsAt(row.endpoint, settings);
      const wasThere = await dismiss(connections, row.id, new LiftError("REVOKED"), {
        signal: deadline.signal,
      });
      counts[wasThere ? "closed" : "gone"]++;
    } catch (error) {
      counts.failed++;
      logger.error("A connection was not closed", { connectionId: row.id, error });
    }
  };
  try {
    const complete = await fromStore(forEach(listed(store, whose), CONCURRENCY, end, deadline.signal));
    return { ...counts, complete };
  } finally {
    deadline.cancel();
  }
}

/** An empty name is nobody's, never everyone's. */
async function* listed(store: ConnectionStore, { userId, tenantId }: Whose): AsyncGenerator<Connection> {
  if (userId === undefined) {
    if (tenantId) yield* store.listByTenant(tenantId);
  } else if (userId) {
    for await (const row of store.listByUser(userId)) {
      if (tenantId === undefined || row.tenantId === tenantId) yield row;
    }
  }
}
