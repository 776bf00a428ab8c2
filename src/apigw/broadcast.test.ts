import { describe, expect, it, vi } from "vitest";
import { runBroadcast, type Sender, type SendOutcome } from "./broadcast.ts";
import { type BroadcastReport, ConnectionsError } from "./connections.ts";

const IDS = ["a", "b", "c", "d", "e"];

/** Sends that end when a test says so. */
class Manual implements Sender {
  readonly concurrency: number;
  readonly started: string[] = [];
  cancelled = 0;
  readonly #pending = new Map<string, (delivered: SendOutcome) => void>();

  constructor(concurrency: number) {
    this.concurrency = concurrency;
  }

  send(id: string): Promise<SendOutcome> {
    this.started.push(id);
    return new Promise((resolve) => this.#pending.set(id, resolve));
  }

  async end(id: string, delivered: SendOutcome = "sent"): Promise<void> {
    this.#pending.get(id)?.(delivered);
    await turn();
  }

  cancel(): void {
    this.cancelled++;
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

async function listed({ remaining }: BroadcastReport): Promise<string[] | undefined> {
  if (remaining === undefined) return undefined;
  const ids: string[] = [];
  for await (const id of remaining) ids.push(id);
  return ids;
}

async function* pages(onPull: (id: string) => void = () => {}) {
  for (const id of IDS) {
    onPull(id);
    yield id;
  }
}

const always = (delivered: SendOutcome): Sender => ({ concurrency: 1, send: () => delivered });
const counts = { sent: 0, gone: 0, connecting: 0, failed: 0 };

describe("a broadcast", () => {
  it("has at most `concurrency` sends in progress", async () => {
    const sender = new Manual(2);
    const done = runBroadcast(sender, IDS);
    expect(sender.started).toEqual(["a", "b"]);
    await sender.end("b");
    expect(sender.started).toEqual(["a", "b", "c"]);
    for (const id of IDS) await sender.end(id);
    expect(await done).toEqual({ ...counts, sent: 5 });
  });

  it("pulls its ids only as fast as it sends", async () => {
    const sender = new Manual(2);
    const pulled: string[] = [];
    const done = runBroadcast(
      sender,
      pages((id) => pulled.push(id)),
    );
    await turn();
    expect(pulled).toEqual(["a", "b"]);
    for (const id of IDS) await sender.end(id);
    expect(await done).toEqual({ ...counts, sent: 5 });
  });

  it("pulls one id at a time", async () => {
    let asked = 0;
    let left = 3;
    const source = {
      [Symbol.asyncIterator]: () => ({
        next: async () => {
          expect(++asked).toBe(1);
          await turn();
          asked--;
          return left-- > 0 ? { value: "x", done: false } : { value: undefined, done: true };
        },
      }),
    } as AsyncIterable<string>;
    const sender: Sender = { concurrency: 8, send: async (): Promise<SendOutcome> => "sent" };
    const report = await runBroadcast(sender, source);
    expect(report.sent).toBe(3);
  });

  it("counts each outcome, and returns them in the order of the ids with `results`", async () => {
    const sender = new Manual(3);
    const error = new ConnectionsError("LIMIT_EXCEEDED", "no");
    const done = runBroadcast(sender, ["a", "b", "c"], { results: true });
    await sender.end("c", error);
    await sender.end("b", "gone");
    await sender.end("a");
    expect(await done).toEqual({
      sent: 1,
      gone: 1,
      connecting: 0,
      failed: 1,
      results: [
        { connectionId: "a", outcome: "sent" },
        { connectionId: "b", outcome: "gone" },
        { connectionId: "c", outcome: "failed", error },
      ],
    });
  });

  it('returns only unsent results with "unsent"', async () => {
    const sender: Sender = { concurrency: 1, send: (id) => (id === "b" ? "gone" : "sent") };
    expect(await runBroadcast(sender, ["a", "b", "c"], { results: "unsent" })).toEqual({
      ...counts,
      sent: 2,
      gone: 1,
      results: [{ connectionId: "b", outcome: "gone" }],
    });
  });

  it("is done at once without ids", async () => {
    expect(await runBroadcast(always("sent"), [])).toEqual(counts);
    async function* nobody() {}
    expect(await runBroadcast(new Manual(4), nobody())).toEqual(counts);
  });

  it("rejects with its source's error, after the sends in progress", async () => {
    const sender = new Manual(2);
    async function* broken() {
      yield "a";
      throw new Error("no more pages");
    }
    let settled = false;
    const done = runBroadcast(sender, broken()).finally(() => {
      settled = true;
    });
    done.catch(() => {});
    await turn();
    expect(settled).toBe(false);
    await sender.end("a");
    await expect(done).rejects.toThrow("no more pages");
  });
});

describe("a broadcast that is stopped", () => {
  it("sends nothing with an aborted signal", async () => {
    const sender = new Manual(1);
    const signal = AbortSignal.abort(new Error("too late"));
    await expect(runBroadcast(sender, IDS, { signal })).rejects.toThrow("too late");
    expect(sender.started).toEqual([]);
  });

  it("finishes the sends in progress, and returns the remaining ids", async () => {
    const sender = new Manual(2);
    const controller = new AbortController();
    const done = runBroadcast(sender, IDS, { signal: controller.signal });
    controller.abort();
    await sender.end("a");
    await sender.end("b", "gone");
    const report = await done;
    expect(report).toMatchObject({ sent: 1, gone: 1 });
    expect(await listed(report)).toEqual(["c", "d", "e"]);
    expect(sender.cancelled).toBe(0);
  });

  it("returns the ids of sends that did not finish in time, and ignores their outcomes", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      const sender = new Manual(2);
      const budget = { getRemainingTimeInMillis: () => 1_000 };
      const done = runBroadcast(sender, IDS, { budget, results: true });
      await vi.advanceTimersByTimeAsync(699);
      await sender.end("a");
      await vi.advanceTimersByTimeAsync(1);
      await sender.end("b");
      expect(sender.started).toEqual(["a", "b", "c"]);
      await vi.advanceTimersByTimeAsync(299);
      expect(sender.cancelled).toBe(0);
      await vi.advanceTimersByTimeAsync(1);
      const report = await done;
      await sender.end("c");
      expect(sender.cancelled).toBe(1);
      expect(report.results?.map(({ connectionId }) => connectionId)).toEqual(["a", "b"]);
      expect(report.sent).toBe(2);
      expect((await listed(report))?.sort()).toEqual(["c", "d", "e"]);
    } finally {
      vi.useRealTimers();
    }
  });

  it("does not wait for a slow page: its ids come first among the remaining ones", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      let arrive: () => void = () => {};
      const arrived = new Promise<void>((resolve) => {
        arrive = resolve;
      });
      async function* slow() {
        yield "a";
        await arrived;
        yield* ["b", "c"];
      }
      const sender = { concurrency: 3, send: async (): Promise<SendOutcome> => "sent" };
      const done = runBroadcast(sender, slow(), { budget: { getRemainingTimeInMillis: () => 400 } });
      await vi.advanceTimersByTimeAsync(400);
      const report = await done;
      expect(report.sent).toBe(1);
      arrive();
      expect(await listed(report)).toEqual(["b", "c"]);
    } finally {
      vi.useRealTimers();
    }
  });

  it("returns cancelled ids, and reports no remaining ids when there are none", async () => {
    expect(await listed(await runBroadcast(always(undefined), ["a", "b"]))).toEqual(["a", "b"]);
    const controller = new AbortController();
    const sender = new Manual(5);
    const done = runBroadcast(sender, IDS, { signal: controller.signal });
    controller.abort();
    for (const id of IDS) await sender.end(id);
    expect(await done).not.toHaveProperty("remaining");
  });
});
