import { integer, type OptionChecks } from "../../internal/options.ts";
import type { RequestKey, StoredRequest, TableStreamRequests, TimeBudget } from "../../store/index.ts";
import { awaitStore } from "../errors.ts";
import { keyOf } from "./request-keys.ts";

/** The event of a worker function: which request to run. */
export interface WorkerEvent extends RequestKey {
  /** The tenant whose limits count the request. */
  readonly tenant: string;
}

/** Limits of the requests that run at the same time, in all worker functions together. */
export interface RunLimits {
  /** All requests. Default: no limit; minimum 1. */
  readonly all?: number;
  /** The requests of one tenant. Default: no limit; minimum 1. */
  readonly tenant?: number;
}

export const RUN_LIMIT_CHECKS: OptionChecks<RunLimits> = { all: integer(1), tenant: integer(1) };

interface StarterOptions {
  readonly store: TableStreamRequests;
  readonly invoke: (event: WorkerEvent) => unknown;
  readonly limits: RunLimits;
  /** ms since the epoch. */
  readonly now: () => number;
}

/** How long a worker function may take to claim its request, in ms. A slower one is not counted meanwhile. */
const CLAIM_MS = 30_000;

/** Starts requests in worker functions, as many at the same time as the limits allow. */
export class RequestStarter {
  readonly #options: StarterOptions;
  /** Requests that this process has started and that no worker has claimed yet, as far as it knows. By key. */
  readonly #started = new Map<string, { readonly request: StoredRequest; readonly at: number }>();

  constructor(options: StarterOptions) {
    this.#options = options;
  }

  get isLimited(): boolean {
    const { all, tenant } = this.#options.limits;
    return all !== undefined || tenant !== undefined;
  }

  /** Rejects when `invoke` does. */
  async start(request: StoredRequest): Promise<void> {
    const { owner, id, tenant } = request;
    const key = keyOf(request);
    if (this.isLimited) this.#started.set(key, { request, at: this.#options.now() });
    try {
      await this.#options.invoke({ owner, id, tenant });
    } catch (error) {
      this.#started.delete(key);
      throw error;
    }
  }

  /** Whether this process has started the request, and its worker may still have to claim it. */
  hasStarted(request: RequestKey): boolean {
    return this.#started.has(keyOf(request));
  }

  /** Reads how many more requests may start now. @param ended a request that has just ended, which is not counted */
  async readFreeSlots(budget: TimeBudget | undefined, ended?: RequestKey): Promise<FreeSlots> {
    if (!this.isLimited) return new FreeSlots({}, async () => 0);
    await this.#forgetClaimed(budget);
    const count = async (tenant: string | undefined, limit: number) => {
      const of = { tenant, except: ended };
      const running = await awaitStore(this.#options.store.countRunning(of, limit, budget));
      const started = [...this.#started.values()].filter(
        ({ request }) => tenant === undefined || request.tenant === tenant,
      );
      return running + started.length;
    };
    return new FreeSlots(this.#options.limits, count);
  }

  async #forgetClaimed(budget: TimeBudget | undefined): Promise<void> {
    const { store, now } = this.#options;
    const forget = async ([key, { request, at }]: [string, { request: StoredRequest; at: number }]) => {
      const isOld = now() - at >= CLAIM_MS;
      const found = isOld ? undefined : await awaitStore(store.get(request, budget));
      const waits = found?.state === "PENDING" || found?.state === "RETRYING";
      if (!waits) this.#started.delete(key);
    };
    await Promise.all([...this.#started].map(forget));
  }
}

/** How many more requests may start, as of one reading. */
export class FreeSlots {
  /** Tenants at their limit. */
  readonly full = new Set<string>();
  readonly #limits: RunLimits;
  readonly #count: (tenant: string | undefined, limit: number) => Promise<number>;
  #left: number | undefined;
  readonly #leftOf = new Map<string, number>();

  constructor(limits: RunLimits, count: (tenant: string | undefined, limit: number) => Promise<number>) {
    this.#limits = limits;
    this.#count = count;
  }

  /** Whether no request of any tenant may start. */
  get isFull(): boolean {
    return this.#left !== undefined && this.#left <= 0;
  }

  /** Takes a slot if there is one. */
  async take(tenant: string): Promise<boolean> {
    const { all = Number.POSITIVE_INFINITY, tenant: each = Number.POSITIVE_INFINITY } = this.#limits;
    this.#left ??= await this.#countLeft(undefined, all);
    const ofTenant = this.#leftOf.get(tenant) ?? (await this.#countLeft(tenant, each));
    this.#leftOf.set(tenant, ofTenant);
    if (ofTenant <= 0) this.full.add(tenant);
    if (this.#left <= 0 || ofTenant <= 0) return false;
    this.#left--;
    this.#leftOf.set(tenant, ofTenant - 1);
    return true;
  }

  async #countLeft(tenant: string | undefined, limit: number): Promise<number> {
    return Number.isFinite(limit) ? limit - (await this.#count(tenant, limit)) : limit;
  }
}
