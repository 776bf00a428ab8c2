import type {
  BroadcastOptions,
  BroadcastReport,
  BroadcastResult,
  ConnectionsError,
  PostOutcome,
} from "./connections.ts";
import { Recipients } from "./recipients.ts";

/** ms before the budget's end that nobody more is sent to, and then until those under way are given up. */
const GRACE_MS = 300;

/** The longest delay that setTimeout keeps. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/** What became of one recipient; `undefined`: nothing yet, so it remains. */
export type SendOutcome = PostOutcome | ConnectionsError | undefined;

/** How an implementation of the port sends to one. */
export interface Sender {
  /** How many are under way at a time. */
  readonly concurrency: number;
  /** Never rejects. */
  send(connectionId: string): SendOutcome | Promise<SendOutcome>;
  /** The time is over: what is under way is of no use any more. */
  cancel?(): void;
}

/** What every `Connections.broadcast` does, whatever it sends by. */
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
  const left = (budget?.getRemainingTimeInMillis() ?? Number.POSITIVE_INFINITY) - GRACE_MS;
  const timer = left < MAX_DELAY_MS ? setTimeout(stop, Math.max(left, 0)) : undefined;
  try {
    if (left <= 0) broadcast.stop();
    return await broadcast.run();
  } finally {
    signal?.removeEventListener("abort", stop);
    clearTimeout(timer);
  }
}

/** Workers that take from one source, until it ends or they are stopped. */
class Broadcast {
  readonly #sender: Sender;
  readonly #recipients: Recipients;
  /** In the order of the ids; empty where one remains. */
  readonly #results: BroadcastResult[] | undefined;
  readonly #unsentOnly: boolean;
  readonly #counts = { sent: 0, gone: 0, connecting: 0, failed: 0 };
  readonly #underWay = new Map<number, string>();
  readonly #givenUp: Promise<void>;
  #giveUp: () => void = () => {};
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
    this.#givenUp = new Promise((resolve) => {
      this.#giveUp = resolve;
    });
  }

  async run(): Promise<BroadcastReport> {
    const workers = Array.from({ length: this.#sender.concurrency }, () => this.#work());
    await Promise.race([Promise.all(workers), this.#givenUp]);
    clearTimeout(this.#timer);
    this.#closed = true;
    if (this.#failure !== undefined) throw this.#failure.error;
    for (const id of this.#underWay.values()) this.#recipients.putBack(id);
    const remaining = this.#recipients.rest();
    return {
      ...this.#counts,
      ...(remaining === undefined ? {} : { remaining }),
      // `filter` skips what is empty.
      ...(this.#results === undefined ? {} : { results: this.#results.filter(() => true) }),
    };
  }

  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#timer = setTimeout(() => {
      this.#sender.cancel?.();
      this.#giveUp();
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
          this.#note(index, id, sending);
          continue;
        }
        this.#underWay.set(index, id);
        const delivered = await sending;
        if (this.#closed) return;
        this.#underWay.delete(index);
        this.#note(index, id, delivered);
      }
    } catch (error) {
      this.#failure ??= { error };
      this.stop();
    }
  }

  #note(index: number, connectionId: string, delivered: SendOutcome): void {
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
