import type { BroadcastOptions, BroadcastReport, Connections, MessageData } from "../../apigw/index.ts";
import type { TimeBudget } from "../../store/index.ts";
import type { Settings } from "../options.ts";

/** Those whose row is to be removed, or proves that they are connecting, are told apart: see `GoneConnections`. */
export async function broadcastAt(
  endpoint: string,
  connections: Connections,
  ids: Iterable<string> | AsyncIterable<string>,
  data: MessageData,
  settings: Settings,
  budget: TimeBudget,
  options: BroadcastOptions,
): Promise<BroadcastReport> {
  const { gone, deadlineMarginMs } = settings;
  const left = () => budget.getRemainingTimeInMillis() - deadlineMarginMs;
  const timed = { budget: { getRemainingTimeInMillis: left }, ...options };
  if (!gone.hasStore) return connections.broadcast(ids, data, timed);
  const report = await connections.broadcast(ids, data, { ...timed, results: options.results || "unsent" });
  const sendAgain = (id: string) => connections.post(id, data, timed);
  const settled = await gone.settleAll(report, endpoint, sendAgain, budget, timed);
  if (options.results) return settled;
  const { results: _, ...counts } = settled;
  return counts;
}
