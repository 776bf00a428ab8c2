import type { Connections } from "../apigw/index.ts";
import type { ConnectionStore, Schedule, ScheduledItem, TimeBudget } from "../store/index.ts";
import { Deadline } from "./deadline.ts";
import { connectionsAt } from "./delivery.ts";
import { forEach } from "./for-each.ts";
import { type Logger, tell } from "./logger.ts";
import type { Settings } from "./options.ts";
import { fromStore } from "./state.ts";

/** What an action runs with. */
export interface Tick extends TimeBudget {
  readonly store: ConnectionStore | undefined;
  readonly schedule: Schedule;
  readonly logger: Logger;
  /** Fires before the time that the tick has is over. */
  readonly signal: AbortSignal;
  /** ms since the epoch. */
  now(): number;
  /** @connections at a row's endpoint. */
  connectionsAt(endpoint: string): Connections;
}

/**
 * Does what an item is there for. It may be called twice for one item, and at once in two places, so it looks
 * whether there is anything to do. When it throws, the item stays, and is due again at the next tick; when it puts
 * the item again under another time, it stays for then.
 */
export type ScheduledAction = (item: ScheduledItem, tick: Tick) => unknown;

/** What a tick did. */
export interface TickReport {
  readonly done: number;
  /** Left for the next tick; the log has the reasons. */
  readonly failed: number;
  /** `false`: the time was over before everything was looked at. */
  readonly complete: boolean;
}

/** Actions under way at a time. */
const CONCURRENCY = 32;

/** Acts on everything that is due. @throws {LiftError} STORE_FAILED when that could not be read */
export async function runTick(
  schedule: Schedule,
  actions: ReadonlyMap<string, ScheduledAction>,
  settings: Settings,
  budget: TimeBudget,
): Promise<TickReport> {
  const { store, logger, now, deadlineMarginMs } = settings;
  const deadline = new Deadline(budget, deadlineMarginMs);
  const tick: Tick = {
    store,
    schedule,
    logger,
    signal: deadline.signal,
    now,
    connectionsAt: (endpoint) => connectionsAt(endpoint, settings),
    getRemainingTimeInMillis: () => budget.getRemainingTimeInMillis(),
  };
  const counts = { done: 0, failed: 0 };
  const act = async (item: ScheduledItem) => {
    try {
      await actionFor(item, actions)(item, tick);
      await schedule.delete(item, budget);
      counts.done++;
    } catch (error) {
      counts.failed++;
      tell(logger, "error", "A scheduled action failed", { kind: item.kind, id: item.id, error });
    }
  };
  try {
    const complete = await fromStore(forEach(schedule.due(now()), CONCURRENCY, act, deadline.signal));
    return { ...counts, complete };
  } finally {
    deadline.cancel();
  }
}

/** Of a kind that this app does not know another version of it may: its items stay. */
function actionFor({ kind }: ScheduledItem, actions: ReadonlyMap<string, ScheduledAction>): ScheduledAction {
  const action = actions.get(kind);
  if (action === undefined) throw new Error(`No action is registered for the kind ${kind}`);
  return action;
}
