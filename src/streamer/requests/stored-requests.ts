import type { RequestInfo, RequestSummary } from "../../protocol/index.ts";
import type { RequestStore, StoredRequest } from "../../store/index.ts";
import type { CallContext } from "../call-context.ts";
import { awaitStore, storeFailed } from "../errors.ts";
import type { Processor } from "./processor.ts";
import { notFound, type RequestActions, toSummary } from "./request-actions.ts";
import { identityOf, toRequestKey } from "./request-keys.ts";

/** The owner of a request. */
export interface RequestOwner {
  /** Default: the scope of connections without a tenant. */
  readonly tenantId?: string | undefined;
  /** Default: an anonymous client's. */
  readonly userId?: string | undefined;
}

/** A request with its owner. */
export interface OwnedRequest extends RequestOwner, RequestSummary {}

/** A page of a user's requests. */
export interface OwnedRequestPage {
  /** The newest first. */
  readonly requests: readonly OwnedRequest[];
  /** Pass it as `after` for the next page. Absent: this is the last page. */
  readonly next?: string;
}

interface StoredRequestsOptions {
  readonly store: RequestStore;
  readonly actions: RequestActions;
  readonly processor: Processor;
  readonly createContext: () => CallContext;
  /** ms since the epoch. */
  readonly now: () => number;
}

/**
 * The stored requests, for trusted server code: without the rules for clients. The methods reject with a `LiftError`:
 * STORE_FAILED, and NOT_FOUND where there is no such request.
 */
export class StoredRequests {
  readonly #options: StoredRequestsOptions;

  constructor(options: StoredRequestsOptions) {
    this.#options = options;
  }

  /**
   * Lists the FAILED requests of all users, the dead letters, with their causes.
   * @example
   * for await (const { id, error } of streamer.requests.failed()) console.log(id, error?.message);
   */
  async *failed(): AsyncGenerator<OwnedRequest> {
    try {
      for await (const request of this.#options.store.listFailed()) yield toOwned(request);
    } catch (cause) {
      throw storeFailed(cause);
    }
  }

  /** Lists a user's requests, the newest first. `limit` is from 1 to 100, 20 by default. */
  async list(
    owner: RequestOwner,
    { after, limit = 20 }: { readonly after?: string; readonly limit?: number } = {},
  ): Promise<OwnedRequestPage> {
    const key = toRequestKey(owner, "");
    const { requests, next } = await awaitStore(this.#options.store.list(key.owner, { after, limit }));
    return { requests: requests.map(toOwned), ...(next === undefined ? {} : { next }) };
  }

  /** Reads a request with its progress, and its result or error. */
  async get(id: string, owner: RequestOwner): Promise<RequestInfo> {
    const found = await awaitStore(this.#options.store.get(toRequestKey(owner, id)));
    if (found === undefined) throw notFound();
    return this.#options.actions.readInfo(found, undefined);
  }

  /** Cancels a request and tells its watchers. Returns it as it is now, so in another final state when that came first. */
  async cancel(id: string, owner: RequestOwner): Promise<OwnedRequest> {
    const { actions, createContext } = this.#options;
    return toOwned(await actions.cancelRequest(owner, id, createContext()));
  }

  /** Runs a failed request again, from its last checkpoint. NOT_FOUND unless it has failed. */
  async redrive(id: string, owner: RequestOwner): Promise<OwnedRequest> {
    const { store, processor, now } = this.#options;
    const request = await awaitStore(store.redrive(toRequestKey(owner, id), now()));
    if (request === undefined) throw notFound();
    processor.add(request);
    return toOwned(request);
  }
}

function toOwned(request: StoredRequest): OwnedRequest {
  const { tenantId, userId } = identityOf(request);
  return {
    ...toSummary(request),
    ...(tenantId === undefined ? {} : { tenantId }),
    ...(userId === undefined ? {} : { userId }),
  };
}
