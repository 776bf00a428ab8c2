import type { Retry } from "../../../aws/index.ts";
import type { Json } from "../../contracts/json.ts";
import { isFinal, NO_OUTPUT } from "../../contracts/request-transitions.ts";
import type {
  AttemptOutcome,
  ClaimedRequest,
  CreatedRequest,
  NewRequest,
  OutputItem,
  OutputPage,
  RequestKey,
  RequestLease,
  RequestPage,
  RequestProgress,
  StoredRequest,
  TableStreamRequests,
} from "../../contracts/requests.ts";
import type { TimeBudget } from "../../contracts/time-budget.ts";
import type { Item } from "../client/errors.ts";
import type { RetryingClient } from "../client/retrying-client.ts";
import { REQUEST_ATTRIBUTES as NAMES } from "../tables.ts";
import {
  checkpointKey,
  delayedOrder,
  failedOrder,
  inputKey,
  itemKey,
  openOrder,
  openShard,
  partitionKey,
  resultKey,
  runningOrder,
  STATE,
} from "./keys.ts";
import { type HeldLease, Leases } from "./leases.ts";
import { RequestLists } from "./lists.ts";
import { type OutputEnd, type OutputName, RequestOutput } from "./output.ts";
import { type Change, RequestTable, type Written } from "./request-table.ts";
import {
  createBadRowError,
  createItems,
  expiry,
  fits,
  parseState,
  parseUnexpired,
  partItem,
  type StateRow,
  stateKey,
} from "./state-item.ts";

/** The condition of every write of a worker. */
const IS_HELD = "#State = :processing AND #Token = :token";
const STATES: Item = {
  ":pending": { S: "PENDING" },
  ":retrying": { S: "RETRYING" },
  ":processing": { S: "PROCESSING" },
};
const OPEN_NAMES = [NAMES.openShard, NAMES.openOrder];
const EXPIRY_NAMES = [NAMES.goodUntil, NAMES.expiresAt];

/**
 * Long requests in DynamoDB. The state is one small item, and each transition one conditional write to it. Input, checkpoint
 * and result are stored in it while they are small, otherwise in items of their own.
 */
export class DynamoDBRequestStore implements TableStreamRequests {
  readonly #client: RetryingClient;
  readonly #table: RequestTable;
  readonly #output: RequestOutput;
  readonly #lists: RequestLists;
  readonly #leases = new Leases();
  readonly #now: () => number;

  constructor(client: RetryingClient, now: () => number) {
    this.#client = client;
    this.#table = new RequestTable(client);
    this.#output = new RequestOutput(this.#table);
    this.#lists = new RequestLists(this.#table, now);
    this.#now = now;
  }

  async create(request: NewRequest, budget?: TimeBudget): Promise<CreatedRequest> {
    const retry = this.#client.startRetry(budget);
    const { state, input } = createItems(request);
    // First, so that a stored request always has its input.
    if (input !== undefined) await this.#table.put(retry, input);
    const isFree = "attribute_not_exists(#Request) OR #GoodUntil <= :now";
    const { written, item } = await this.#table.putIf(retry, state, isFree, { ":now": number(this.#now()) });
    const stored = parseState(item ?? state);
    const isSame = stored.inputHash === state[NAMES.inputHash]?.S;
    return { outcome: written ? "created" : isSame ? "exists" : "conflict", request: stored.request };
  }

  async get(key: RequestKey, budget?: TimeBudget): Promise<StoredRequest | undefined> {
    return (await this.#read(this.#client.startRetry(budget), key))?.request;
  }

  async readResult(key: RequestKey, budget?: TimeBudget): Promise<{ readonly result: Json } | undefined> {
    const retry = this.#client.startRetry(budget);
    const row = await this.#read(retry, key);
    if (row?.request.state !== "COMPLETED") return undefined;
    return { result: await this.#readPart(retry, row, NAMES.result, resultKey(row.token ?? "")) };
  }

  list(
    owner: string,
    page: { readonly after?: string | undefined; readonly limit: number },
    budget?: TimeBudget,
  ): Promise<RequestPage> {
    return this.#lists.listByOwner(owner, page, budget);
  }

  countOpen(
    of: { readonly owner: string } | { readonly tenant: string },
    limit: number,
    budget?: TimeBudget,
  ): Promise<number> {
    return this.#lists.countOpen(of, limit, budget);
  }

  listDue(now: number): AsyncIterable<StoredRequest> {
    return this.#lists.listDue(now);
  }

  listWaiting(now: number, full: ReadonlySet<string>): AsyncIterable<StoredRequest> {
    return this.#lists.listWaiting(now, full);
  }

  listOverdue(now: number): AsyncIterable<StoredRequest> {
    return this.#lists.listOverdue(now);
  }

  countRunning(
    of: { readonly tenant?: string | undefined; readonly except?: RequestKey | undefined },
    limit: number,
    budget?: TimeBudget,
  ): Promise<number> {
    return this.#lists.countRunning(of, limit, budget);
  }

  parseTableStreamImage(image: object): StoredRequest | undefined {
    const item = image as Item;
    if (item[NAMES.item]?.S !== STATE || item[NAMES.state]?.S !== "PENDING") return undefined;
    return parseState(item).request;
  }

  listFailed(): AsyncIterable<StoredRequest> {
    return this.#lists.listFailed();
  }

  async claim(
    lease: RequestLease,
    claim: { readonly now: number; readonly leaseUntil: number; readonly countFor?: string },
    budget?: TimeBudget,
  ): Promise<ClaimedRequest | undefined> {
    const { now, leaseUntil, countFor } = claim;
    const retry = this.#client.startRetry(budget);
    const isDue = "#State IN (:pending, :retrying) AND #DueAt <= :now";
    const isAbandoned = "#State = :processing AND #LeaseUntil <= :now AND #Token <> :token";
    const { written, item } = await this.#table.update(retry, {
      key: stateKey(lease),
      set: {
        [NAMES.state]: { S: "PROCESSING" },
        [NAMES.token]: { S: lease.token },
        [NAMES.leaseUntil]: number(leaseUntil),
        [NAMES.updatedAt]: number(now),
        ...(countFor === undefined ? {} : { [NAMES.openOrder]: { S: runningOrder(countFor) } }),
      },
      assign: "#Attempt = #Attempt + :one",
      remove: [NAMES.failure],
      condition: `(${isDue}) OR (${isAbandoned})`,
      values: { ...STATES, ":now": number(now), ":one": number(1), ":token": { S: lease.token } },
    });
    if (item === undefined) return undefined;
    if (written) return this.#load(retry, lease, parseState(item), now);
    // The worker repeats its call.
    const renewed = await this.#change(retry, lease, { [NAMES.leaseUntil]: number(leaseUntil) });
    return renewed.written ? this.#load(retry, lease, parseState(renewed.item!), now) : undefined;
  }

  async renew(
    lease: RequestLease,
    { leaseUntil, progress }: { readonly leaseUntil: number; readonly progress?: RequestProgress },
    budget?: TimeBudget,
  ): Promise<boolean> {
    const changes: Item = { [NAMES.leaseUntil]: number(leaseUntil) };
    if (progress !== undefined) changes[NAMES.progress] = json(progress);
    return (await this.#change(this.#client.startRetry(budget), lease, changes)).written;
  }

  async saveCheckpoint(lease: RequestLease, checkpoint: Json, budget?: TimeBudget): Promise<boolean> {
    const retry = this.#client.startRetry(budget);
    const row = (await this.#held(retry, lease))?.row;
    if (row === undefined) return false;
    const content = json(checkpoint);
    if (fits(row.item, { [NAMES.checkpoint]: content }, [NAMES.checkpointItem])) {
      const set = { [NAMES.checkpoint]: content };
      return (await this.#change(retry, lease, set, [NAMES.checkpointItem])).written;
    }
    const item = checkpointKey(lease.token, row.item[NAMES.checkpointItem]?.S);
    await this.#table.put(retry, partItem(partitionKey(lease), item, content, this.#now()));
    return (await this.#change(retry, lease, { [NAMES.checkpointItem]: { S: item } }, [NAMES.checkpoint]))
      .written;
  }

  async append(lease: RequestLease, item: OutputItem, budget?: TimeBudget): Promise<boolean> {
    const retry = this.#client.startRetry(budget);
    const held = await this.#held(retry, lease);
    if (held === undefined) return false;
    const { offset: last } = held.head;
    if (item.offset < 1 || item.offset < last || item.offset > last + 1) return false;
    // From then on, a take-over, a cancellation and the end of the request also end this worker's output.
    if (!held.row.hasOutput) {
      const { written } = await this.#change(retry, lease, { [NAMES.output]: { BOOL: true } });
      if (!written) return false;
    }
    const appended = await this.#output.append(retry, outputName(held.row), lease.token, item);
    if (!appended) this.#leases.delete(lease);
    else held.head = { offset: item.offset, chunks: item.chunks, bytes: item.bytes };
    return appended;
  }

  async readOutput(
    key: RequestKey,
    page: { readonly after: number; readonly limit: number },
    budget?: TimeBudget,
  ): Promise<OutputPage> {
    const retry = this.#client.startRetry(budget);
    const row = await this.#read(retry, key);
    if (row === undefined || !row.hasOutput) {
      return { head: NO_OUTPUT, items: [], more: false };
    }
    return this.#output.read(retry, outputName(row), page, getOutputEnd(row));
  }

  async finish(
    lease: RequestLease,
    outcome: AttemptOutcome,
    now: number,
    budget?: TimeBudget,
  ): Promise<boolean> {
    const retry = this.#client.startRetry(budget);
    const held = await this.#held(retry, lease);
    this.#leases.delete(lease);
    // Without a valid token, the worker may repeat a call that has succeeded.
    const finished =
      held === undefined
        ? await this.#read(retry, lease)
        : await this.#finish(retry, lease, held, outcome, now);
    return finished?.token === lease.token && finished.request.state === outcome.state;
  }

  async cancel(
    key: RequestKey,
    { now, expiresAt }: { readonly now: number; readonly expiresAt: number },
    budget?: TimeBudget,
  ): Promise<StoredRequest | undefined> {
    const retry = this.#client.startRetry(budget);
    const row = await this.#read(retry, key);
    if (row === undefined) return undefined;
    const { item } = await this.#table.update(retry, {
      key: stateKey(key),
      set: { [NAMES.state]: { S: "CANCELLED" }, [NAMES.updatedAt]: number(now), ...expiry(row, expiresAt) },
      remove: [...OPEN_NAMES, NAMES.leaseUntil, NAMES.failure],
      condition: "#State IN (:pending, :processing, :retrying)",
      values: STATES,
    });
    const after = parseUnexpired(item, this.#now());
    if (after?.hasOutput && after.request.state === "CANCELLED") {
      await this.#output.end(retry, outputName(after), now);
    }
    return after?.request;
  }

  async redrive(key: RequestKey, now: number, budget?: TimeBudget): Promise<StoredRequest | undefined> {
    const retry = this.#client.startRetry(budget);
    const row = await this.#read(retry, key);
    if (row?.request.state !== "FAILED") return undefined;
    const { written, item } = await this.#table.update(retry, {
      key: stateKey(key),
      set: {
        [NAMES.state]: { S: "PENDING" },
        [NAMES.attempt]: number(0),
        [NAMES.updatedAt]: number(now),
        [NAMES.openShard]: { S: openShard(key.owner) },
        [NAMES.openOrder]: { S: openOrder(row.request) },
        ...(row.hasOutput && { [NAMES.output]: { BOOL: true } }),
      },
      remove: [NAMES.failure, NAMES.token, ...EXPIRY_NAMES],
      condition: "#State = :failed",
      values: { ":failed": { S: "FAILED" } },
    });
    return written && item ? parseState(item).request : undefined;
  }

  async #read(retry: Retry, key: RequestKey): Promise<StateRow | undefined> {
    return parseUnexpired(await this.#table.get(retry, stateKey(key)), this.#now());
  }

  async #readPart(retry: Retry, row: StateRow, name: string, item: string): Promise<Json> {
    const inline = row.item[name]?.S;
    if (inline !== undefined) return JSON.parse(inline);
    const key = itemKey(partitionKey(row.request), item);
    const part = await this.#table.get(retry, key);
    if (part === undefined) throw createBadRowError(key);
    return JSON.parse(part[NAMES.data]?.S ?? "null");
  }

  async #load(retry: Retry, lease: RequestLease, row: StateRow, now: number): Promise<ClaimedRequest> {
    const checkpointItem = row.item[NAMES.checkpointItem]?.S;
    const hasCheckpoint = checkpointItem !== undefined || row.item[NAMES.checkpoint] !== undefined;
    const [output, input, checkpoint] = await Promise.all([
      row.hasOutput
        ? this.#output.takeOver(retry, outputName(row), lease.token, now)
        : Promise.resolve(NO_OUTPUT),
      this.#readPart(retry, row, NAMES.input, inputKey(row.inputHash)),
      hasCheckpoint ? this.#readPart(retry, row, NAMES.checkpoint, checkpointItem ?? "") : undefined,
    ]);
    this.#leases.set(lease, { row, head: output });
    return { request: row.request, input, checkpoint, output };
  }

  /** Returns `undefined` when the token is not valid any more. */
  async #held(retry: Retry, lease: RequestLease): Promise<HeldLease | undefined> {
    const known = this.#leases.get(lease);
    if (known !== undefined) return known;
    const row = await this.#read(retry, lease);
    if (row === undefined || !isHeld(row, lease.token)) return undefined;
    return this.#leases.set(lease, { row, head: await this.#output.readHead(retry, outputName(row)) });
  }

  /** Changes the state item if the token is valid. */
  async #change(
    retry: Retry,
    lease: RequestLease,
    set: Item,
    remove: readonly string[] = [],
  ): Promise<Written> {
    const change: Change = {
      key: stateKey(lease),
      set,
      remove,
      condition: IS_HELD,
      values: { ":processing": { S: "PROCESSING" }, ":token": { S: lease.token } },
    };
    const result = await this.#table.update(retry, change);
    if (result.written) this.#leases.apply(lease, set, remove);
    else this.#leases.delete(lease);
    return result;
  }

  /** Returns the request as it is now. */
  async #finish(
    retry: Retry,
    lease: RequestLease,
    { row, head }: HeldLease,
    outcome: AttemptOutcome,
    now: number,
  ): Promise<StateRow | undefined> {
    const progress = outcome.progress && { [NAMES.progress]: json(outcome.progress) };
    const reported = { ...row, item: { ...row.item, ...progress } };
    const { set, remove = [], assign } = await this.#transition(retry, lease, reported, outcome, now);
    // The output ends with the last item that the worker knows: a write that it gave up on may still arrive.
    if (row.hasOutput && isFinal(outcome.state)) set[NAMES.output] = number(head.offset);
    const { item } = await this.#table.update(retry, {
      key: stateKey(lease),
      set: { ...set, ...progress, [NAMES.state]: { S: outcome.state }, [NAMES.updatedAt]: number(now) },
      ...(assign === undefined ? {} : { assign }),
      remove: [...remove, NAMES.leaseUntil],
      condition: IS_HELD,
      values: {
        ":processing": { S: "PROCESSING" },
        ":token": { S: lease.token },
        ...(assign === undefined ? {} : { ":one": number(1) }),
      },
    });
    return item && parseState(item);
  }

  async #transition(
    retry: Retry,
    lease: RequestLease,
    row: StateRow,
    outcome: AttemptOutcome,
    now: number,
  ): Promise<Pick<Change, "set" | "remove" | "assign">> {
    const { request } = row;
    switch (outcome.state) {
      case "PENDING":
        return {
          set: { [NAMES.openOrder]: { S: openOrder(request) } },
          assign: "#Attempt = #Attempt - :one",
        };
      case "RETRYING": {
        const order = { S: delayedOrder(request, outcome.dueAt) };
        const dueAt = number(outcome.dueAt);
        return { set: { ...failure(outcome), [NAMES.dueAt]: dueAt, [NAMES.openOrder]: order } };
      }
      case "FAILED": {
        const order = { S: failedOrder(now) };
        return { set: { ...failure(outcome), [NAMES.openOrder]: order, ...expiry(row, outcome.expiresAt) } };
      }
      case "COMPLETED": {
        // The input makes room for the result: it is not needed any more.
        const remove = [...OPEN_NAMES, NAMES.input, NAMES.checkpoint, NAMES.checkpointItem];
        const set = expiry(row, outcome.expiresAt);
        const result = json(outcome.result);
        if (fits(row.item, { ...set, [NAMES.result]: result }, [...remove, NAMES.leaseUntil])) {
          return { set: { ...set, [NAMES.result]: result }, remove };
        }
        await this.#table.put(retry, partItem(partitionKey(lease), resultKey(lease.token), result, now));
        return { set, remove };
      }
    }
  }
}

function isHeld({ request, token }: StateRow, by: string): boolean {
  return request.state === "PROCESSING" && token === by;
}

function getOutputEnd({ request, outputEnd }: StateRow): OutputEnd | undefined {
  if (outputEnd !== undefined) return { offset: outputEnd };
  return request.state === "CANCELLED" ? { at: request.updatedAt } : undefined;
}

function outputName({ request, createdAt }: StateRow): OutputName {
  return { partition: partitionKey(request), createdAt };
}

function failure(outcome: { readonly failure: StoredRequest["failure"] & object }): Item {
  return { [NAMES.failure]: json(outcome.failure) };
}

function json(value: unknown): { S: string } {
  return { S: JSON.stringify(value) };
}

function number(value: number): { N: string } {
  return { N: String(value) };
}
