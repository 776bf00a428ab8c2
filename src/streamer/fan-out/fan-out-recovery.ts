import { KeyedQueue } from "../../internal/keyed-queue.ts";
import { logSafely } from "../../internal/log-safely.ts";
import { integer, type OptionChecks } from "../../internal/options.ts";
import { Semaphore } from "../../internal/semaphore.ts";
import type { ChannelHistory, PendingFanOut, TableStreamHistory, TimeBudget } from "../../store/index.ts";
import type { CallContext } from "../call-context.ts";
import { assertOptions, awaitStore, invalidOption } from "../errors.ts";
import { hasTimeToSend, isStreamed, MIN_REMAINING_MS, type StoredFanOut } from "./stored-fan-out.ts";

/** The event that a function receives from a table's stream, as far as it is read. */
export interface TableStreamEvent {
  /** The records of the batch, in order. */
  readonly Records: readonly {
    readonly dynamodb?: { readonly NewImage?: object; readonly SequenceNumber?: string };
  }[];
}

/** Lists the records to deliver again; the service continues from the first one. */
export interface FanOutReport {
  /** The failed records, by their sequence numbers. */
  readonly batchItemFailures: { itemIdentifier: string }[];
}

/** A Lambda handler for the stream of the messages' table. */
export type FanOutHandler = (event: TableStreamEvent, context: TimeBudget) => Promise<FanOutReport>;

/** Options of `streamer.fanOutHandler`. */
export interface FanOutOptions {
  /**
   * ms after a message's publication during which its publisher sends it. Choose longer than a fan-out to the largest
   * channel takes, or some messages are sent twice. Default 3,000; from 0 to 60,000.
   */
  readonly graceMs?: number;
}

/** The collaborators of a fan-out handler. */
interface FanOutRecovery {
  readonly history: ChannelHistory;
  readonly storedFanOut: StoredFanOut;
  readonly createContext: (budget: TimeBudget) => CallContext;
  /** ms since the epoch. */
  readonly now: () => number;
}

/** A message in a record of the table's stream. */
interface StreamedMessage {
  readonly sequenceNumber: string;
  readonly stored: PendingFanOut;
}

const CHECKS: OptionChecks<FanOutOptions> = { graceMs: integer(0, 60_000) };

/** Channels whose messages are sent at the same time. */
const CONCURRENCY = 16;

/**
 * Creates a handler that fans out messages whose publisher died or ran out of time.
 *
 * Handlers do not claim messages. A claim would cost a write, and would not tell whether the publisher still runs. A
 * message that is sent twice has the same ID and position, and clients drop the second one.
 * @throws {LiftError} INVALID_OPTION, also when the store has no table stream
 */
export function createFanOutHandler(recovery: FanOutRecovery, options: FanOutOptions): FanOutHandler {
  assertOptions(options, CHECKS);
  const { graceMs = 3_000 } = options;
  const { history, storedFanOut, createContext, now } = recovery;
  if (!isStreamed(history)) {
    throw invalidOption("`fanOutHandler` requires a store with a table stream; call `resume` instead");
  }
  return async ({ Records }, lambda) => {
    const context = createContext(lambda);
    const [queue, semaphore] = [new KeyedQueue(), new Semaphore(CONCURRENCY)];
    const pending: Promise<string | undefined>[] = [];
    for (const { sequenceNumber, stored } of readRecords(Records, history, context)) {
      const isDue = await waitUntilDue(stored.message.at + graceMs - now(), graceMs, lambda);
      const send = () => semaphore.use(() => sendPending(stored, history, storedFanOut, context));
      // The messages of one channel are sent one after the other.
      const sent = isDue ? queue.run(stored.channel, send) : Promise.resolve(false);
      pending.push(sent.then((isSent) => (isSent ? undefined : sequenceNumber)));
    }
    const failed = (await Promise.all(pending)).filter((sequenceNumber) => sequenceNumber !== undefined);
    return { batchItemFailures: failed.map((itemIdentifier) => ({ itemIdentifier })) };
  };
}

/** Logs and skips unreadable records: a retry could not read them either, and would block the records behind them. */
function readRecords(
  records: TableStreamEvent["Records"],
  history: TableStreamHistory,
  { logger }: CallContext,
): StreamedMessage[] {
  return records.flatMap(({ dynamodb: { NewImage, SequenceNumber: sequenceNumber = "" } = {} }) => {
    try {
      const stored = NewImage && history.parseTableStreamImage(NewImage);
      return stored === undefined ? [] : [{ sequenceNumber, stored }];
    } catch (error) {
      logSafely(logger, "error", "A record of the table stream is unreadable", { sequenceNumber, error });
      return [];
    }
  });
}

/** Resolves to `false`, at once, when the function would run out of time first. */
async function waitUntilDue(ms: number, graceMs: number, lambda: TimeBudget): Promise<boolean> {
  // A clock that is behind the publisher's must not wait longer than the grace period.
  const waitMs = Math.min(ms, graceMs);
  if (waitMs <= 0) return true;
  if (lambda.getRemainingTimeInMillis() - waitMs < MIN_REMAINING_MS) return false;
  await new Promise((resolve) => setTimeout(resolve, waitMs));
  return true;
}

/** Resolves to whether every member has been sent the message. */
async function sendPending(
  { channel, message: { offset, id } }: PendingFanOut,
  history: TableStreamHistory,
  storedFanOut: StoredFanOut,
  context: CallContext,
): Promise<boolean> {
  const { budget, logger } = context;
  if (!hasTimeToSend(budget)) return false;
  try {
    const pending = await awaitStore(history.getPendingFanOut(channel, offset, budget));
    if (pending === undefined) return true;
    logSafely(logger, "warn", "Resuming a fan-out that its publisher did not complete", { messageId: id });
    return await storedFanOut.send(channel, pending, context, pending.cursor);
  } catch (error) {
    logSafely(logger, "error", "A message's fan-out state could not be read", { messageId: id, error });
    return false;
  }
}
