import { LiftError } from "../../lift/index.ts";
import {
  type CancelPayload,
  type CompleteMessage,
  type ErrorMessage,
  LIMITS,
  type RequestInfo,
  type RequestPayload,
  type RequestSummary,
  type RequestsPayload,
  type ResultPayload,
} from "../../protocol/index.ts";
import {
  type RequestPage,
  type RequestStore,
  type StoredRequest,
  StoreError,
  type TimeBudget,
} from "../../store/index.ts";
import type { CallContext, ClientRequest } from "../call-context.ts";
import type { Scope } from "../channel-keys.ts";
import { awaitStore, storeFailed } from "../errors.ts";
import { sendResponse } from "../responses.ts";
import { completeMessage, failureBody, failureMessage } from "./messages.ts";
import { endOfPiece } from "./output/writer.ts";
import type { Processor } from "./processor.ts";
import { isFinal, keyOf, toRequestKey, toWatched } from "./request-keys.ts";
import { type RequestResults, resultFields } from "./results.ts";
import type { Watchers } from "./watchers.ts";

/** JSON has no raw control characters, so in a 128 KiB message a piece of it takes at most 3 bytes per UTF-16 unit. */
const PIECE_LENGTH = 20_000;
const PAGE_SIZE = 20;

const CANCELLED = { code: "CANCELLED", message: "The request was cancelled" };

interface RequestActionsOptions {
  readonly store: RequestStore;
  readonly results: RequestResults;
  readonly processor: Processor;
  readonly watchers: Watchers;
  readonly keepMs: number;
  /** ms since the epoch. */
  readonly now: () => number;
}

/** Handles `request`, `result`, `requests` and `cancel`: the actions of users on stored requests. */
export class RequestActions {
  readonly #options: RequestActionsOptions;

  constructor(options: RequestActionsOptions) {
    this.#options = options;
  }

  async read({ request: id }: RequestPayload, request: ClientRequest): Promise<void> {
    await sendResponse<"request">(request, await this.readInfo(await this.#get(id, request), request.budget));
  }

  async result({ request: id, from = 0 }: ResultPayload, request: ClientRequest): Promise<void> {
    const { results } = this.#options;
    const key = toRequestKey(request.identity, id);
    const found = await results.read(key, request.budget);
    if (found === undefined) throw notFound();
    if ("blob" in found) {
      const download = await results.downloadUrl(key, found.blob);
      await sendResponse<"result">(request, { text: "", more: false, ...download });
      return;
    }
    const text = JSON.stringify(found.json);
    const end = endOfPiece(text, from, PIECE_LENGTH);
    await sendResponse<"result">(request, { text: text.slice(from, end), more: end < text.length });
  }

  async list({ after, limit = PAGE_SIZE }: RequestsPayload, request: ClientRequest): Promise<void> {
    const { identity, budget } = request;
    if (identity.userId === undefined) {
      throw new LiftError("FORBIDDEN", { message: "Anonymous clients have no list of requests" });
    }
    const { owner } = toRequestKey(identity, "");
    const page = await this.#readPage(owner, { after, limit }, budget);
    const { next } = page;
    await sendResponse<"requests">(request, {
      requests: page.requests.map(toSummary),
      ...(next === undefined ? {} : { next }),
    });
  }

  async #readPage(...[owner, query, budget]: Parameters<RequestStore["list"]>): Promise<RequestPage> {
    try {
      return await this.#options.store.list(owner, query, budget);
    } catch (cause) {
      const isRefused = cause instanceof StoreError && cause.code === "STORE_REFUSED";
      const isMalformed = isRefused && query.after !== undefined;
      if (isMalformed) throw new LiftError("VALIDATION_ERROR", { message: "Invalid `after`", cause });
      throw storeFailed(cause);
    }
  }

  async cancel({ request: id }: CancelPayload, request: ClientRequest): Promise<void> {
    const { state } = await this.cancelRequest(request.identity, id, request);
    await sendResponse<"cancel">(request, { state });
  }

  /** @throws {LiftError} NOT_FOUND, STORE_FAILED */
  async cancelRequest(scope: Scope, id: string, context: CallContext): Promise<StoredRequest> {
    const { store, processor, watchers, keepMs, now } = this.#options;
    const key = toRequestKey(scope, id);
    const at = now();
    const found = await awaitStore(store.cancel(key, { now: at, expiresAt: at + keepMs }, context.budget));
    if (found === undefined) throw notFound();
    if (found.state === "CANCELLED") {
      processor.cancel(keyOf(key));
      const end = await this.readEnd(found, context.budget);
      if (end !== undefined) await watchers.send(toWatched(found), end, context);
    }
    return found;
  }

  /**
   * Lists a user's requests that have not ended, and were made since a time in ms since the epoch.
   * @throws {LiftError} STORE_FAILED
   */
  async *listOpen(
    scope: Scope,
    since: number,
    budget: TimeBudget | undefined,
  ): AsyncGenerator<StoredRequest> {
    const { owner } = toRequestKey(scope, "");
    let after: string | undefined;
    do {
      const { requests, next } = await this.#readPage(owner, { after, limit: LIMITS.requests }, budget);
      // The newest come first.
      const recent = requests.filter(({ createdAt }) => createdAt >= since);
      yield* recent.filter((request) => !isFinal(request));
      after = recent.length < requests.length ? undefined : next;
    } while (after !== undefined);
  }

  /** Returns the message that ends a request; `undefined` unless it has ended. @throws {LiftError} STORE_FAILED */
  async readEnd(
    request: StoredRequest,
    budget: TimeBudget | undefined,
  ): Promise<CompleteMessage | ErrorMessage | undefined> {
    const { id, state } = request;
    if (!isFinal(request)) return undefined;
    const output = await this.#readOutputEnd(request, budget);
    if (state !== "COMPLETED") return failureMessage(id, request.failure ?? CANCELLED, output);
    const found = await this.#options.results.read(request, budget);
    return completeMessage(id, found ?? { json: null }, output);
  }

  async #get(id: string, { identity, budget }: ClientRequest): Promise<StoredRequest> {
    const found = await awaitStore(this.#options.store.get(toRequestKey(identity, id), budget));
    if (found === undefined) throw notFound();
    return found;
  }

  /** @throws {LiftError} STORE_FAILED */
  async readInfo(request: StoredRequest, budget: TimeBudget | undefined): Promise<RequestInfo> {
    const [output, found] = await Promise.all([
      this.#readOutputEnd(request, budget),
      request.state === "COMPLETED" ? this.#options.results.read(request, budget) : undefined,
    ]);
    return { ...toSummary(request), ...(found === undefined ? {} : resultFields(found)), output };
  }

  async #readOutputEnd(request: StoredRequest, budget: TimeBudget | undefined): Promise<number> {
    const page = { after: Number.MAX_SAFE_INTEGER, limit: 1 };
    return (await awaitStore(this.#options.store.readOutput(request, page, budget))).head.offset;
  }
}

export function toSummary(request: StoredRequest): RequestSummary {
  const { id, action, state, attempt, createdAt, updatedAt, progress, failure } = request;
  return {
    id,
    action,
    state,
    attempt,
    createdAt,
    updatedAt,
    ...(progress === undefined ? {} : { progress }),
    ...(failure === undefined ? {} : { error: failureBody(failure) }),
  };
}

export function notFound(): LiftError {
  return new LiftError("NOT_FOUND", { message: "There is no such request" });
}
