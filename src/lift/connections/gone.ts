import {
  type BroadcastOptions,
  type BroadcastReport,
  type BroadcastResult,
  ConnectionsError,
  type PostOutcome,
  runBroadcast,
} from "../../apigw/index.ts";
import { logSafely } from "../../internal/log-safely.ts";
import type { ConnectionStore, TimeBudget } from "../../store/index.ts";
import type { Logger } from "../logger.ts";
import { mayBeConnecting } from "./connection-age.ts";

/**
 * Age in ms up to which a row may precede the end of its `$connect`: posts answer `gone` until then. It exceeds the
 * longest `$connect`, to allow for the difference between two machines' clocks.
 */
const YOUNG_ROW_MS = 5 * 60_000;

/** Gone recipients of one broadcast that are settled at a time. */
const CONCURRENCY = 16;

/** Removes the rows of connections that a send found gone, because their `$disconnect` may never come. */
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
   * Decides whether a connection that a send found gone has closed or is still connecting. If its row is young, it calls
   * `sendAgain`; otherwise it removes the row. A store error changes nothing. Rejects as `sendAgain` does.
   * @param endpoint of the send; a row with another endpoint belongs to another API with the same table, and stays
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

  /** Settles all recipients that a broadcast found gone. When the time runs out, the others remain `gone`. */
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
      // Its $disconnect may still come, and must see the row.
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
