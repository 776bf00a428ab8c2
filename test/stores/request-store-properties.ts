import assert from "node:assert/strict";
import fc from "fast-check";
import { it } from "vitest";
import {
  type CreateRequestStore,
  collect,
  FAILURE,
  LEASE_MS,
  type RequestStoreUnderTest,
} from "../../src/store/contracts/request-store-under-test.ts";
import type { RequestLease, RequestState } from "../../src/store/index.ts";

const IDS = ["r1", "r2"] as const;
const WORKERS = ["w1", "w2"] as const;

type Step =
  | { readonly call: "wait"; readonly ms: number }
  | { readonly call: "create" | "cancel" | "redrive"; readonly id: string; readonly input: number }
  | {
      readonly call:
        | "claim"
        | "renew"
        | "append"
        | "repeat"
        | "checkpoint"
        | "complete"
        | "fail"
        | "retry"
        | "handOver";
      readonly id: string;
      readonly worker: string;
    };

const anId = fc.constantFrom(...IDS);
const aStep: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ call: fc.constant("wait" as const), ms: fc.constantFrom(1, LEASE_MS - 1, LEASE_MS) }),
  fc.record({
    call: fc.constantFrom("create" as const, "create" as const, "cancel" as const, "redrive" as const),
    id: anId,
    input: fc.constantFrom(1, 1, 1, 2),
  }),
  {
    weight: 6,
    arbitrary: fc.record({
      call: fc.constantFrom(
        ...(["claim", "claim", "append", "append", "repeat", "renew", "checkpoint"] as const),
        ...(["complete", "fail", "retry", "handOver"] as const),
      ),
      id: anId,
      worker: fc.constantFrom(...WORKERS),
    }),
  },
);

/** A request as the docstrings of `RequestStore` describe it. */
interface ModelRequest {
  readonly input: number;
  state: RequestState;
  attempt: number;
  token: string | undefined;
  /** The time from which it may be claimed. */
  claimableAt: number;
  checkpoint: number | undefined;
  readonly texts: string[];
}

/** A worker remembers its last claim, as one whose lease was taken over does. */
interface ModelWorker {
  token: string;
  offset: number;
  /** Its last append that was stored. */
  last: { readonly offset: number; readonly text: string } | undefined;
}

/** Properties of `RequestStore` that random calls check, for any backend. @param runs of the property */
export function requestStoreProperties(title: string, create: CreateRequestStore, runs = 20): void {
  it(`${title} agree with a model after any calls of two workers`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(aStep, { minLength: 5, maxLength: 40 }), async (steps) => {
        const simulation = new Simulation(await create());
        for (const step of steps) await simulation.run(step);
        for (const id of IDS) await simulation.check(id);
      }),
      { numRuns: runs },
    );
  });
}

class Simulation {
  readonly #underTest: RequestStoreUnderTest;
  readonly #requests = new Map<string, ModelRequest>();
  readonly #workers = new Map<string, ModelWorker>();
  #claims = 0;

  constructor(underTest: RequestStoreUnderTest) {
    this.#underTest = underTest;
  }

  async run(step: Step): Promise<void> {
    if (step.call === "wait") return this.#underTest.advance(step.ms);
    if ("input" in step) await this.#runOwner(step);
    else await this.#runWorker(step);
    await this.check(step.id);
  }

  async check(id: string): Promise<void> {
    const { store } = this.#underTest;
    const [now, model] = [this.#underTest.now(), this.#requests.get(id)];
    const stored = await store.get({ owner: "ada", id });
    assert.deepEqual([stored?.state, stored?.attempt], [model?.state, model?.attempt]);
    const { head, items } = await store.readOutput({ owner: "ada", id }, { after: 0, limit: 1_000 });
    assert.deepEqual(
      items.map(({ offset }) => offset),
      Array.from({ length: head.offset }, (_, n) => n + 1),
    );
    const texts = items.flatMap(({ data }) => ("text" in data ? [data.text] : []));
    const expected = model?.texts ?? [];
    assert.deepEqual([texts, head.chunks, head.bytes], [expected, expected.length, 3 * expected.length]);
    const result = await store.readResult({ owner: "ada", id });
    assert.deepEqual(result, model?.state === "COMPLETED" ? { result: model.token } : undefined);
    const due = (await collect(store.listDue(now))).map((each) => each.id);
    assert.equal(due.includes(id), model !== undefined && isClaimable(model, now));
    const open = [...this.#requests.values()].filter(({ state }) => !isFinal(state)).length;
    assert.equal(await store.countOpen({ owner: "ada" }, 9), open);
  }

  async #runOwner({ call, id, input }: Extract<Step, { readonly input: number }>): Promise<void> {
    const { store } = this.#underTest;
    const now = this.#underTest.now();
    const key = { owner: "ada", id };
    const model = this.#requests.get(id);
    if (call === "create") {
      const fields = { action: "report", tenant: "acme", identity: {}, priority: 0, createdAt: now };
      const { outcome } = await store.create({ ...key, ...fields, input, dueAt: now });
      assert.equal(outcome, model === undefined ? "created" : model.input === input ? "exists" : "conflict");
      if (model === undefined) this.#requests.set(id, createModel(input, now));
    } else if (call === "cancel") {
      const cancelled = await store.cancel(key, { now, expiresAt: now + 1e9 });
      if (model !== undefined && !isFinal(model.state))
        Object.assign(model, { state: "CANCELLED", token: undefined });
      assert.equal(cancelled?.state, model?.state);
    } else {
      const redriven = await store.redrive(key, now);
      assert.equal(redriven !== undefined, model?.state === "FAILED");
      if (model?.state !== "FAILED") return;
      Object.assign(model, { state: "PENDING", attempt: 0, token: undefined, claimableAt: now });
    }
  }

  async #runWorker(step: Extract<Step, { readonly worker: string }>): Promise<void> {
    const name = `${step.worker} ${step.id}`;
    const model = this.#requests.get(step.id);
    if (step.call === "claim") return this.#claim(step.id, name, model);
    const worker = this.#workers.get(name);
    if (worker === undefined) return;
    const lease = { owner: "ada", id: step.id, token: worker.token };
    const holds = model?.state === "PROCESSING" && model.token === worker.token;
    if (step.call === "append" || step.call === "repeat") {
      await this.#append(step.call, lease, worker, holds ? model : undefined);
    } else await this.#write(step.call, lease, holds, model);
  }

  async #claim(id: string, name: string, model: ModelRequest | undefined): Promise<void> {
    const now = this.#underTest.now();
    const token = `t${this.#claims++}`;
    const times = { now, leaseUntil: now + LEASE_MS };
    const claimed = await this.#underTest.store.claim({ owner: "ada", id, token }, times);
    assert.equal(claimed !== undefined, model !== undefined && isClaimable(model, now));
    if (claimed === undefined || model === undefined) return;
    const changes = { state: "PROCESSING", token, attempt: model.attempt + 1, claimableAt: times.leaseUntil };
    Object.assign(model, changes);
    const { input, checkpoint, output } = claimed;
    assert.deepEqual([input, checkpoint], [model.input, model.checkpoint]);
    const written = model.texts.length;
    assert.deepEqual([output.chunks, output.bytes], [written, 3 * written]);
    this.#workers.set(name, { token, offset: output.offset, last: undefined });
  }

  async #append(
    call: "append" | "repeat",
    lease: RequestLease,
    worker: ModelWorker,
    model: ModelRequest | undefined,
  ): Promise<void> {
    const repeated = call === "repeat" ? worker.last : undefined;
    if (call === "repeat" && repeated === undefined) return;
    const text = repeated?.text ?? `${lease.token} ${worker.offset + 1}`;
    const offset = repeated?.offset ?? worker.offset + 1;
    // A repeated item has the count of the first time.
    const chunks = model === undefined ? offset : model.texts.length + (repeated === undefined ? 1 : 0);
    const stored = await this.#underTest.store.append(lease, {
      offset,
      data: { text },
      chunks,
      bytes: 3 * chunks,
      at: 5,
    });
    assert.equal(stored, model !== undefined);
    if (model === undefined || repeated !== undefined) return;
    model.texts.push(text);
    worker.offset = offset;
    worker.last = { offset, text };
  }

  async #write(
    call: "renew" | "checkpoint" | "complete" | "fail" | "retry" | "handOver",
    lease: RequestLease,
    holds: boolean,
    model: ModelRequest | undefined,
  ): Promise<void> {
    const { store } = this.#underTest;
    const now = this.#underTest.now();
    const expiresAt = now + 1e9;
    if (call === "renew") {
      assert.equal(await store.renew(lease, { leaseUntil: now + LEASE_MS }), holds);
      if (holds) Object.assign(model!, { claimableAt: now + LEASE_MS });
    } else if (call === "checkpoint") {
      const checkpoint = this.#claims + now;
      assert.equal(await store.saveCheckpoint(lease, checkpoint), holds);
      if (holds) Object.assign(model!, { checkpoint });
    } else {
      const outcomes = {
        complete: { state: "COMPLETED", result: lease.token, expiresAt },
        fail: { state: "FAILED", failure: FAILURE, expiresAt },
        retry: { state: "RETRYING", failure: FAILURE, dueAt: now + 1 },
        handOver: { state: "PENDING" },
      } as const;
      const { state } = outcomes[call];
      const repeated = model?.token === lease.token && model.state === state;
      assert.equal(await store.finish(lease, outcomes[call], now), holds || repeated);
      if (!holds || model === undefined) return;
      const attempt = model.attempt - (call === "handOver" ? 1 : 0);
      Object.assign(model, { state, attempt, claimableAt: call === "retry" ? now + 1 : 0 });
    }
  }
}

function createModel(input: number, now: number): ModelRequest {
  const state = { state: "PENDING", attempt: 0, token: undefined, checkpoint: undefined } as const;
  return { ...state, input, claimableAt: now, texts: [] };
}

function isClaimable({ state, claimableAt }: ModelRequest, now: number): boolean {
  return !isFinal(state) && claimableAt <= now;
}

function isFinal(state: RequestState): boolean {
  return state === "COMPLETED" || state === "FAILED" || state === "CANCELLED";
}
