import { fingerprintRequest } from "./request-fingerprint.ts";
import type {
  AttemptOutcome,
  FirstClaim,
  NewRequest,
  OutputHead,
  RequestLease,
  RequestProgress,
  RequestState,
  StoredRequest,
} from "./requests.ts";

/** The row of a request in a store whose calls are atomic, so that a transition may read before it writes. */
export interface RequestRecord {
  readonly request: StoredRequest;
  /** The fingerprint of the action and the input. */
  readonly fingerprint: string;
  /** The token of the last claim. It is valid while the request is PROCESSING. */
  readonly token?: string;
  /** ms since the epoch. A request that is not final does not expire. */
  readonly expiresAt?: number;
}

/** The end of an empty output. */
export const NO_OUTPUT: OutputHead = { offset: 0, chunks: 0, bytes: 0 };

type Changes = Pick<StoredRequest, "state" | "updatedAt"> & Partial<StoredRequest>;

export function isFinal(state: RequestState): boolean {
  return state === "COMPLETED" || state === "FAILED" || state === "CANCELLED";
}

/** Returns the time from which a worker may claim a request that is not final. */
export function getClaimableAt({ state, dueAt, leaseUntil }: StoredRequest): number {
  return state === "PROCESSING" ? (leaseUntil ?? dueAt) : dueAt;
}

export function isClaimable(request: StoredRequest, now: number): boolean {
  return !isFinal(request.state) && getClaimableAt(request) <= now;
}

export function newRecord({ input, ...request }: NewRequest): RequestRecord {
  const { action, createdAt } = request;
  return {
    request: { ...request, state: "PENDING", attempt: 0, updatedAt: createdAt },
    fingerprint: fingerprintRequest({ action, input }),
  };
}

/** Returns the record of a new request with its first claim; `undefined` when it is not due yet, or nobody claims it. */
export function claimNewRecord(
  record: RequestRecord,
  claim: FirstClaim | undefined,
): RequestRecord | undefined {
  if (claim === undefined) return undefined;
  const { owner, id, createdAt } = record.request;
  const { token, leaseUntil } = claim;
  return claimRecord(record, { owner, id, token }, { now: createdAt, leaseUntil });
}

export function holdsLease({ request, token }: RequestRecord, lease: RequestLease): boolean {
  return request.state === "PROCESSING" && token === lease.token;
}

/** Returns `undefined` when the request cannot be claimed. A repeated claim counts no attempt. */
export function claimRecord(
  record: RequestRecord,
  lease: RequestLease,
  { now, leaseUntil }: { readonly now: number; readonly leaseUntil: number },
): RequestRecord | undefined {
  const { request } = record;
  if (holdsLease(record, lease)) return { ...record, request: { ...request, leaseUntil } };
  if (!isClaimable(request, now)) return undefined;
  const attempt = request.attempt + 1;
  const claimed = change(request, { state: "PROCESSING", updatedAt: now, attempt, leaseUntil });
  return { ...record, request: claimed, token: lease.token };
}

/** Returns `undefined` when the token is not valid. */
export function renewRecord(
  record: RequestRecord,
  lease: RequestLease,
  { leaseUntil, progress }: { readonly leaseUntil: number; readonly progress?: RequestProgress },
): RequestRecord | undefined {
  if (!holdsLease(record, lease)) return undefined;
  const reported = progress === undefined ? {} : { progress };
  return { ...record, request: { ...record.request, leaseUntil, ...reported } };
}

/** Returns whether the same worker has ended its attempt in this way before. */
export function isFinishedBy(
  { request, token }: RequestRecord,
  lease: RequestLease,
  { state }: AttemptOutcome,
): boolean {
  return token === lease.token && request.state === state;
}

/** Returns `undefined` when the token is not valid. */
export function finishRecord(
  record: RequestRecord,
  lease: RequestLease,
  outcome: AttemptOutcome,
  now: number,
): RequestRecord | undefined {
  if (!holdsLease(record, lease)) return undefined;
  const { request } = record;
  const { state, progress } = outcome;
  const changes = { state, updatedAt: now, ...(progress && { progress }) };
  switch (outcome.state) {
    case "COMPLETED":
      return { ...record, request: change(request, changes), expiresAt: outcome.expiresAt };
    case "FAILED": {
      const { failure, expiresAt } = outcome;
      return { ...record, request: change(request, { ...changes, failure }), expiresAt };
    }
    case "RETRYING": {
      const { failure, dueAt } = outcome;
      return { ...record, request: change(request, { ...changes, failure, dueAt }) };
    }
    case "PENDING":
      return { ...record, request: change(request, { ...changes, attempt: request.attempt - 1 }) };
  }
}

/** Returns `undefined` when the request is final. */
export function cancelRecord(
  record: RequestRecord,
  { now, expiresAt }: { readonly now: number; readonly expiresAt: number },
): RequestRecord | undefined {
  if (isFinal(record.request.state)) return undefined;
  return {
    ...record,
    request: change(record.request, { state: "CANCELLED", updatedAt: now }),
    expiresAt,
  };
}

/** Returns `undefined` when the request is not FAILED. */
export function redriveRecord(
  { token: _token, expiresAt: _expiresAt, ...record }: RequestRecord,
  now: number,
): RequestRecord | undefined {
  if (record.request.state !== "FAILED") return undefined;
  return { ...record, request: change(record.request, { state: "PENDING", updatedAt: now, attempt: 0 }) };
}

/** Changes the state, and drops the fields of the previous one. */
function change({ leaseUntil, failure, ...request }: StoredRequest, changes: Changes): StoredRequest {
  return { ...request, ...changes };
}
