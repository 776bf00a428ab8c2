import { holdsLease, NO_OUTPUT, type RequestRecord } from "../contracts/request-transitions.ts";
import type { ClaimedRequest, OutputHead, RequestKey, RequestLease } from "../contracts/requests.ts";
import { parseRequestJson, parseRequestRow, type RequestRow } from "./request-rows.ts";
import type { RequestStatements } from "./request-statements.ts";
import { encodeText } from "./rows.ts";

/** Creates between two removals of expired requests. Removing them in batches costs less than one statement per create. */
const CREATES_PER_SWEEP = 16;
/** More than creates add between two sweeps. */
const REMOVED_PER_SWEEP = 4 * CREATES_PER_SWEEP;

/** The rows of the requests. Its methods run within a transaction, or read only. */
export class RequestTable {
  readonly #statements: RequestStatements;
  readonly #now: () => number;
  #creates = 0;

  constructor(statements: RequestStatements, now: () => number) {
    this.#statements = statements;
    this.#now = now;
  }

  /** @throws {StoreError} BAD_ROW */
  find(key: RequestKey): RequestRow | undefined {
    const stored = this.findStored(key);
    return stored && this.unlessExpired(stored);
  }

  /** Finds a row that may have expired. */
  findStored(key: RequestKey): RequestRow | undefined {
    const row = this.#statements.request.get(encodeText(key.owner), encodeText(key.id));
    return row && parseRequestRow(row, key);
  }

  /** Returns no row when it has expired. */
  unlessExpired(row: RequestRow): RequestRow | undefined {
    return row.expiresAt !== undefined && row.expiresAt <= this.#now() ? undefined : row;
  }

  /** Returns no row when the token is not valid. */
  findHeld(lease: RequestLease): RequestRow | undefined {
    const row = this.find(lease);
    return row !== undefined && holdsLease(row, lease) ? row : undefined;
  }

  /** Reads everything that a worker needs. */
  readWork({ key, request }: RequestRow): Omit<ClaimedRequest, "request"> {
    const { input, checkpoint = null } = this.#statements.input.get(key) ?? {};
    return {
      input: parseRequestJson(input, "input", request),
      checkpoint: checkpoint === null ? undefined : parseRequestJson(checkpoint, "checkpoint", request),
      output: this.readHead({ key, request }),
    };
  }

  readHead({ key }: Pick<RequestRow, "key" | "request">): OutputHead {
    const { offset, chunks, bytes } = this.#statements.lastItem.get(key) ?? NO_OUTPUT;
    // The table checks the types.
    return { offset: Number(offset), chunks: Number(chunks), bytes: Number(bytes) };
  }

  /** Adds a row. Sometimes removes expired ones, too. */
  add(
    { request, fingerprint, token }: RequestRecord,
    texts: { readonly input: string; readonly details: string },
  ): void {
    const { owner, id, tenant, priority, createdAt, state, attempt, updatedAt, dueAt, leaseUntil } = request;
    this.#sweep();
    const { lastInsertRowid } = this.#statements.addRequest.run(
      ...[encodeText(owner), encodeText(id), encodeText(tenant), priority, createdAt, texts.details],
      ...[fingerprint, state, attempt, updatedAt, dueAt, leaseUntil ?? null, encodeOptional(token)],
    );
    this.#statements.addInput.run(lastInsertRowid, texts.input);
  }

  #sweep(): void {
    if (++this.#creates % CREATES_PER_SWEEP !== 0) return;
    this.#statements.removeExpired.run(this.#now(), REMOVED_PER_SWEEP);
  }

  /** Changes a row, and removes the payloads that no worker can need. */
  set({ key }: RequestRow, { request, token, expiresAt }: RequestRecord): void {
    const { state, attempt, updatedAt, dueAt, leaseUntil, progress, failure } = request;
    this.#statements.setRequest.run(
      ...[key, state, attempt, updatedAt, dueAt, leaseUntil ?? null, encodeOptional(token)],
      ...[encodeOptional(progress), encodeOptional(failure), expiresAt ?? null],
    );
    // A FAILED request may be redriven.
    if (state !== "COMPLETED" && state !== "CANCELLED") return;
    this.#statements.removeInput.run(key);
    this.#statements.removeCheckpoint.run(key);
  }
}

function encodeOptional(value: unknown): string | null {
  return value === undefined ? null : JSON.stringify(value);
}
