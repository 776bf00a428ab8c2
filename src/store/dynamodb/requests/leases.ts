import type { OutputHead, RequestLease } from "../../contracts/requests.ts";
import type { Item } from "../client/errors.ts";
import { REQUEST_ATTRIBUTES as NAMES } from "../tables.ts";
import { partitionKey } from "./keys.ts";
import type { StateRow } from "./state-item.ts";

/** More than the requests that a process works on at once. */
const MAX_LEASES = 10_000;

/** A claimed request, as its worker's process knows it. */
export interface HeldLease {
  row: StateRow;
  /** The last item of output. */
  head: OutputHead;
}

/**
 * The claimed requests of this process. They save reads, and nothing depends on them: a lease that is not here is read from
 * the table.
 */
export class Leases {
  readonly #held = new Map<string, HeldLease>();

  get(lease: RequestLease): HeldLease | undefined {
    return this.#held.get(keyOf(lease));
  }

  set(lease: RequestLease, held: HeldLease): HeldLease {
    const key = keyOf(lease);
    this.#held.delete(key);
    this.#held.set(key, held);
    const [oldest] = this.#held.keys();
    if (this.#held.size > MAX_LEASES && oldest !== undefined) this.#held.delete(oldest);
    return held;
  }

  /** Applies a change that was written. Responses of concurrent writes may arrive in another order than their writes. */
  apply(lease: RequestLease, set: Item, remove: readonly string[]): void {
    const held = this.get(lease);
    if (held === undefined) return;
    const item = { ...held.row.item, ...set };
    for (const name of remove) delete item[name];
    held.row = { ...held.row, item, hasOutput: item[NAMES.output] !== undefined };
  }

  delete(lease: RequestLease): void {
    this.#held.delete(keyOf(lease));
  }
}

function keyOf(lease: RequestLease): string {
  return JSON.stringify([partitionKey(lease), lease.token]);
}
