import type { Json } from "./json.ts";
import type {
  AttemptOutcome,
  ClaimedRequest,
  NewRequest,
  OutputItem,
  RequestKey,
  RequestLease,
  RequestStore,
  StoredRequest,
} from "./requests.ts";

/** A request store for one test, with a clock that the test moves. */
export interface RequestStoreUnderTest {
  /** Empty at first. */
  readonly store: RequestStore;
  /** Moves the store's clock forward. */
  advance(ms: number): void;
  /** Returns the store's time, in ms since the epoch. */
  now(): number;
}

/** Creates an empty store. */
export type CreateRequestStore = () => Promise<RequestStoreUnderTest> | RequestStoreUnderTest;

export const MINUTE = 60_000;
export const LEASE_MS = MINUTE / 2;

export const FAILURE = { code: "INTERNAL_ERROR", message: "It broke", details: { at: [1, null] } } as const;

/** Keys that a careless encoding would confuse or lose. */
export const AWKWARD_KEYS: readonly RequestKey[] = [
  ["a", "b"],
  ["b", "a"],
  ["a,b", "c"],
  ["a", "b,c"],
  ["a:b", "c"],
  ["a", "b:c"],
  ['a","b', "c"],
  ["a", 'b","c'],
  ["a#b", "c"],
  ["a", "b#c"],
  ["a|b", "c"],
  ["a", "b|c"],
  ["a/b", "c"],
  ["a", "b/c"],
  ["a\u0000b", "c"],
  ["a", "b\u0000c"],
  ["", "b"],
  ["__proto__", "__proto__"],
  ["constructor", "toString"],
  ["'; DROP TABLE requests; --", "%"],
  ["A", "B"],
  ["\u00e9", "e\u0301"],
  ["e\u0301", "\u00e9"],
  ["\u{1F600}", "\uD83D"],
  ["\uD83D", "\u{1F600}"],
  ["\uFFFD", "\uFFFD"],
  [" a", "b "],
  ["x".repeat(1_024), "y".repeat(128)],
  [`${"x".repeat(1_023)}z`, "y".repeat(128)],
].map(([owner = "", id = ""]) => ({ owner, id }));

/** JSON that a careless encoding would change. */
export const AWKWARD_JSON: readonly Json[] = [
  null,
  false,
  0,
  1e308,
  2.5,
  "",
  [],
  {},
  "\u0000 \u00e9 e\u0301 \u{1F600} \uD83D \u2028 '\"\\",
  { ["__proto__"]: { polluted: true }, constructor: 1, "": [[[{ deep: [null, { on: true }] }]]] },
  { text: "\u00e9".repeat(100_000), list: Array.from({ length: 10_000 }, (_, n) => n) },
];

/** Returns calls of a request store with the defaults that most tests share. @param underTest of the running test */
export function requestDriver(underTest: () => RequestStoreUnderTest) {
  const store = () => underTest().store;
  const now = () => underTest().now();
  const expiresAt = () => now() + 60 * MINUTE;
  const key = (id: string, owner = "ada"): RequestKey => ({ owner, id });
  const lease = (id: string, token: string, owner?: string): RequestLease => ({ ...key(id, owner), token });
  const request = (id: string, overrides: Partial<NewRequest> = {}): NewRequest => ({
    ...key(id),
    action: "report",
    input: { pages: 3 },
    tenant: "acme",
    identity: { userId: "ada" },
    priority: 0,
    createdAt: now(),
    dueAt: now(),
    ...overrides,
  });
  const create = (id: string, overrides?: Partial<NewRequest>) => store().create(request(id, overrides));
  const claim = (id: string, token: string, owner?: string) =>
    store().claim(lease(id, token, owner), { now: now(), leaseUntil: now() + LEASE_MS });
  /** Creates a request, and claims it. */
  const start = async (
    id: string,
    token: string,
    overrides: Partial<NewRequest> = {},
  ): Promise<ClaimedRequest> => {
    await create(id, overrides);
    const claimed = await claim(id, token, overrides.owner);
    if (claimed === undefined) throw new Error(`${id} cannot be claimed`);
    return claimed;
  };
  /** Claims a request after the lease of the last claim. */
  const takeOver = async (id: string, token: string): Promise<ClaimedRequest> => {
    underTest().advance(LEASE_MS);
    const claimed = await claim(id, token);
    if (claimed === undefined) throw new Error(`${id} cannot be claimed`);
    return claimed;
  };
  const item = (offset: number, text: string, chunks = offset): OutputItem => ({
    offset,
    data: { text },
    chunks,
    bytes: 10 * chunks,
    at: now(),
  });
  const append = (id: string, token: string, next: OutputItem) => store().append(lease(id, token), next);
  const finish = (id: string, token: string, outcome: AttemptOutcome) =>
    store().finish(lease(id, token), outcome, now());
  const complete = (id: string, token: string, result: Json = "done") =>
    finish(id, token, { state: "COMPLETED", result, expiresAt: expiresAt() });
  const fail = (id: string, token: string) =>
    finish(id, token, { state: "FAILED", failure: FAILURE, expiresAt: expiresAt() });
  const cancel = (id: string, owner?: string) =>
    store().cancel(key(id, owner), { now: now(), expiresAt: expiresAt() });
  const stateOf = async (id: string, owner?: string) => (await store().get(key(id, owner)))?.state;
  const readAll = (id: string) => store().readOutput(key(id), { after: 0, limit: 1_000 });
  /** Returns the texts of the output, without items that a take-over has stored. */
  const texts = async (id: string): Promise<string[]> => {
    const { items } = await readAll(id);
    return items.flatMap(({ data }) =>
      "text" in data && data.text !== undefined ? [data.text as string] : [],
    );
  };
  const due = async (at = now()) => idsOf(await collect(store().listDue(at)));
  return {
    ...{ key, lease, request, create, claim, start, takeOver, item, append, finish, complete, fail, cancel },
    ...{ stateOf, readAll, texts, due, expiresAt },
  };
}

export async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const found: Item[] = [];
  for await (const each of items) found.push(each);
  return found;
}

export function idsOf(requests: readonly StoredRequest[]): string[] {
  return requests.map(({ id }) => id);
}
