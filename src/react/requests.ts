import { useMemo } from "react";
import type { Client, ClientError, RequestSummary } from "../client/index.ts";
import { useClient } from "./context.ts";
import { Store, useStore } from "./store.ts";

/** The result of `useRequests`. */
export interface RequestsState {
  /** The user's stored requests, the newest first. */
  readonly requests: readonly RequestSummary[];
  /** `loading` before the server's first response; `refused` when the server refuses the list, with `error`. */
  readonly status: "loading" | "loaded" | "refused";
  /** The reason for `refused`. */
  readonly error: ClientError | undefined;
  /** Whether there are older requests. */
  readonly hasMore: boolean;
  /** Loads older requests. @throws {ClientError} */
  loadMore(): Promise<void>;
  /** Loads the list again: the server announces no changes. */
  reload(): void;
}

/**
 * Lists the user's own stored requests. The client needs the feature `requests`.
 * @param limit how many requests to load at a time, 1 to 100
 * @example
 * const { requests, reload } = useRequests();
 */
export function useRequests(limit = 20): RequestsState {
  const client = useClient();
  return useStore(useMemo(() => new RequestsStore(client, limit), [client, limit]));
}

class RequestsStore extends Store<RequestsState> {
  readonly #client: Client;
  readonly #limit: number;
  #next: string | undefined;

  constructor(client: Client, limit: number) {
    super({
      requests: [],
      status: "loading",
      error: undefined,
      hasMore: false,
      loadMore: () => this.#loadMore(),
      reload: () => this.restart(),
    });
    this.#client = client;
    this.#limit = limit;
  }

  protected override start(life: AbortSignal): void {
    this.#load(life).catch((error: ClientError) => {
      if (!life.aborted) this.update({ status: "refused", error });
    });
  }

  async #loadMore(): Promise<void> {
    const { life } = this;
    if (life === undefined || !this.getSnapshot().hasMore) return;
    const after = this.#next;
    await this.#load(life, after).catch((error) => {
      if (!life.aborted) throw error;
    });
  }

  async #load(life: AbortSignal, after?: string): Promise<void> {
    const page = await this.#client.requests({
      limit: this.#limit,
      signal: life,
      ...(after !== undefined && { after }),
    });
    // Another call may have loaded the same page.
    if (life.aborted || (after !== undefined && after !== this.#next)) return;
    this.#next = page.next;
    const before = after === undefined ? [] : this.getSnapshot().requests;
    this.update({
      requests: [...before, ...page.requests],
      status: "loaded",
      error: undefined,
      hasMore: page.next !== undefined,
    });
  }
}
