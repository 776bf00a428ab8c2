import { isDeepStrictEqual } from "node:util";
import type { Json } from "../contracts/json.ts";
import { decodeRequestCursor, encodeRequestCursor } from "../contracts/request-cursor.ts";
import {
  cancelRecord,
  claimNewRecord,
  claimRecord,
  finishRecord,
  getClaimableAt,
  holdsLease,
  isFinal,
  isFinishedBy,
  NO_OUTPUT,
  newRecord,
  type RequestRecord,
  redriveRecord,
  renewRecord,
} from "../contracts/request-transitions.ts";
import type {
  AttemptOutcome,
  ClaimedRequest,
  CreatedRequest,
  FirstClaim,
  NewRequest,
  OutputHead,
  OutputItem,
  OutputPage,
  RequestKey,
  RequestLease,
  RequestPage,
  RequestProgress,
  RequestStore,
  StoredRequest,
} from "../contracts/requests.ts";
import type { TimeBudget } from "../contracts/time-budget.ts";
import { frozenCopy } from "./freeze.ts";
import { OpenRequests, requestMapKey } from "./open-requests.ts";
import { OwnerIndex } from "./owner-index.ts";

/** Requests checked on each create. More than one, so that expired ones never outnumber the creates. */
const SWEPT_PER_CREATE = 2;

interface Entry {
  record: RequestRecord;
  /** Absent once no worker can need it. */
  input?: Json;
  checkpoint?: Json;
  result?: Json;
  readonly output: OutputItem[];
}

/** Requests in this process's memory. Each change is made in one turn of the event loop, so it is atomic. */
export class MemoryRequests implements RequestStore {
  readonly #now: () => number;
  readonly #entries = new Map<string, Entry>();
  readonly #owners = new OwnerIndex<Entry>();
  readonly #open = new OpenRequests();
  #sweeper: MapIterator<[string, Entry]> = this.#entries.entries();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Number of stored requests, with those that have expired and are not removed yet. */
  get size(): number {
    return this.#entries.size;
  }

  async create(request: NewRequest, _budget?: TimeBudget, claim?: FirstClaim): Promise<CreatedRequest> {
    this.#sweep();
    const own = frozenCopy(request as NewRequest & { readonly [name: string]: Json });
    const record = newRecord(own);
    const found = this.#find(request);
    if (found !== undefined) {
      const same = found.record.fingerprint === record.fingerprint;
      return { outcome: same ? "exists" : "conflict", request: found.record.request };
    }
    const claimed = claimNewRecord(record, claim);
    const entry: Entry = { record, input: own.input, output: [] };
    this.#entries.set(requestMapKey(own), entry);
    this.#owners.set(own.owner, own.id, entry);
    const stored = this.#set(entry, claimed ?? record);
    return { outcome: "created", request: stored, ...(claimed && { isClaimed: true }) };
  }

  async get(key: RequestKey): Promise<StoredRequest | undefined> {
    return this.#find(key)?.record.request;
  }

  async readResult(key: RequestKey): Promise<{ readonly result: Json } | undefined> {
    const { result } = this.#find(key) ?? {};
    return result === undefined ? undefined : { result };
  }

  async list(
    owner: string,
    { after, limit }: { readonly after?: string | undefined; readonly limit: number },
  ): Promise<RequestPage> {
    const last = after === undefined ? undefined : decodeRequestCursor(after);
    const all = this.#owners
      .list(owner)
      .filter(({ record }) => !this.#isExpired(record))
      .map(({ record }) => record.request)
      .filter((request) => last === undefined || compareNewest(last, request) < 0)
      .sort(compareNewest);
    const requests = all.slice(0, limit);
    return all.length > limit ? { requests, next: encodeRequestCursor(requests.at(-1)!) } : { requests };
  }

  async countOpen(
    of: { readonly owner: string } | { readonly tenant: string },
    limit: number,
  ): Promise<number> {
    return Math.min(this.#open.count(of), limit);
  }

  async *listDue(now: number): AsyncGenerator<StoredRequest> {
    for (const key of this.#open.due(now)) {
      const request = this.#find(key)?.record.request;
      if (request !== undefined) yield request;
    }
  }

  async *listOpen(): AsyncGenerator<StoredRequest> {
    for (const key of this.#open.keys()) {
      const request = this.#find(key)?.record.request;
      if (request !== undefined && !isFinal(request.state)) yield request;
    }
  }

  async claim(
    lease: RequestLease,
    claim: { readonly now: number; readonly leaseUntil: number },
  ): Promise<ClaimedRequest | undefined> {
    const entry = this.#find(lease);
    const record = entry && claimRecord(entry.record, lease, claim);
    if (entry?.input === undefined || record === undefined) return undefined;
    const request = this.#set(entry, record);
    // A handler may change its input, as with a store that parses it.
    const input = structuredClone(entry.input);
    return { request, input, checkpoint: entry.checkpoint, output: headOf(entry) };
  }

  async renew(
    lease: RequestLease,
    {
      leaseUntil,
      progress,
    }: { readonly leaseUntil: number; readonly progress?: RequestProgress | undefined },
  ): Promise<boolean> {
    const entry = this.#find(lease);
    const reported =
      progress === undefined ? {} : { progress: frozenCopy(progress as Json & RequestProgress) };
    const record = entry && renewRecord(entry.record, lease, { leaseUntil, ...reported });
    if (entry === undefined || record === undefined) return false;
    this.#set(entry, record);
    return true;
  }

  async saveCheckpoint(lease: RequestLease, checkpoint: Json): Promise<boolean> {
    const entry = this.#find(lease);
    if (entry === undefined || !holdsLease(entry.record, lease)) return false;
    entry.checkpoint = frozenCopy(checkpoint);
    return true;
  }

  async append(lease: RequestLease, item: OutputItem): Promise<boolean> {
    const entry = this.#find(lease);
    if (entry === undefined || !holdsLease(entry.record, lease)) return false;
    const { output } = entry;
    if (item.offset === output.length) return isDeepStrictEqual(output.at(-1), item);
    if (item.offset !== output.length + 1) return false;
    output.push(frozenCopy(item as Json & OutputItem));
    return true;
  }

  async readOutput(
    key: RequestKey,
    { after, limit }: { readonly after: number; readonly limit: number },
  ): Promise<OutputPage> {
    const entry = this.#find(key);
    if (entry === undefined) return { head: NO_OUTPUT, items: [], more: false };
    const { output } = entry;
    const items = output.slice(after, after + limit);
    return { head: headOf(entry), items, more: after + items.length < output.length };
  }

  async finish(lease: RequestLease, outcome: AttemptOutcome, now: number): Promise<boolean> {
    const entry = this.#find(lease);
    if (entry === undefined) return false;
    const own = frozenCopy(outcome as Json & AttemptOutcome);
    const record = finishRecord(entry.record, lease, own, now);
    if (record === undefined) return isFinishedBy(entry.record, lease, outcome);
    if (own.state === "COMPLETED") entry.result = own.result;
    this.#set(entry, record);
    return true;
  }

  async cancel(
    key: RequestKey,
    at: { readonly now: number; readonly expiresAt: number },
  ): Promise<StoredRequest | undefined> {
    const entry = this.#find(key);
    const record = entry && cancelRecord(entry.record, at);
    if (entry === undefined || record === undefined) return entry?.record.request;
    return this.#set(entry, record);
  }

  async *listFailed(): AsyncGenerator<StoredRequest> {
    for (const { record } of [...this.#entries.values()]) {
      if (record.request.state === "FAILED" && !this.#isExpired(record)) yield record.request;
    }
  }

  async redrive(key: RequestKey, now: number): Promise<StoredRequest | undefined> {
    const entry = this.#find(key);
    const record = entry && redriveRecord(entry.record, now);
    return entry === undefined || record === undefined ? undefined : this.#set(entry, record);
  }

  #find(key: RequestKey): Entry | undefined {
    const entry = this.#entries.get(requestMapKey(key));
    return entry === undefined || this.#isExpired(entry.record) ? undefined : entry;
  }

  #set(entry: Entry, record: RequestRecord): StoredRequest {
    const request = Object.freeze(record.request);
    entry.record = record;
    if (isFinal(request.state)) this.#open.delete(request);
    else this.#open.set(request, getClaimableAt(request), this.#now());
    if (request.state === "COMPLETED" || request.state === "CANCELLED") {
      delete entry.input;
      delete entry.checkpoint;
    }
    return request;
  }

  #isExpired({ expiresAt }: RequestRecord): boolean {
    return expiresAt !== undefined && expiresAt <= this.#now();
  }

  #sweep(): void {
    for (let checked = 0; checked < SWEPT_PER_CREATE; checked++) {
      const next = this.#sweeper.next();
      if (next.done) {
        this.#sweeper = this.#entries.entries();
        return;
      }
      const [, entry] = next.value;
      if (this.#isExpired(entry.record)) this.#remove(entry);
    }
  }

  #remove({ record: { request } }: Entry): void {
    this.#entries.delete(requestMapKey(request));
    this.#owners.delete(request.owner, request.id);
    this.#open.delete(request);
  }
}

function headOf({ output }: Entry): OutputHead {
  const { offset, chunks, bytes } = output.at(-1) ?? NO_OUTPUT;
  return { offset, chunks, bytes };
}

/** Requests of the same time are in the order of their ids, so that a page can begin between them. */
function compareNewest(a: Pick<StoredRequest, "createdAt" | "id">, b: typeof a): number {
  return b.createdAt - a.createdAt || (a.id > b.id ? -1 : Number(a.id < b.id));
}
