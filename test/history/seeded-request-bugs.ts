// Bugs in the store of requests. The checker must find each of them.
import type { RequestKey, RequestLease, RequestStore } from "../../src/store/index.ts";

/** A bug affects one call in this many. */
const INTERVAL = 4;

type RequestBug = (store: RequestStore) => Partial<RequestStore>;

/** Remembers the token of each request's last claim. */
function rememberTokens(store: RequestStore) {
  const tokens = new Map<string, string>();
  const claim: RequestStore["claim"] = async (lease, ...given) => {
    const claimed = await store.claim(lease, ...given);
    if (claimed !== undefined) tokens.set(nameOf(lease), lease.token);
    return claimed;
  };
  const create: RequestStore["create"] = async (request, budget, first) => {
    const created = await store.create(request, budget, first);
    if (created.isClaimed && first !== undefined) tokens.set(nameOf(request), first.token);
    return created;
  };
  const refresh = <Lease extends RequestLease>(lease: Lease): Lease => ({
    ...lease,
    token: tokens.get(nameOf(lease)) ?? lease.token,
  });
  return { claim, create, refresh };
}

export const REQUEST_BUGS: { readonly [name: string]: RequestBug } = {
  "lost completion": (store) => {
    let count = 0;
    return {
      finish: async (lease, outcome, now) =>
        outcome.state === "COMPLETED" && ++count % INTERVAL === 0 ? true : store.finish(lease, outcome, now),
    };
  },
  // A worker whose lease another one has taken does not learn of it.
  "request run twice": (store) => {
    const isOpen = async (lease: RequestLease) => (await store.get(lease))?.state !== "CANCELLED";
    return {
      renew: async (lease, ...given) => (await store.renew(lease, ...given)) || isOpen(lease),
      saveCheckpoint: async (lease, ...given) =>
        (await store.saveCheckpoint(lease, ...given)) || isOpen(lease),
      append: async (lease, ...given) => (await store.append(lease, ...given)) || isOpen(lease),
      finish: async (lease, ...given) => (await store.finish(lease, ...given)) || isOpen(lease),
    };
  },
  "chunk dropped at take-over": (store) => ({
    claim: async (...given) => {
      const claimed = await store.claim(...given);
      if (claimed === undefined || claimed.request.attempt === 1) return claimed;
      const { output } = claimed;
      return { ...claimed, output: { ...output, chunks: output.chunks + 1 } };
    },
  }),
  "write under an expired lease": (store) => {
    const { claim, create, refresh } = rememberTokens(store);
    return {
      claim,
      create,
      renew: (lease, ...given) => store.renew(refresh(lease), ...given),
      saveCheckpoint: (lease, ...given) => store.saveCheckpoint(refresh(lease), ...given),
    };
  },
  "result for another tenant": (store) => ({
    get: async (key, budget) => (await store.get(key, budget)) ?? store.get(inOtherTenant(key), budget),
    readResult: async (key, budget) =>
      (await store.readResult(key, budget)) ?? store.readResult(inOtherTenant(key), budget),
  }),
};

function nameOf({ owner, id }: RequestKey): string {
  return `${owner} ${id}`;
}

function inOtherTenant({ owner, id }: RequestKey): RequestKey {
  const [tenant, user] = JSON.parse(owner) as [string, string];
  return { owner: JSON.stringify([tenant === "a" ? "b" : "a", user]), id };
}
