import { LiftError } from "../../lift/index.ts";
import type { BlobStore, RequestStore } from "../../store/index.ts";
import type { CallContext } from "../call-context.ts";
import type { CustomRoutes } from "../custom-routes.ts";
import { awaitStore } from "../errors.ts";
import type { FanOut } from "../fan-out/fan-out.ts";
import type { MemberRemover } from "../membership/leave.ts";
import type { Namespace } from "../namespaces.ts";
import { RequestCalls, type RequestCallsOptions } from "./calls.ts";
import { type RequestsOptions, readRequestSettings } from "./options.ts";
import { Processor } from "./processor.ts";
import { RequestRegistry } from "./registry.ts";
import { RequestActions } from "./request-actions.ts";
import { toRequestKey } from "./request-keys.ts";
import type { RunCollaborators } from "./request-run.ts";
import { RequestResults } from "./results.ts";
import { StoredRequests } from "./stored-requests.ts";
import { Watchers } from "./watchers.ts";

interface CreateRequestsOptions {
  /** Absent: requests are answered in place only. */
  readonly store: RequestStore | undefined;
  /** Stores large results. */
  readonly blobs: BlobStore | undefined;
  readonly options: RequestsOptions | undefined;
  readonly fanOut: FanOut;
  readonly remover: MemberRemover;
  readonly customRoutes: CustomRoutes;
  readonly readRouteKeys: () => Iterable<string>;
  readonly createContext: () => CallContext;
  readonly runInMiddleware: RunCollaborators["runInMiddleware"];
  readonly watch: RequestCallsOptions["watch"];
  /** ms since the epoch. */
  readonly now: () => number;
}

/** The collaborators that handle the application's own actions. */
export interface RequestCollaborators {
  readonly registry: RequestRegistry;
  readonly calls: RequestCalls;
  /** Absent when the store keeps no requests. */
  readonly actions: RequestActions | undefined;
  readonly processor: Processor | undefined;
  readonly stored: StoredRequests | undefined;
  /** The collaborators of a run; absent when the store keeps no requests. */
  readonly run: RunCollaborators | undefined;
  /** Whether the application has registered an action. */
  readonly isCall: (action: string) => boolean;
}

/** @throws {LiftError} INVALID_OPTION */
export function createRequests({
  store,
  blobs,
  options,
  ...rest
}: CreateRequestsOptions): RequestCollaborators {
  const { fanOut, remover, customRoutes, readRouteKeys, createContext, runInMiddleware, watch, now } = rest;
  const settings = readRequestSettings(options, store, blobs);
  const registry = new RequestRegistry(settings, store !== undefined, readRouteKeys);
  const isCall = (action: string) => registry.get(action) !== undefined;
  if (store === undefined) {
    const calls = new RequestCalls({ registry, stored: undefined, settings, customRoutes, watch, now });
    return {
      registry,
      calls,
      actions: undefined,
      processor: undefined,
      stored: undefined,
      run: undefined,
      isCall,
    };
  }
  const watchers = new Watchers(fanOut, remover);
  const random = Math.random;
  const results = new RequestResults(store, blobs, settings.maxResultBytes, now);
  const run = { store, results, watchers, settings, runInMiddleware, now, random };
  const processor = new Processor({ ...run, registry, createContext });
  const actions = new RequestActions({ store, results, processor, watchers, keepMs: settings.keepMs, now });
  const collaborators = { store, processor, actions };
  const calls = new RequestCalls({ registry, stored: collaborators, settings, customRoutes, watch, now });
  const stored = new StoredRequests({ ...collaborators, createContext, now });
  return { registry, calls, actions, processor, stored, run, isCall };
}

/** The reserved namespace of requests: only who made a request may read its channel, and nobody may publish. */
export function requestNamespace(store: RequestStore): Namespace {
  return {
    retention: { size: Number.MAX_SAFE_INTEGER, ageMs: Number.MAX_SAFE_INTEGER },
    presence: false,
    live: undefined,
    subscribe: [
      async (identity, { name: id }) => {
        if ((await awaitStore(store.get(toRequestKey(identity, id)))) !== undefined) return true;
        throw new LiftError("NOT_FOUND", { message: "There is no such request" });
      },
    ],
    publish: [],
    maxBytes: 0,
    maxBlobBytes: 0,
    rate: undefined,
    schema: undefined,
    stateSchema: undefined,
  };
}
