import type { Json, JsonObject } from "./json.ts";
import type { TimeBudget } from "./time-budget.ts";

/**
 * The state of a request. PENDING: waits for a worker. PROCESSING: a worker has the lease. RETRYING: an attempt failed, and
 * another follows. COMPLETED, FAILED and CANCELLED are final.
 */
export type RequestState = "PENDING" | "PROCESSING" | "RETRYING" | "COMPLETED" | "FAILED" | "CANCELLED";

/** Identifies a request: ids of different owners never collide. */
export interface RequestKey {
  /** The user that the request belongs to: any text of at most 1,024 bytes. */
  readonly owner: string;
  /** 1 to 128 bytes. */
  readonly id: string;
}

/** The connection that made a request. It is sent the request's progress and result without being a watcher. */
export interface Requester {
  /** The connection's id. */
  readonly connectionId: string;
  /** The URL of the @connections API that reaches it. */
  readonly endpoint: string;
}

/** A request to store. */
export interface NewRequest extends RequestKey {
  /** The name of its handler. */
  readonly action: string;
  /** The input of its handler. */
  readonly input: Json;
  /** The tenant whose limits it counts against, beside its owner's: any text of at most 1,024 bytes. */
  readonly tenant: string;
  /** The identity that its handler gets. */
  readonly identity: JsonObject;
  /** The connection that made it. */
  readonly requester?: Requester;
  /** An integer; larger ones start first. */
  readonly priority: number;
  /** ms since the epoch. */
  readonly createdAt: number;
  /** ms since the epoch: it does not start earlier. */
  readonly dueAt: number;
}

/** Why an attempt failed, as the client receives it. */
export interface RequestFailure {
  /** The error's code. */
  readonly code: string;
  /** Says what failed. */
  readonly message: string;
  /** More about the failure, such as the issues of an invalid input. */
  readonly details?: Json;
}

/** How far a request is. */
export interface RequestProgress {
  /** 0 to 100. */
  readonly percentage: number;
  /** Says what the handler does now. */
  readonly message?: string;
  /** The handler's own data. */
  readonly details?: Json;
}

/** The right to work on a request until it expires. A store writes nothing for a worker whose token is not the request's. */
export interface RequestLease extends RequestKey {
  /** Differs for every claim. */
  readonly token: string;
}

/** A stored request, without its input, checkpoint, output and result. */
export interface StoredRequest extends Omit<NewRequest, "input"> {
  /** The current state. */
  readonly state: RequestState;
  /** Number of claims since it was created or redriven; a hand-over does not count. */
  readonly attempt: number;
  /** ms since the epoch: the last change of its state. */
  readonly updatedAt: number;
  /** While PROCESSING: ms since the epoch. Afterwards another worker may claim it. */
  readonly leaseUntil?: number;
  /** The last stored one. */
  readonly progress?: RequestProgress;
  /** The failure of the last attempt, while RETRYING or FAILED. */
  readonly failure?: RequestFailure;
}

/** A claim by the process that creates a request. */
export interface FirstClaim {
  /** The token of the lease. */
  readonly token: string;
  /** ms since the epoch. */
  readonly leaseUntil: number;
}

/** The result of `create`. */
export interface CreatedRequest {
  /**
   * `created`: it is stored now. `exists`: it was stored before, with the same action and input; the order of an object's
   * keys makes no difference. `conflict`: its id belongs to a request with another action or input; nothing was stored.
   */
  readonly outcome: "created" | "exists" | "conflict";
  /** The stored request; with `conflict` the other one. */
  readonly request: StoredRequest;
  /** Whether the new request is PROCESSING by the given claim. */
  readonly isClaimed?: boolean;
}

/** A claimed request. */
export interface ClaimedRequest {
  /** The request, PROCESSING. */
  readonly request: StoredRequest;
  /** The input of its handler. */
  readonly input: Json;
  /** The last one that an earlier attempt saved. */
  readonly checkpoint: Json | undefined;
  /** The end of the output so far: the worker appends after it. */
  readonly output: OutputHead;
}

/** How an attempt ends. `progress`: the last one, unless `renew` has stored it. */
export type AttemptOutcome = {
  readonly progress?: RequestProgress;
} /** @property expiresAt ms since the epoch: the request, its output and result may be removed then */ & (
  | { readonly state: "COMPLETED"; readonly result: Json; readonly expiresAt: number }
  | { readonly state: "FAILED"; readonly failure: RequestFailure; readonly expiresAt: number }
  /** @property dueAt ms since the epoch: time of the next attempt */
  | { readonly state: "RETRYING"; readonly failure: RequestFailure; readonly dueAt: number }
  /** The worker hands the request over: the attempt goes on elsewhere. */
  | { readonly state: "PENDING" }
);

/** A part of a request's output: the chunks that its handler wrote within a short time. */
export interface OutputItem {
  /** From 1, without gaps. */
  readonly offset: number;
  /** Texts are joined; other values are listed. A take-over stores an item without either. */
  readonly data:
    | { readonly text: string }
    | { readonly values: readonly Json[] }
    | { readonly [none: string]: never };
  /** How many chunks the handler has written so far, those of this item included. */
  readonly chunks: number;
  /** Bytes of JSON of all these chunks. Their limit holds for all attempts together. */
  readonly bytes: number;
  /** ms since the epoch. */
  readonly at: number;
}

/** The end of an output. */
export interface OutputHead {
  /** The offset of the last item; 0: there is none. */
  readonly offset: number;
  /** Chunks written so far. */
  readonly chunks: number;
  /** Bytes of JSON of these chunks. */
  readonly bytes: number;
}

/** A page of a request's output. */
export interface OutputPage {
  /** The end of the whole output. */
  readonly head: OutputHead;
  /** Ascending, without gaps. */
  readonly items: readonly OutputItem[];
  /** There are more items after these. */
  readonly more: boolean;
}

/** A page of an owner's requests, the newest first. */
export interface RequestPage {
  /** At most `limit` requests. */
  readonly requests: readonly StoredRequest[];
  /** Pass it as `after` for the next page. Absent: this is the last page. */
  readonly next?: string;
}

/**
 * Stores requests: work that outlives the connection and the process that accepted it. Every implementation guarantees:
 *
 * - A request is stored once `create` has resolved with `created`, and only once for each key.
 * - Each transition is conditional. A request that has reached a final state stays in it, except by `redrive`.
 * - At any time at most one token is valid for a request. Every call with another one changes nothing: it resolves to
 *   `false`. A claim of a request whose lease has expired ends the earlier worker's right to write, its output included.
 * - An output has no gap and no repetition. `append` stores an item only as the next one.
 * - Reads see every write that was acknowledged before. Lists may lag by seconds, and may list a request that has ended
 *   meanwhile.
 * - Every call may be repeated after a failure: `create` then answers `exists`, and a repeated write of the same worker
 *   succeeds again.
 */
export interface RequestStore {
  /**
   * Stores a request, unless its owner has one with this id that has not expired.
   * @param claim also claims the new request, if it is due when it is created: one write in place of two. Stores without
   * `listOpen` ignore it
   */
  create(request: NewRequest, budget?: TimeBudget, claim?: FirstClaim): Promise<CreatedRequest>;

  /** Reads a request. @returns `undefined` when there is none, or it has expired */
  get(key: RequestKey, budget?: TimeBudget): Promise<StoredRequest | undefined>;

  /** Reads a result. @returns `undefined` unless the request is COMPLETED */
  readResult(key: RequestKey, budget?: TimeBudget): Promise<{ readonly result: Json } | undefined>;

  /**
   * Lists an owner's requests by `createdAt`, the newest first.
   * @param page `after`: the `next` of the page before; `limit`: 1 to 100
   * @throws {StoreError} STORE_REFUSED: `after` is not the `next` of a page
   */
  list(
    owner: string,
    page: { readonly after?: string | undefined; readonly limit: number },
    budget?: TimeBudget,
  ): Promise<RequestPage>;

  /**
   * Counts requests that are not final, up to `limit`.
   * @param of the owner, or the tenant, whose requests are counted
   */
  countOpen(
    of: { readonly owner: string } | { readonly tenant: string },
    limit: number,
    budget?: TimeBudget,
  ): Promise<number>;

  /**
   * Lists the requests that a worker may claim: those whose `dueAt`, or while PROCESSING `leaseUntil`, is not after `now`.
   * The highest priority comes first. Within a priority the tenants take turns, so that one with many requests does not delay
   * the others; each tenant's oldest request comes first. Requests may change while they are listed. A malformed one is
   * left out.
   * @param now ms since the epoch
   */
  listDue(now: number): AsyncIterable<StoredRequest>;

  /** Lists the requests that are not final. Optional: only for stores that one process has for itself. */
  listOpen?(): AsyncIterable<StoredRequest>;

  /**
   * Claims a request that is due, for a worker. The worker that has claimed it may repeat the call, which counts no further
   * attempt.
   * @param claim `now` and `leaseUntil` in ms since the epoch
   * @returns `undefined` when it is not due, final, or claimed by another worker whose lease has not expired
   */
  claim(
    lease: RequestLease,
    claim: { readonly now: number; readonly leaseUntil: number },
    budget?: TimeBudget,
  ): Promise<ClaimedRequest | undefined>;

  /**
   * Extends the lease, and stores the progress if there is one. A worker whose lease has expired keeps its token until
   * another one claims the request.
   * @returns whether the token is still valid
   */
  renew(
    lease: RequestLease,
    renewal: { readonly leaseUntil: number; readonly progress?: RequestProgress },
    budget?: TimeBudget,
  ): Promise<boolean>;

  /** Stores a checkpoint, in place of the last one. @returns whether the token is still valid */
  saveCheckpoint(lease: RequestLease, checkpoint: Json, budget?: TimeBudget): Promise<boolean>;

  /**
   * Appends an item to the output. The worker may repeat its last append, with the same item.
   * @returns `false` when the token is not valid any more, or the item is not the next one; then nothing was stored
   */
  append(lease: RequestLease, item: OutputItem, budget?: TimeBudget): Promise<boolean>;

  /**
   * Reads the items after an offset, the oldest first. An output that does not exist, or has expired, is empty.
   * @param page `after`: an offset, or 0; `limit`: 1 to 1,000
   */
  readOutput(
    key: RequestKey,
    page: { readonly after: number; readonly limit: number },
    budget?: TimeBudget,
  ): Promise<OutputPage>;

  /**
   * Ends the attempt. The worker may repeat the call; the first outcome counts.
   * @param now ms since the epoch
   * @returns whether the request has this state by this worker
   */
  finish(lease: RequestLease, outcome: AttemptOutcome, now: number, budget?: TimeBudget): Promise<boolean>;

  /**
   * Cancels a request that is not final. Its worker can write nothing from then on.
   * @param at `now` and `expiresAt` in ms since the epoch
   * @returns the request as it is now, so in another final state when that came first; `undefined` when there is none
   */
  cancel(
    key: RequestKey,
    at: { readonly now: number; readonly expiresAt: number },
    budget?: TimeBudget,
  ): Promise<StoredRequest | undefined>;

  /** Lists FAILED requests, the dead letters, until they expire. */
  listFailed(): AsyncIterable<StoredRequest>;

  /**
   * Makes a FAILED request PENDING again, with its checkpoint and its output, and without attempts.
   * @param now ms since the epoch
   * @returns `undefined` when it is not FAILED
   */
  redrive(key: RequestKey, now: number, budget?: TimeBudget): Promise<StoredRequest | undefined>;
}

/**
 * Stores requests in a table with a stream, so that a function on the stream can start each request in a worker function.
 */
export interface TableStreamRequests extends RequestStore {
  /**
   * Returns the request if the new image of a stream record shows that one waits for a worker.
   * @throws {StoreError} BAD_ROW
   */
  parseTableStreamImage(image: object): StoredRequest | undefined;

  /** @param claim `countFor`: the request's tenant; `countRunning` counts the request until its attempt ends */
  claim(
    lease: RequestLease,
    claim: { readonly now: number; readonly leaseUntil: number; readonly countFor?: string },
    budget?: TimeBudget,
  ): Promise<ClaimedRequest | undefined>;

  /**
   * Counts requests that were claimed with `countFor`, up to `limit`. It may lag by seconds.
   * @param of `tenant`: whose requests are counted, default all; `except`: a request that is not counted
   */
  countRunning(
    of: { readonly tenant?: string | undefined; readonly except?: RequestKey | undefined },
    limit: number,
    budget?: TimeBudget,
  ): Promise<number>;

  /**
   * Lists due requests in the order of `listDue`, without delayed ones, retries, and those that were claimed with
   * `countFor`.
   * @param full tenants whose requests are left out; the caller may add some while it reads
   */
  listWaiting(now: number, full: ReadonlySet<string>): AsyncIterable<StoredRequest>;

  /** Lists the due requests that `listWaiting` leaves out, the oldest first. */
  listOverdue(now: number): AsyncIterable<StoredRequest>;
}

/** The largest result that a store keeps, in bytes of JSON. DynamoDB's limit for an item is 400 KB. */
export const MAX_RESULT_BYTES = 300 * 1_024;

/** The largest checkpoint that a store keeps, in bytes of JSON. */
export const MAX_CHECKPOINT_BYTES = 300 * 1_024;
