import type { BroadcastOptions, BroadcastReport, MessageData } from "../../apigw/index.ts";
import type { TimeBudget } from "../../store/index.ts";
import type { AppSettings } from "../settings.ts";
import { connectionsAt } from "./by-endpoint.ts";

/** Where a broadcast is sent from. */
interface BroadcastSource {
  /** The endpoint of the API that all recipients are connected to. */
  readonly endpoint: string;
  readonly settings: AppSettings;
  readonly budget: TimeBudget;
}

/** Sends to many connections. Recipients that are gone are settled by their rows; see `GoneConnections`. */
export async function broadcastFrom(
  { endpoint, settings, budget }: BroadcastSource,
  ids: Iterable<string> | AsyncIterable<string>,
  data: MessageData,
  options: BroadcastOptions,
): Promise<BroadcastReport> {
  const { gone, deadlineMarginMs } = settings;
  const connections = connectionsAt(endpoint, settings);
  const remainingMs = () => budget.getRemainingTimeInMillis() - deadlineMarginMs;
  const timed = { budget: { getRemainingTimeInMillis: remainingMs }, ...options };
  if (!gone.hasStore) return connections.broadcast(ids, data, timed);
  const report = await connections.broadcast(ids, data, { ...timed, results: options.results || "unsent" });
  const sendAgain = (id: string) => connections.post(id, data, timed);
  const settled = await gone.settleAll(report, endpoint, sendAgain, budget, timed);
  if (options.results) return settled;
  const { results: _, ...counts } = settled;
  return counts;
}
