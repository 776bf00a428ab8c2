import type {
  BroadcastOptions,
  BroadcastReport,
  BroadcastResult,
  ConnectionsError,
  PostOutcome,
} from "./connections.ts";
import { Recipients } from "./recipients.ts";

/** Stops sending this many ms before the budget ends, then waits as long for the sends in progress. */
const GRACE_MS = 300;

/** The longest delay of `setTimeout`. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/** The outcome for one recipient; `undefined`: not sent, so it remains. */
export type SendOutcome = PostOutcome | ConnectionsError | undefined;

/** Sends to one connection, for an implementation of `Connections`. */
export interface Sender {
  /** The maximum number of sends in progress. */
  readonly concurrency: number;
  /** Sends to one connection. Must not reject. */
  send(connectionId: string): SendOutcome | Promise<SendOutcome>;
  /** Cancels the sends in progress, when time is over. */
  cancel?(): void;
}

/**
 * Runs a broadcast, for an implementation of `Connections.broadcast`. Sends to many connections in parallel, and stops at
 * the signal or near the end of the budget; the report then has the remaining ids.
 * @throws the signal's reason if it is aborted before the call, and errors of the source of ids
 * @example
 * return runBroadcast({ concurrency: 50, send: (id) => this.post(id, data) }, ids, options);
 */
export async function runBroadcast(
  sender: Sender,
  ids: Iterable<string> | AsyncIterable<string>,
  options: BroadcastOptions = {},
): Promise<BroadcastReport> {
  const { signal, budget } = options;
  signal?.throwIfAborted();
  const broadcast = new Broadcast(sender, ids, options.results);
  const stop = () => broadcast.stop();
  signal?.addEventListener("abort", stop, { once: true });
  const remainingMs = (budget?.getRemainingTimeInMillis() ?? Number.POSITIVE_INFINITY) - GRACE_MS;
  const timer = remainingMs < MAX_DELAY_MS ? setTimeout(stop, Math.max(remainingMs, 0)) : undefined;
  try {
    if (remainingMs <= 0) broadcast.stop();
    return await broadcast.run();
  } finally {
    signal?.removeEventListener("abort", stop);
    clearTimeout(timer);
  }
}

/** Workers that take ids from one source, until it ends or they are stopped. */
class Broadcast {
  readonly #sender: Sender;
  readonly #recipients: Recipients;
  /** In the order of the ids, with holes for those that remain. */
  readonly #results: BroadcastResult[] | undefined;
  readonly #unsentOnly: boolean;
  readonly #counts = { sent: 0, gone: 0, connecting: 0, failed: 0 };
  readonly #inProgress = new Map<number, string>();
  readonly #abandoned: Promise<void>;
  #abandon: () => void = () => {};
  #taken = 0;
  #stopped = false;
  #closed = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failure: { readonly error: unknown } | undefined;

  constructor(
    sender: Sender,
    ids: Iterable<string> | AsyncIterable<string>,
    results: BroadcastOptions["results"],
  ) {
    this.#sender = sender;
    this.#recipients = new Recipients(ids);
    this.#results = results ? [] : undefined;
    this.#unsentOnly = results === "unsent";
    this.#abandoned = new Promise((resolve) => {
      this.#abandon = resolve;
    });
  }

  async run(): Promise<BroadcastReport> {
    const workers = Array.from({ length: this.#sender.concurrency }, () => this.#work());
    await Promise.race([Promise.all(workers), this.#abandoned]);
    clearTimeout(this.#timer);
    this.#closed = true;
    if (this.#failure !== undefined) throw this.#failure.error;
    for (const id of this.#inProgress.values()) this.#recipients.putBack(id);
    const remaining = this.#recipients.rest();
    return {
      ...this.#counts,
      ...(remaining === undefined ? {} : { remaining }),
      // `filter` skips the holes.
      ...(this.#results === undefined ? {} : { results: this.#results.filter(() => true) }),
    };
  }

  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#timer = setTimeout(() => {
      this.#sender.cancel?.();
      this.#abandon();
    }, GRACE_MS);
  }

  async #work(): Promise<void> {
    try {
      while (!this.#stopped) {
        const taken = this.#recipients.take();
        const id = typeof taken === "object" ? await taken : taken;
        if (id === undefined) return;
        if (this.#stopped) return this.#recipients.putBack(id);
        const index = this.#taken++;
        const sending = this.#sender.send(id);
        if (typeof sending === "string" || !(sending instanceof Promise)) {
          this.#record(index, id, sending);
          continue;
        }
        this.#inProgress.set(index, id);
        const delivered = await sending;
        if (this.#closed) return;
        this.#inProgress.delete(index);
        this.#record(index, id, delivered);
      }
    } catch (error) {
      this.#failure ??= { error };
      this.stop();
    }
  }

  #record(index: number, connectionId: string, delivered: SendOutcome): void {
    if (delivered === undefined) {
      this.#recipients.putBack(connectionId);
      return;
    }
    this.#counts[typeof delivered === "string" ? delivered : "failed"]++;
    if (this.#results === undefined || (this.#unsentOnly && delivered === "sent")) return;
    this.#results[index] =
      typeof delivered === "string"
        ? { connectionId, outcome: delivered }
        : { connectionId, outcome: "failed", error: delivered };
  }
}
