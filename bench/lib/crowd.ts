/** Simulations of many clients, second by second. They need no sockets, and give the same result in each run. */
import { countPages, SENDER } from "../../src/cli/cost/streamer.ts";
import { toSendMs } from "../../src/cli/cost/work.ts";

/** The client's `reconnectBaseMs` and `reconnectMaxMs`, with full jitter. */
const BACKOFF = { baseSeconds: 0.5, maxSeconds: 30 };
/** The first failure with the longest delay. */
const LAST_STEP = Math.ceil(Math.log2(BACKOFF.maxSeconds / BACKOFF.baseSeconds)) + 1;

export interface Reconnected {
  /** Seconds until all are connected; `undefined` if some still wait after `maxSeconds`. */
  readonly seconds: number | undefined;
  /** Attempts for each client. */
  readonly attempts: number;
}

/** Drops all connections at once. The service accepts so many a second, and refuses the others, which try again. */
export function reconnect(clients: number, acceptedPerSecond: number, maxSeconds: number): Reconnected {
  // Clients that try in a second, by the number of their failures. All try within half a second of the first drop.
  const due = Array.from(
    { length: maxSeconds + BACKOFF.maxSeconds + 1 },
    () => new Float64Array(LAST_STEP + 1),
  );
  due[0]![1] = clients;
  let [left, attempts] = [clients, 0];
  for (let second = 0; second < maxSeconds; second++) {
    const trying = due[second]!.reduce((sum, each) => sum + each, 0);
    const accepted = Math.min(trying, acceptedPerSecond);
    attempts += trying;
    left -= accepted;
    if (left < 0.5) return { seconds: second + 1, attempts: attempts / clients };
    for (const [failures, count] of due[second]!.entries()) {
      const refused = count * (1 - accepted / Math.max(trying, 1e-9));
      const next = Math.min(failures + 1, LAST_STEP);
      const delay = Math.min(BACKOFF.maxSeconds, BACKOFF.baseSeconds * 2 ** (next - 1));
      // A delay of less than a second ends in the next one.
      const seconds = Math.max(1, Math.round(delay));
      for (let after = 1; after <= seconds; after++) due[second + after]![next]! += refused / seconds;
    }
  }
  return { seconds: undefined, attempts: attempts / clients };
}

/** A DynamoDB call, as the cost model assumes it. */
const CALL_SECONDS = 0.005;
/** The function of the publisher has 29 s, the fan-out function a minute. Neither starts a page in its last second. */
const RUN_SECONDS = { publisher: 28, recovery: 59 };
/** From the end of the publisher's function to the first run of the other one, at the latest: `graceMs` and the batch window. */
const TAKE_OVER_SECONDS = 5;

export interface FanOutRun {
  readonly seconds: number;
  /** Runs of functions. */
  readonly runs: number;
}

/** Sends a message to the members of one channel, page by page, through as many runs of functions as it takes. */
export function fanOut(members: number, memory: number, requestsPerSecond: number): FanOutRun {
  const pages = countPages(members);
  const sendSeconds = Math.max(
    toSendMs(members / pages, SENDER, memory) / 1_000,
    members / pages / requestsPerSecond,
  );
  // Reads the page, sends it, and saves the progress.
  const pageSeconds = CALL_SECONDS + sendSeconds + CALL_SECONDS;
  let [seconds, runs, left] = [0, 1, RUN_SECONDS.publisher];
  for (let page = 0; page < pages; page++) {
    if (left < pageSeconds) {
      seconds += left + (runs === 1 ? TAKE_OVER_SECONDS : 0);
      runs++;
      left = RUN_SECONDS.recovery;
    }
    left -= pageSeconds;
    seconds += pageSeconds;
  }
  return { seconds, runs };
}
