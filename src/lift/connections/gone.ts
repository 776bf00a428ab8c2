import {
  type BroadcastOptions,
  type BroadcastReport,
  type BroadcastResult,
  ConnectionsError,
  type PostOutcome,
  runBroadcast,
} from "../../apigw/index.ts";
import type { ConnectionStore, TimeBudget } from "../../store/index.ts";
import { type Logger, logSafely } from "../logger.ts";
import { mayBeConnecting } from "./connection-age.ts";

/**
 * A row this young, in ms, may be there before its `$connect` has finished: posts answer gone until then. It is
 * more than `$connect` can take, and what two machines' clocks differ by.
 */
const YOUNG_ROW_MS = 5 * 60_000;

/** Connections found gone by one broadcast that are settled at a time. */
const CONCURRENCY = 16;

/** Removes the rows of connections that sends find gone: those whose `$disconnect` never came. */
export class GoneConnections {
  readonly #store: ConnectionStore | undefined;
  readonly #logger: Logger;
  readonly #now: () => number;

  constructor(store: ConnectionStore | undefined, logger: Logger, now: () => number) {
    this.#store = store;
    this.#logger = logger;
    this.#now = now;
  }

  get hasStore(): boolean {
    return this.#store !== undefined;
  }

  /**
   * What has become of a connection that a send found gone. A row whose connection has ended is removed; while it
   * is young `sendAgain` decides. A store that fails changes nothing. Rejects with what `sendAgain` rejects with.
   * @param endpoint where it was sent to: the row of another API's connection, in a table that both use, stays
   */
  async settle(
    connectionId: string,
    endpoint: string,
    sendAgain: () => Promise<PostOutcome>,
    budget: TimeBudget,
  ): Promise<PostOutcome> {
    if (!(await this.#mayBeConnecting(connectionId, endpoint, budget))) return "gone";
    const outcome = await sendAgain();
    return outcome === "gone" ? "connecting" : outcome;
  }

  /** `settle` for all that a broadcast found gone; those that there is no time for stay as they were found. */
  async settleAll(
    report: BroadcastReport,
    endpoint: string,
    sendAgain: (connectionId: string) => Promise<PostOutcome>,
    budget: TimeBudget,
    options: BroadcastOptions,
  ): Promise<BroadcastReport> {
    const gone = (report.results ?? []).filter(({ outcome }) => outcome === "gone");
    if (gone.length === 0 || options.signal?.aborted) return report;
    const settle = (id: string) => this.settle(id, endpoint, () => sendAgain(id), budget).catch(toFailure);
    const ids = gone.map(({ connectionId }) => connectionId);
    const { results = [], ...settled } = await runBroadcast({ concurrency: CONCURRENCY, send: settle }, ids, {
      ...options,
      results: true,
    });
    return {
      ...report,
      sent: report.sent + settled.sent,
      gone: report.gone - results.length + settled.gone,
      connecting: report.connecting + settled.connecting,
      failed: report.failed + settled.failed,
      results: replaceGone(report.results ?? [], results),
    };
  }

  async #mayBeConnecting(connectionId: string, endpoint: string, budget: TimeBudget): Promise<boolean> {
    try {
      const row = await this.#store?.get(connectionId, budget);
      if (row === undefined || row.endpoint !== endpoint) return false;
      if (mayBeConnecting(row.connectedAt, this.#now(), YOUNG_ROW_MS)) return true;
      // Its $disconnect may be on its way, and sees the connection as it was.
      await this.#store?.delete(connectionId, budget, { keep: true });
    } catch (error) {
      logSafely(this.#logger, "warn", "The row of a gone connection was not removed", { error });
    }
    return false;
  }
}

function toFailure(error: unknown): ConnectionsError | undefined {
  return error instanceof ConnectionsError ? error : undefined;
}

function replaceGone(all: readonly BroadcastResult[], by: readonly BroadcastResult[]): BroadcastResult[] {
  const found = new Map(by.map((result) => [result.connectionId, result]));
  return all.map((result) =>
    result.outcome === "gone" ? (found.get(result.connectionId) ?? result) : result,
  );
}
