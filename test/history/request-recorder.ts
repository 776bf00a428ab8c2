import type {
  ClaimedRequest,
  CreatedRequest,
  RequestKey,
  RequestLease,
  RequestStore,
  StoredRequest,
} from "../../src/store/index.ts";
import type { StoredFact } from "./log.ts";
import { formatRequest } from "./request-script.ts";
import { withMethods } from "./seeded-bugs.ts";

/** Reports each call that changed a request. */
export function recordRequests(store: RequestStore, report: (fact: StoredFact) => void): RequestStore {
  const record = async <Result>(
    call: StoredFact["call"],
    key: RequestKey & Partial<RequestLease>,
    write: () => Promise<Result>,
    describe: (result: Result) => Partial<StoredFact> | undefined,
  ): Promise<Result> => {
    const from = Date.now();
    const result = await write();
    const details = describe(result);
    const { token } = key;
    if (details !== undefined)
      report({ request: nameOf(key), call, token, from, until: Date.now(), ...details });
    return result;
  };
  const ifTrue = (details: Partial<StoredFact>) => (isStored: boolean) => (isStored ? details : undefined);
  return withMethods<RequestStore>(store, {
    create: (request, budget, claim) => {
      const lease = { ...request, token: claim?.token ?? "" };
      return record("claim", lease, () => store.create(request, budget, claim), describeCreated);
    },
    claim: (lease, ...given) => record("claim", lease, () => store.claim(lease, ...given), describeClaim),
    renew: (lease, ...given) => record("renew", lease, () => store.renew(lease, ...given), ifTrue({})),
    saveCheckpoint: (lease, checkpoint, ...given) =>
      record(
        "saveCheckpoint",
        lease,
        () => store.saveCheckpoint(lease, checkpoint, ...given),
        ifTrue({ stage: stageOf(checkpoint) }),
      ),
    append: (lease, item, ...given) =>
      record(
        "append",
        lease,
        () => store.append(lease, item, ...given),
        ifTrue({ offset: item.offset, chunks: item.chunks }),
      ),
    finish: (lease, outcome, ...given) =>
      record("finish", lease, () => store.finish(lease, outcome, ...given), ifTrue({ state: outcome.state })),
    cancel: (key, ...given) => record("cancel", key, () => store.cancel(key, ...given), describeCancelled),
  });
}

/** A request that was claimed as it was created. */
function describeCreated({ request, isClaimed }: CreatedRequest): Partial<StoredFact> | undefined {
  return isClaimed ? { attempt: request.attempt, stage: 0, offset: 0, chunks: 0 } : undefined;
}

function describeClaim(claimed: ClaimedRequest | undefined): Partial<StoredFact> | undefined {
  if (claimed === undefined) return undefined;
  const { request, checkpoint, output } = claimed;
  return { attempt: request.attempt, stage: stageOf(checkpoint), ...output };
}

function describeCancelled(request: StoredRequest | undefined): Partial<StoredFact> | undefined {
  return request === undefined ? undefined : { state: request.state };
}

function stageOf(checkpoint: unknown): number {
  return (checkpoint as { readonly stage?: number } | undefined)?.stage ?? 0;
}

function nameOf({ owner, id }: RequestKey): string {
  const [tenant, user] = JSON.parse(owner) as [string, string];
  return formatRequest({ tenant, user, id });
}
