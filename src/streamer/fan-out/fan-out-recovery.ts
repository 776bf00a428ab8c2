import { KeyedQueue } from "../../internal/keyed-queue.ts";
import { Semaphore } from "../../internal/semaphore.ts";
import { LiftError } from "../../lift/index.ts";
import type { ChannelHistory, PendingFanOut, TableStreamHistory, TimeBudget } from "../../store/index.ts";
import { fanOutStored } from "../actions/publish.ts";
import { type Check, checkOptions, integer } from "../check-options.ts";
import type { Core, Scope } from "../core.ts";
import { fromStore, log } from "./errors.ts";

/** What a table's stream hands to a function, as far as it is read. */
export interface TableStreamEvent {
  readonly Records: readonly {
    readonly dynamodb?: { readonly NewImage?: object; readonly SequenceNumber?: string };
  }[];
}

/** The records that are to come again; the service goes on from the first. */
export interface FanOutReport {
  readonly batchItemFailures: { itemIdentifier: string }[];
}

/** A Lambda handler for the stream of the table that messages are in. */
export type FanOutHandler = (event: TableStreamEvent, context: TimeBudget) => Promise<FanOutReport>;

export interface FanOutOptions {
  /**
   * ms from a message's publication on that it is left to its publisher; longer than a fan-out to the largest channel
   * takes, or some are sent twice. Default 3,000; 0 to 60,000.
   */
  readonly graceMs?: number;
}

/** One record of the stream. */
interface Told {
  readonly sequenceNumber: string;
  readonly stored: PendingFanOut;
}

const CHECKS: { readonly [Name in keyof Required<FanOutOptions>]: Check } = { graceMs: integer(0, 60_000) };

/** Channels that are looked after at a time. */
const CONCURRENCY = 16;

/** With less time than this, in ms, nothing is begun. */
export const LEAST_MS = 1_000;

/**
 * Fans out what a publisher has stored and left, because it died or ran out of time.
 *
 * Nobody claims a message: whether its publisher is still at it a claim would not tell either, and it would cost a
 * write. Who is sent it twice gets the same id and position twice, which a client takes once.
 * @throws {LiftError} INVALID_OPTION, also where the store has no stream
 */
export function fanOutHandler(
  core: Core,
  scopeOf: (context: TimeBudget) => Scope,
  options: FanOutOptions,
): FanOutHandler {
  checkOptions(options, CHECKS);
  const { graceMs = 3_000 } = options;
  const { history } = core.store;
  if (!isStreamed(history)) {
    throw new LiftError("INVALID_OPTION", {
      message: "The store has no stream: resume() goes on with what was left",
    });
  }
  return async ({ Records }, context) => {
    const scope = scopeOf(context);
    const [turns, slots] = [new KeyedQueue(), new Semaphore(CONCURRENCY)];
    const work: Promise<string | undefined>[] = [];
    for (const { sequenceNumber, stored } of toldBy(Records, history, scope)) {
      const isDue = await untilDue(stored.message.at + graceMs - core.now(), graceMs, context);
      const finish = () => slots.use(() => finishLeft(stored, history, scope, core));
      // A channel's messages one after the other.
      const finished = isDue ? turns.run(stored.channel, finish) : Promise.resolve(false);
      work.push(finished.then((done) => (done ? undefined : sequenceNumber)));
    }
    const failed = (await Promise.all(work)).filter((it) => it !== undefined);
    return { batchItemFailures: failed.map((itemIdentifier) => ({ itemIdentifier })) };
  };
}

/** What can't be read now can't be read later: it is told to the log, and holds up nothing behind it. */
function toldBy(
  records: TableStreamEvent["Records"],
  history: TableStreamHistory,
  { logger }: Scope,
): Told[] {
  return records.flatMap(({ dynamodb: { NewImage, SequenceNumber: sequenceNumber = "" } = {} }) => {
    try {
      const stored = NewImage && history.parseTableStreamImage(NewImage);
      return stored === undefined ? [] : [{ sequenceNumber, stored }];
    } catch (error) {
      log(logger, "error", "A record of the stream was not understood", { sequenceNumber, error });
      return [];
    }
  });
}

/** Resolves to `false`, at once, when the time would be over by then. */
async function untilDue(ms: number, graceMs: number, context: TimeBudget): Promise<boolean> {
  // A clock that is behind the publisher's must not make it wait for longer.
  const wait = Math.min(ms, graceMs);
  if (wait <= 0) return true;
  if (context.getRemainingTimeInMillis() - wait < LEAST_MS) return false;
  await new Promise((resolve) => setTimeout(resolve, wait));
  return true;
}

/** Resolves to whether everyone has been sent it. */
async function finishLeft(
  { channel, message: { offset, id } }: PendingFanOut,
  history: TableStreamHistory,
  scope: Scope,
  core: Core,
): Promise<boolean> {
  if ((scope.budget?.getRemainingTimeInMillis() ?? LEAST_MS) < LEAST_MS) return false;
  try {
    const left = await fromStore(history.getPendingFanOut(channel, offset, scope.budget));
    if (left === undefined) return true;
    log(scope.logger, "warn", "A message was left by its publisher: it is fanned out now", { messageId: id });
    return await fanOutStored(channel, left, scope, core, left.cursor);
  } catch (error) {
    log(scope.logger, "error", "Whether a message was left is not known", { messageId: id, error });
    return false;
  }
}

export function isStreamed(history: ChannelHistory): history is TableStreamHistory {
  return "parseTableStreamImage" in history && "getPendingFanOut" in history;
}
