import { isDeepStrictEqual } from "node:util";
import type { Json } from "../contracts/json.ts";
import { decodeRequestCursor, encodeRequestCursor } from "../contracts/request-cursor.ts";
import {
  cancelRecord,
  claimNewRecord,
  claimRecord,
  finishRecord,
  getClaimableAt,
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
import { OpenRequests } from "../memory/open-requests.ts";
import type { DatabaseFile } from "./database-file.ts";
import {
  describeRequest,
  encodeDetails,
  parseOutputItem,
  parseRequestJson,
  parseWellFormed,
} from "./request-rows.ts";
import { prepareRequestStatements, type RequestStatements } from "./request-statements.ts";
import { RequestTable } from "./request-table.ts";
import { badRowError, decodeText, encodeText, type Row } from "./rows.ts";

const DURABLE = { durable: true };
const NOT_DURABLE = { durable: false };
const FAILED_PER_PAGE = 100;

/** The result of a write, with the record that it stored. */
interface Written<Value> {
  readonly value: Value;
  readonly record?: RequestRecord;
}

/** Requests in a SQLite database. Each call is atomic, so a transition may read before it writes. */
export class SqliteRequests implements RequestStore {
  readonly #file: DatabaseFile;
  readonly #now: () => number;
  readonly #table: RequestTable;
  readonly #statements: RequestStatements;
  /** In memory, because only this process changes the file. It follows the commits. */
  readonly #open = new OpenRequests();

  constructor(file: DatabaseFile, now: () => number) {
    this.#file = file;
    this.#now = now;
    this.#statements = prepareRequestStatements(file.database);
    this.#table = new RequestTable(this.#statements, now);
    file.read(() => {
      // The file belongs to one process at a time, so the workers of an earlier one are dead.
      this.#statements.expireLeases.run();
      for (const row of this.#statements.openRequests.iterate()) this.#load(row);
    });
  }

  async create(request: NewRequest, _budget?: TimeBudget, claim?: FirstClaim): Promise<CreatedRequest> {
    // Encoded now, before the caller can change the input; and an input that is not JSON fails this call alone.
    const pending = newRecord(request);
    const claimed = claimNewRecord(pending, claim);
    const record = claimed ?? pending;
    const texts = { input: JSON.stringify(request.input), details: encodeDetails(record.request) };
    return this.#write((): Written<CreatedRequest> => {
      const stored = this.#table.findStored(request);
      const found = stored && this.#table.unlessExpired(stored);
      if (found === undefined) {
        if (stored !== undefined) this.#statements.removeRequest.run(stored.key);
        this.#table.add(record, texts);
        const value = { request: record.request, ...(claimed && { isClaimed: true }) };
        return { value: { outcome: "created", ...value }, record };
      }
      const outcome = found.fingerprint === record.fingerprint ? "exists" : "conflict";
      return { value: { outcome, request: found.request } };
    }, DURABLE);
  }

  async get(key: RequestKey): Promise<StoredRequest | undefined> {
    return this.#file.read(() => this.#table.find(key)?.request);
  }

  async readResult(key: RequestKey): Promise<{ readonly result: Json } | undefined> {
    return this.#file.read(() => {
      const row = this.#table.find(key);
      if (row?.request.state !== "COMPLETED") return undefined;
      return { result: parseRequestJson(this.#statements.result.get(row.key)?.json, "result", key) };
    });
  }

  async list(
    owner: string,
    { after, limit }: { readonly after?: string | undefined; readonly limit: number },
  ): Promise<RequestPage> {
    const start = after === undefined ? { createdAt: Number.MAX_VALUE, id: "" } : decodeRequestCursor(after);
    for (let createdAt = start.createdAt, id = encodeText(start.id); ; ) {
      const rows = this.#file.read(() =>
        this.#statements.requestsOf.all(encodeText(owner), createdAt, id, this.#now(), limit + 1),
      );
      const requests = rows.slice(0, limit).flatMap(parseWellFormed);
      const last = requests.at(-1);
      if (rows.length <= limit) return { requests };
      if (last !== undefined) return { requests, next: encodeRequestCursor(last) };
      // A page of malformed rows has no `next`, but others may follow.
      const skipped = rows[limit - 1]!;
      [createdAt, id] = [Number(skipped.createdAt), String(skipped.id)];
    }
  }

  async countOpen(
    of: { readonly owner: string } | { readonly tenant: string },
    limit: number,
  ): Promise<number> {
    return this.#file.read(() => Math.min(this.#open.count(of), limit));
  }

  async *listDue(now: number): AsyncGenerator<StoredRequest> {
    for (const key of this.#file.read(() => this.#open.due(now))) {
      yield* this.#readWellFormed(key);
    }
  }

  async *listOpen(): AsyncGenerator<StoredRequest> {
    for (const key of this.#file.read(() => this.#open.keys())) {
      for (const request of this.#readWellFormed(key)) if (!isFinal(request.state)) yield request;
    }
  }

  /** Not durable: a power failure ends the worker too, and another one claims the request again. */
  async claim(
    lease: RequestLease,
    claim: { readonly now: number; readonly leaseUntil: number },
  ): Promise<ClaimedRequest | undefined> {
    return this.#write(() => {
      const row = this.#table.find(lease);
      const record = row && claimRecord(row, lease, claim);
      if (row === undefined || record === undefined) return { value: undefined };
      const value = { request: record.request, ...this.#table.readWork(row) };
      this.#table.set(row, record);
      return { value, record };
    }, NOT_DURABLE);
  }

  /** Not durable: after a power failure the lease only ends earlier. */
  async renew(
    lease: RequestLease,
    renewal: { readonly leaseUntil: number; readonly progress?: RequestProgress },
  ): Promise<boolean> {
    const own = structuredClone(renewal);
    return this.#write(() => {
      const row = this.#table.find(lease);
      const record = row && renewRecord(row, lease, own);
      if (row === undefined || record === undefined) return { value: false };
      this.#table.set(row, record);
      return { value: true, record };
    }, NOT_DURABLE);
  }

  async saveCheckpoint(lease: RequestLease, checkpoint: Json): Promise<boolean> {
    const json = JSON.stringify(checkpoint);
    return this.#file.write(() => {
      const row = this.#table.findHeld(lease);
      if (row !== undefined) this.#statements.setCheckpoint.run(row.key, json);
      return row !== undefined;
    }, DURABLE);
  }

  async append(lease: RequestLease, item: OutputItem): Promise<boolean> {
    const { offset, chunks, bytes, at } = item;
    const data = JSON.stringify(item.data);
    return this.#file.write(() => {
      const row = this.#table.findHeld(lease);
      if (row === undefined) return false;
      const last = this.#statements.lastItem.get(row.key);
      if (offset === last?.offset) return isDeepStrictEqual({ ...last }, { offset, chunks, bytes, at, data });
      if (offset !== Number(last?.offset ?? 0) + 1) return false;
      this.#statements.addItem.run(row.key, offset, chunks, bytes, at, data);
      return true;
    }, DURABLE);
  }

  async readOutput(
    key: RequestKey,
    { after, limit }: { readonly after: number; readonly limit: number },
  ): Promise<OutputPage> {
    return this.#file.read(() => {
      const row = this.#table.find(key);
      if (row === undefined) return { head: NO_OUTPUT, items: [], more: false };
      const head = this.#table.readHead(row);
      const rows = this.#statements.items.all(row.key, after, limit);
      const items = rows.map((each) => parseOutputItem(each, key));
      // Offsets are written without gaps, so a missing row was removed by another program.
      const gap = items.some(({ offset }, at) => offset !== after + 1 + at);
      if (gap) throw badRowError(`The output of ${describeRequest(key)}`);
      return { head, items, more: after + items.length < head.offset };
    });
  }

  async finish(lease: RequestLease, outcome: AttemptOutcome, now: number): Promise<boolean> {
    const result = outcome.state === "COMPLETED" ? JSON.stringify(outcome.result) : undefined;
    const own = outcome.state === "COMPLETED" ? { ...outcome, result: null } : structuredClone(outcome);
    return this.#write(() => {
      const row = this.#table.find(lease);
      if (row === undefined) return { value: false };
      const record = finishRecord(row, lease, own, now);
      if (record === undefined) return { value: isFinishedBy(row, lease, own) };
      this.#table.set(row, record);
      if (result !== undefined) this.#statements.addResult.run(row.key, result);
      return { value: true, record };
    }, DURABLE);
  }

  async cancel(
    key: RequestKey,
    at: { readonly now: number; readonly expiresAt: number },
  ): Promise<StoredRequest | undefined> {
    return this.#write(() => {
      const row = this.#table.find(key);
      const record = row && cancelRecord(row, at);
      if (row === undefined || record === undefined) return { value: row?.request };
      this.#table.set(row, record);
      return { value: record.request, record };
    }, DURABLE);
  }

  async *listFailed(): AsyncGenerator<StoredRequest> {
    for (let last = 0; ; ) {
      const rows = this.#file.read(() =>
        this.#statements.failedRequests.all(last, this.#now(), FAILED_PER_PAGE),
      );
      yield* rows.flatMap(parseWellFormed);
      if (rows.length < FAILED_PER_PAGE) return;
      last = Number(rows.at(-1)?.key);
    }
  }

  async redrive(key: RequestKey, now: number): Promise<StoredRequest | undefined> {
    return this.#write(() => {
      const row = this.#table.find(key);
      const record = row && redriveRecord(row, now);
      if (row === undefined || record === undefined) return { value: undefined };
      this.#table.set(row, record);
      return { value: record.request, record };
    }, DURABLE);
  }

  /** Updates the index once the work is committed. */
  async #write<Value>(work: () => Written<Value>, options: { readonly durable: boolean }): Promise<Value> {
    const { value, record } = await this.#file.write(work, options);
    if (record !== undefined) this.#index(record.request, getClaimableAt(record.request));
    return value;
  }

  #index(request: StoredRequest, claimableAt: number): void {
    if (isFinal(request.state)) this.#open.delete(request);
    else this.#open.set(request, claimableAt, this.#now());
  }

  /** Leaves malformed rows out: their requests reject each call. */
  #load(row: Row): void {
    const [owner, id, tenant] = [row.owner, row.id, row.tenant].map((text) => decodeText(String(text)));
    if (owner === undefined || id === undefined || tenant === undefined) return;
    this.#index(
      { ...row, owner, id, tenant } as unknown as StoredRequest,
      Number(row.leaseUntil ?? row.dueAt),
    );
  }

  #readWellFormed(key: RequestKey): StoredRequest[] {
    const row = this.#file.read(() =>
      this.#statements.request.get(encodeText(key.owner), encodeText(key.id)),
    );
    return row === undefined ? [] : parseWellFormed(row);
  }
}
