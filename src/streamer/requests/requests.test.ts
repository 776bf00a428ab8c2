import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import * as z from "zod";
import { collect, OPEN, type SimulatedClient, simulateStreamer } from "../../../test/streamer/simulation.ts";
import { type AnyContext, LiftError, type Middleware } from "../../lift/index.ts";
import { type Presence, StoreError } from "../../store/index.ts";
import { memoryChannelStore } from "../../store/memory/index.ts";
import { sqliteChannelStore } from "../../store/sqlite/index.ts";
import type { StreamerOptions } from "../options.ts";
import type { Streamer } from "../streamer.ts";
import type { RequestContext, RequestHandler, RequestsOptions } from "./options.ts";

const LONG = { estimatedMs: 60_000 };
const ADA = { user: "ada", tenant: "acme" };

function simulate(requests: RequestsOptions = {}, options: Partial<StreamerOptions> = {}) {
  const simulation = simulateStreamer({
    channels: { room: OPEN },
    requests: { gatherMs: 0, ...requests },
    ...options,
  });
  // biome-ignore lint/suspicious/noExplicitAny: the actions differ from test to test
  const streamer = simulation.streamer as unknown as Streamer<any, any>;
  return { ...simulation, streamer };
}

/** A handler that waits until the test lets it go on. */
function heldHandler(then: RequestHandler = () => "done") {
  const runs: { readonly context: RequestContext; finish: () => void }[] = [];
  const handler: RequestHandler = async (input, context) => {
    await new Promise<void>((resolve) => runs.push({ context, finish: resolve }));
    return then(input, context);
  };
  return { handler, runs, started: (count = 1) => vi.waitUntil(() => runs.length >= count) };
}

const framesOf = (client: SimulatedClient, id: string) =>
  client.received().filter(({ request_id }) => request_id === id);

async function ended(client: SimulatedClient, id: string) {
  const isEnd = ({ type, output }: { type: string; output?: number }) =>
    type === "complete" || (type === "error" && output !== undefined);
  return vi.waitUntil(() => framesOf(client, id).find(isEnd), { timeout: 10_000 });
}

/** The output that a client has received, in the order of the offsets. */
function outputOf(client: SimulatedClient, id: string): string {
  const messages = client.pushed("message").filter(({ channel }) => channel === `request:${id}`);
  const byOffset = new Map(messages.map(({ position, data }) => [position.offset, data.text ?? ""]));
  return [...byOffset]
    .sort(([one], [other]) => one - other)
    .map(([, text]) => text)
    .join("");
}

describe("a request in place", () => {
  it("is answered with its handler's result", async () => {
    const { streamer, client } = simulate();
    streamer.request("double", { input: z.object({ n: z.number() }) }, ({ n }) => n * 2);
    const ada = await client("a", ADA);
    expect(await ada.send({ id: "1", action: "double", payload: { n: 21 } })).toEqual([
      { type: "response", request_id: "1", success: true, data: 42 },
    ]);
  });

  it("lists all issues of an input that does not match its schema", async () => {
    const { streamer, client } = simulate();
    streamer.request("double", { input: z.object({ n: z.number(), m: z.number() }) }, () => 0);
    const ada = await client("a", ADA);
    const [answer] = await ada.send({ id: "1", action: "double", payload: { n: "x" } });
    expect(answer).toMatchObject({ request_id: "1", error: { code: "VALIDATION_ERROR" } });
    expect(answer.error.details.map(({ path }: { path: string[] }) => path)).toEqual([["n"], ["m"]]);
  });

  it.each([
    [
      "a LiftError",
      () => {
        throw new LiftError("FULL", { message: "The room is full" });
      },
      "FULL",
    ],
    [
      "an Error",
      () => {
        throw new Error("secret");
      },
      "INTERNAL_ERROR",
    ],
    [
      "undefined",
      () => {
        throw undefined;
      },
      "INTERNAL_ERROR",
    ],
    [
      "a circular result",
      () => {
        const a: { a?: unknown } = {};
        a.a = a;
        return a;
      },
      "INTERNAL_ERROR",
    ],
    ["a result of 200,000 bytes", () => "x".repeat(200_000), "TOO_LARGE"],
  ])("answers with an error when its handler gives %s", async (_, handler, code) => {
    const { streamer, client } = simulate();
    streamer.request("fail", {}, handler);
    const ada = await client("a", ADA);
    const [answer] = await ada.send({ id: "1", action: "fail" });
    expect(answer).toMatchObject({ type: "error", request_id: "1", error: { code } });
    expect(JSON.stringify(answer)).not.toContain("secret");
  });

  it.each([
    ["is answered when its response has 131,072 bytes", 131_072, "response"],
    ["is answered with TOO_LARGE when its response has 131,073 bytes", 131_073, "error"],
  ])("%s", async (_, bytes, type) => {
    const { streamer, client } = simulate();
    const envelope = JSON.stringify({ type: "response", request_id: "1", success: true, data: "" });
    streamer.request("large", {}, () => "x".repeat(bytes - envelope.length));
    const ada = await client("a", ADA);
    expect(await ada.send({ id: "1", action: "large" })).toMatchObject([{ type, request_id: "1" }]);
  });

  it("validates its input once", async () => {
    const { streamer, client } = simulate();
    const read = vi.fn((text: string) => text.length);
    streamer.request("length", { input: z.string().transform(read) }, (length) => length);
    const ada = await client("a", ADA);
    expect(await ada.send({ id: "1", action: "length", payload: "text" })).toMatchObject([{ data: 4 }]);
    expect(read).toHaveBeenCalledTimes(1);
  });

  it("is answered with TIMEOUT when it overruns, and its signal aborts", async () => {
    const { streamer, client } = simulate();
    const { handler, runs } = heldHandler();
    streamer.request("slow", { timeoutMs: 5 }, handler);
    const ada = await client("a", ADA);
    const [answer] = await ada.send({ id: "1", action: "slow" });
    expect(answer).toMatchObject({ request_id: "1", error: { code: "TIMEOUT", retry: false } });
    expect(runs[0]!.context.signal.aborted).toBe(true);
  });

  it("sends its progress and output to its client, before the answer", async () => {
    const { streamer, client } = simulate();
    streamer.request("count", {}, async (_, { progress, output }) => {
      progress(50, "half");
      await output.write("one ");
      await output.write("two");
      progress(100);
      return 2;
    });
    const ada = await client("a", ADA);
    const sent = await ada.send({ id: "1", action: "count" });
    expect(sent.at(-1)).toMatchObject({ type: "response", data: 2 });
    expect(sent.filter(({ type }) => type === "progress").map(({ percentage }) => percentage)).toEqual([
      50, 100,
    ]);
    expect(outputOf(ada, "1")).toBe("one two");
  });

  it("sends its last progress before its error", async () => {
    const { streamer, client } = simulate();
    streamer.request("fail", {}, async (_, { progress }) => {
      progress(10);
      progress(60);
      throw new LiftError("FULL", { message: "The room is full" });
    });
    const ada = await client("a", ADA);
    expect(await ada.send({ id: "1", action: "fail" })).toMatchObject([
      { type: "progress", percentage: 10 },
      { type: "progress", percentage: 60 },
      { type: "error", error: { code: "FULL" } },
    ]);
  });

  it("that is resent runs again only when it is idempotent", async () => {
    const { streamer, client } = simulate();
    streamer.request("pay", {}, () => "paid").request("look", { idempotent: true }, () => "seen");
    streamer.app.webSocket("own", () => {});
    const ada = await client("a", ADA);
    const resend = async (action: string) =>
      (await ada.send({ id: "1", action: "resend", payload: { action } }))[0];
    expect(await resend("pay")).toMatchObject({
      request_id: "1",
      error: { code: "OUTCOME_UNKNOWN", retry: false },
    });
    expect(await resend("own")).toMatchObject({ error: { code: "OUTCOME_UNKNOWN" } });
    expect(await resend("look")).toMatchObject({ request_id: "1", data: "seen" });
    expect(await resend("nothing")).toMatchObject({ error: { code: "NOT_FOUND" } });
  });

  it("requires its permission", async () => {
    const { streamer, client } = simulate();
    streamer.request("admin", { permission: "admin" }, () => "done");
    const ada = await client("a", ADA);
    expect((await ada.send({ id: "1", action: "admin" }))[0]).toMatchObject({ error: { code: "FORBIDDEN" } });
  });
});

describe("a stored request", () => {
  it("is acknowledged, and its result arrives", async () => {
    const { streamer, client } = simulate();
    streamer.request("report", LONG, async (input, { progress }) => {
      progress(40, "Reading", { rows: 3 });
      return { input };
    });
    const ada = await client("a", ADA);
    const [answer] = await ada.send({ id: "r1", action: "report", payload: { year: 2026 } });
    expect(answer).toMatchObject({ type: "acknowledgment", request_id: "r1", status: "queued" });
    expect(await ended(ada, "r1")).toEqual({
      type: "complete",
      request_id: "r1",
      success: true,
      result: { input: { year: 2026 } },
      output: 0,
    });
    expect(framesOf(ada, "r1").map(({ type }) => type)).toEqual(["acknowledgment", "progress", "complete"]);
    expect(framesOf(ada, "r1")[1]).toMatchObject({
      percentage: 40,
      message: "Reading",
      metadata: { rows: 3 },
      attempt: 1,
    });
    expect(await ada.ask("request", { request: "r1" })).toMatchObject({
      data: {
        id: "r1",
        action: "report",
        state: "COMPLETED",
        attempt: 1,
        result: { input: { year: 2026 } },
        output: 0,
      },
    });
  });

  it("is stored at its client's wish, however short it is", async () => {
    const { streamer, client } = simulate();
    streamer.request("quick", {}, () => 1);
    const ada = await client("a", ADA);
    const [answer] = await ada.send({ id: "r1", action: "quick", background: true });
    expect(answer).toMatchObject({ type: "acknowledgment" });
    expect(await ended(ada, "r1")).toMatchObject({ result: 1 });
  });

  it("runs once, however often it is sent; with another payload it is a CONFLICT", async () => {
    const { streamer, client } = simulate();
    let runs = 0;
    streamer.request("report", LONG, () => ++runs);
    const ada = await client("a", ADA);
    const call = { id: "r1", action: "report", payload: [1] };
    await ada.send(call);
    await ended(ada, "r1");
    expect((await ada.send(call))[0]).toMatchObject({ type: "complete", result: 1 });
    expect(
      (await ada.send({ id: "r1", action: "resend", payload: { action: "report", payload: [1] } }))[0],
    ).toMatchObject({
      type: "complete",
      result: 1,
    });
    expect((await ada.send({ ...call, payload: [2] }))[0]).toMatchObject({ error: { code: "CONFLICT" } });
    expect(runs).toBe(1);
  });

  it("is retried after an error that may pass, and fails for good after the last attempt", async () => {
    const { streamer, client } = simulate();
    const attempts: number[] = [];
    streamer.request(
      "flaky",
      { ...LONG, retry: { attempts: 3, firstMs: 0, longestMs: 0 } },
      (_, { attempt }) => {
        attempts.push(attempt);
        throw new LiftError("UPSTREAM_DOWN", { retry: true, message: "Try later" });
      },
    );
    const ada = await client("a", ADA);
    await ada.send({ id: "r1", action: "flaky" });
    expect(await ended(ada, "r1")).toMatchObject({
      error: { code: "UPSTREAM_DOWN", retry: false },
      output: 0,
    });
    expect(attempts).toEqual([1, 2, 3]);
    expect(
      framesOf(ada, "r1")
        .filter(({ type }) => type === "progress")
        .map(({ attempt }) => attempt),
    ).toEqual([2, 3]);
    expect(await ada.ask("request", { request: "r1" })).toMatchObject({
      data: { state: "FAILED", attempt: 3, error: { code: "UPSTREAM_DOWN" } },
    });
  });

  it.each([
    ["COMPLETED", () => "done"],
    [
      "FAILED",
      () => {
        throw new LiftError("FULL", { message: "The room is full" });
      },
    ],
  ])("keeps its last progress when it is %s, without a write of its own", async (state, end) => {
    const { streamer, client, store } = simulate();
    const renew = vi.spyOn(store.requests!, "renew");
    streamer.request("report", LONG, (_, { progress }) => {
      progress(10);
      progress(60, "Writing");
      return end();
    });
    const ada = await client("a", ADA);
    await ada.send({ id: "r1", action: "report" });
    await ended(ada, "r1");
    expect(await ada.ask("request", { request: "r1" })).toMatchObject({
      data: { state, progress: { percentage: 60, message: "Writing" } },
    });
    expect(renew.mock.calls.map(([, { progress }]) => progress)).toEqual([{ percentage: 10 }]);
  });

  it("ends after the output that was on its way to the store when it failed", async () => {
    const { streamer, client, store } = simulate();
    const append = store.requests!.append.bind(store.requests);
    let fail = () => {};
    vi.spyOn(store.requests!, "append").mockImplementation(async (...args) => {
      const isStored = await append(...args);
      fail();
      // The handler fails before the store answers.
      await new Promise(setImmediate);
      return isStored;
    });
    streamer.request("report", LONG, async (_, { output }) => {
      void output.write("a");
      await new Promise<void>((_resolve, reject) => {
        fail = () => reject(new LiftError("FULL", { message: "The room is full" }));
      });
    });
    const ada = await client("a", ADA);
    await ada.send({ id: "r1", action: "report" });
    expect(await ended(ada, "r1")).toMatchObject({ error: { code: "FULL" }, output: 1 });
    expect(
      ada
        .received()
        .slice(-2)
        .map(({ type }) => type),
    ).toEqual(["message", "error"]);
  });

  it("ends after the output that the store has kept although it failed", async () => {
    const { streamer, client, store } = simulate();
    const append = store.requests!.append.bind(store.requests);
    vi.spyOn(store.requests!, "append").mockImplementation(async (...args) => {
      await append(...args);
      throw new StoreError("STORE_REFUSED", "No answer");
    });
    vi.spyOn(store.requests!, "readOutput").mockRejectedValueOnce(new StoreError("STORE_UNAVAILABLE"));
    streamer.request("report", { ...LONG, retry: { attempts: 1 } }, (_, { output }) => output.write("a"));
    const ada = await client("a", ADA);
    await ada.send({ id: "r1", action: "report" });
    expect(await ended(ada, "r1")).toMatchObject({ error: { code: "STORE_FAILED" }, output: 1 });
  });

  it("completes for a user whose ID is too long for its channel", async () => {
    const { streamer, client } = simulate();
    streamer.request("report", LONG, (_, { progress }) => {
      progress(50);
      return "done";
    });
    const ada = await client("a", { ...ADA, user: "u".repeat(1_024) });
    await ada.send({ id: "r1", action: "report" });
    expect(await ended(ada, "r1")).toMatchObject({ type: "complete", result: "done" });
    expect(framesOf(ada, "r1").map(({ type }) => type)).toEqual(["acknowledgment", "progress", "complete"]);
  });

  it("is not retried after an error that cannot pass", async () => {
    const { streamer, client } = simulate();
    let runs = 0;
    streamer.request("wrong", LONG, () => {
      runs++;
      throw new LiftError("NO_SUCH_YEAR", { message: "There is no such year" });
    });
    const ada = await client("a", ADA);
    await ada.send({ id: "r1", action: "wrong" });
    expect(await ended(ada, "r1")).toMatchObject({ error: { code: "NO_SUCH_YEAR" } });
    expect(runs).toBe(1);
  });

  it("goes on from its last checkpoint, and from the output that it has written", async () => {
    const { streamer, client } = simulate();
    const from: unknown[] = [];
    const retry = { attempts: 3, firstMs: 0, longestMs: 0 };
    streamer.request("staged", { ...LONG, retry }, async (_, { checkpoint, output, attempt }) => {
      from.push([checkpoint.value, output.written]);
      const start = (checkpoint.value as number | undefined) ?? 0;
      for (let n = output.written; n < start + 2; n++) await output.write(`${n} `);
      await checkpoint.save(start + 2);
      if (attempt < 3) throw new Error("It broke");
      return start + 2;
    });
    const ada = await client("a", ADA);
    await ada.send({ id: "r1", action: "staged" });
    expect(await ended(ada, "r1")).toMatchObject({ result: 6 });
    expect(from.map((each) => (each as unknown[])[0])).toEqual([undefined, 2, 4]);
    expect(outputOf(ada, "r1")).toBe("0 1 2 3 4 5 ");
  });

  it.each([
    ["writes output", ({ output }: RequestContext) => output.write("late")],
    ["saves a checkpoint", ({ checkpoint }: RequestContext) => checkpoint.save("late")],
  ])("stops when it %s after another worker has claimed it", async (_what, change) => {
    const { streamer, client, store, now, advance } = simulate();
    const { handler, runs, started } = heldHandler(async (_, context) => {
      await change(context);
      await new Promise(() => {});
    });
    streamer.request("report", LONG, handler);
    const ada = await client("a", ADA);
    await ada.send({ id: "r1", action: "report" });
    await started();
    advance(30_001);
    const lease = { owner: '["acme","ada"]', id: "r1", token: "other" };
    expect(await store.requests!.claim(lease, { now: now(), leaseUntil: now() + 60_000 })).toMatchObject({
      request: { attempt: 2 },
    });
    runs[0]!.finish();
    const { signal } = runs[0]!.context;
    await vi.waitUntil(() => signal.aborted);
    expect(signal.reason).toMatchObject({ code: "CANCELLED" });
    const kept = await store.requests!.claim(
      { ...lease, token: "third" },
      { now: now() + 60_000, leaseUntil: now() + 120_000 },
    );
    expect(kept).toMatchObject({ checkpoint: undefined, output: { offset: 0 } });
  });

  it.each<[string, object, RequestHandler, RegExp]>([
    ["does not match its schema", { output: z.number() }, () => "one", /internal/i],
    ["comes too late", { timeoutMs: 5 }, () => new Promise(() => {}), /longer than 5 ms/],
  ])("fails when its result %s", async (_what, definition, handler, message) => {
    const { streamer, client } = simulate();
    streamer.request("report", { ...LONG, retry: { attempts: 1 }, ...definition }, handler);
    const ada = await client("a", ADA);
    await ada.send({ id: "r1", action: "report" });
    expect(await ended(ada, "r1")).toMatchObject({ error: { message: expect.stringMatching(message) } });
  });

  it("is cancelled by its user, from another device, and its handler stops", async () => {
    const { streamer, client } = simulate();
    const { handler, runs, started } = heldHandler();
    streamer.request("report", LONG, handler);
    const [desk, phone] = [await client("desk", ADA), await client("phone", ADA)];
    await desk.send({ id: "r1", action: "report" });
    await started();
    expect(await phone.ask("cancel", { request: "r1" })).toMatchObject({ data: { state: "CANCELLED" } });
    const { context, finish } = runs[0]!;
    expect(context.signal.aborted).toBe(true);
    await expect(context.output.write("late")).rejects.toMatchObject({ code: "CANCELLED" });
    context.progress(99);
    finish();
    expect(await ended(desk, "r1")).toMatchObject({ error: { code: "CANCELLED" } });
    expect(await phone.ask("request", { request: "r1" })).toMatchObject({
      data: { state: "CANCELLED", output: 0 },
    });
    expect(await phone.ask("cancel", { request: "r1" })).toMatchObject({ data: { state: "CANCELLED" } });
    expect(framesOf(desk, "r1").filter(({ type }) => type === "progress")).toEqual([]);
  });

  it("is cancelled by the end of its connection only if its action says so", async () => {
    const { streamer, client } = simulate();
    const [kept, ends] = [heldHandler(), heldHandler()];
    streamer
      .request("kept", LONG, kept.handler)
      .request("ends", { ...LONG, cancelOnDisconnect: true }, ends.handler);
    const [desk, phone] = [await client("desk", ADA), await client("phone", ADA)];
    await desk.send({ id: "r1", action: "kept" });
    await desk.send({ id: "r2", action: "ends" });
    await phone.send({ id: "r3", action: "ends" });
    await Promise.all([kept.started(), ends.started(2)]);
    await desk.leave();
    expect(kept.runs[0]!.context.signal.aborted).toBe(false);
    expect(ends.runs.map(({ context }) => context.signal.aborted)).toEqual([true, false]);
    const { data } = await phone.ask("requests", {});
    expect(
      data.requests.map(({ id, state }: { id: string; state: string }) => `${id} ${state}`).sort(),
    ).toEqual(["r1 PROCESSING", "r2 CANCELLED", "r3 PROCESSING"]);
  });

  it("is not looked for at a disconnect if it is older than the connection", async () => {
    const { streamer, client, store, advance, now } = simulate();
    const held = heldHandler();
    streamer.request("ends", { ...LONG, cancelOnDisconnect: true }, held.handler);
    const ada = await client("a", ADA);
    await ada.send({ id: "new", action: "ends" });
    await held.started();
    const owner = '["acme","ada"]';
    const createdAt = now() - 120_000;
    const old = { action: "ends", input: null, tenant: '"acme"', identity: {}, priority: 0, createdAt };
    for (let n = 0; n < 150; n++) {
      await store.requests!.create({ ...old, owner, id: `old-${n}`, dueAt: now() + 1e9 });
    }
    const list = vi.spyOn(store.requests!, "list");
    await ada.leave();
    expect(list).toHaveBeenCalledTimes(1);
    advance(1);
    expect(held.runs[0]!.context.signal.aborted).toBe(true);
  });

  it("that cannot be read at a disconnect does not end the function before members are removed", async () => {
    const { streamer, client, store } = simulate();
    streamer.request("ends", { ...LONG, cancelOnDisconnect: true }, () => 1);
    const ada = await client("a", ADA);
    await ada.ask("subscribe", { channels: [{ channel: "room:a" }] });
    vi.spyOn(store.requests!, "list").mockRejectedValue(new Error("The table is throttled"));
    const remove = store.members.remove.bind(store.members);
    vi.spyOn(store.members, "remove").mockImplementation(async (...member): Promise<Presence | undefined> => {
      await new Promise(setImmediate);
      return remove(...member);
    });
    await ada.leave();
    expect(await streamer.count("room:a", { tenantId: "acme" })).toBe(0);
  });

  it("starts no earlier than its client asks", async () => {
    const { streamer, client, now, advance } = simulate();
    const { handler, runs, started } = heldHandler();
    streamer.request("later", {}, handler);
    const ada = await client("a", ADA);
    await ada.send({ id: "r1", action: "later", startAt: now() + 60_000 });
    await streamer.app.tick();
    expect(runs).toEqual([]);
    advance(60_000);
    await streamer.app.tick();
    await started();
    runs[0]!.finish();
    await ended(ada, "r1");
  });

  it("starts at its time without a tick", async () => {
    const { streamer, client, now, advance } = simulate();
    streamer.request("later", {}, () => "done");
    const ada = await client("a", ADA);
    await ada.send({ id: "r1", action: "later", startAt: now() + 10 });
    advance(10);
    expect(await ended(ada, "r1")).toMatchObject({ result: "done" });
  });

  it("gives its handler what the schema of its input returns", async () => {
    const { streamer, client } = simulate();
    const input = z.string().transform((text) => text.length);
    streamer.request("length", { ...LONG, input }, (length) => length);
    const ada = await client("a", ADA);
    await ada.send({ id: "r1", action: "length", payload: "text" });
    expect(await ended(ada, "r1")).toMatchObject({ result: 4 });
  });

  it("starts within 90 days, and at once if its client is anonymous", async () => {
    const { streamer, client, now } = simulate();
    streamer.request("later", LONG, () => 1);
    const [ada, nobody] = [await client("a", ADA), await client("n")];
    const call = { id: "0123456789abcdef", action: "later" };
    const at = (ms: number) => ({ ...call, startAt: now() + ms });
    const [tooLate] = await ada.send(at(90 * 86_400_000 + 1));
    expect(tooLate).toMatchObject({ error: { code: "VALIDATION_ERROR" } });
    expect(await ada.send(at(90 * 86_400_000))).toMatchObject([{ type: "acknowledgment" }]);
    expect(await nobody.send(at(1))).toMatchObject([{ error: { code: "FORBIDDEN" } }]);
    await nobody.send(call);
    expect(await ended(nobody, call.id)).toMatchObject({ result: 1 });
  });

  it("keeps of an error what can be stored", async () => {
    const { streamer, client } = simulate();
    const faults = [{ n: 1n }, { text: "x".repeat(8_192) }, { reason: "full" }];
    streamer.request("report", LONG, (n) => {
      throw new LiftError("FULL", { message: "x".repeat(3_000), details: faults[Number(n)] });
    });
    const ada = await client("a", ADA);
    const errors = faults.map(async (_, n) => {
      await ada.send({ id: `r${n}`, action: "report", payload: n });
      return (await ended(ada, `r${n}`)).error;
    });
    const error = { code: "FULL", message: "x".repeat(2_048), retry: false };
    expect(await Promise.all(errors)).toEqual([error, error, { ...error, details: { reason: "full" } }]);
  });

  it("can be read, watched, listed and cancelled by its user only", async () => {
    const { streamer, client } = simulate();
    const { handler, runs, started } = heldHandler(() => "secret");
    streamer.request("report", LONG, handler);
    const ada = await client("a", ADA);
    await ada.send({ id: "r1", action: "report" });
    await started();
    const others = [
      await client("b", { user: "bob", tenant: "acme" }),
      await client("c", { user: "ada", tenant: "evil" }),
      await client("d", { tenant: "acme" }),
      await client("e"),
    ];
    for (const other of others) {
      expect(await other.ask("request", { request: "r1" })).toMatchObject({ error: { code: "NOT_FOUND" } });
      expect(await other.ask("cancel", { request: "r1" })).toMatchObject({ error: { code: "NOT_FOUND" } });
      expect(await other.ask("result", { request: "r1" })).toMatchObject({ error: { code: "NOT_FOUND" } });
      expect(await other.ask("subscribe", { channels: [{ channel: "request:r1" }] })).toMatchObject({
        data: { channels: [{ error: { code: "NOT_FOUND" } }] },
      });
      expect(await other.ask("history", { channel: "request:r1" })).toMatchObject({
        error: { code: "NOT_FOUND" },
      });
    }
    runs[0]!.finish();
    await ended(ada, "r1");
    expect(await ada.ask("requests", {})).toMatchObject({
      data: { requests: [{ id: "r1", state: "COMPLETED" }] },
    });
    expect(await ada.ask("requests", { after: "nonsense" })).toMatchObject({
      error: { code: "VALIDATION_ERROR" },
    });
    expect(await others[0]!.ask("requests", {})).toMatchObject({ data: { requests: [] } });
    expect(await others[3]!.ask("requests", {})).toMatchObject({ error: { code: "FORBIDDEN" } });
    for (const other of others) expect(JSON.stringify(other.received())).not.toContain("secret");
  });

  it("are not listed when the store refuses, which is no fault of the client", async () => {
    const { client, store } = simulate();
    const ada = await client("a", ADA);
    const refused = new StoreError("STORE_REFUSED", "Query on requests failed: AccessDeniedException");
    vi.spyOn(store.requests!, "list").mockRejectedValue(refused);
    expect(await ada.ask("requests", {})).toMatchObject({ error: { code: "STORE_FAILED" } });
  });

  it("of an anonymous client needs an id that nobody can guess", async () => {
    const { streamer, client } = simulate();
    streamer.request("report", LONG, () => 1);
    const nobody = await client("n");
    expect((await nobody.send({ id: "short", action: "report" }))[0]).toMatchObject({
      error: { code: "VALIDATION_ERROR" },
    });
    const id = "0123456789abcdef";
    await nobody.send({ id, action: "report" });
    expect(await ended(nobody, id)).toMatchObject({ result: 1 });
  });

  it("is refused past the limits of its user and tenant, but not again for one that is stored", async () => {
    const { streamer, client } = simulate({ limits: { user: 2, tenant: 3 } });
    const { handler } = heldHandler();
    streamer.request("report", LONG, handler);
    const [ada, bob] = [await client("a", ADA), await client("b", { user: "bob", tenant: "acme" })];
    const outcome = async (from: SimulatedClient, id: string) => {
      const [answer] = await from.send({ id, action: "report" });
      return answer.error?.code ?? answer.type;
    };
    expect([await outcome(ada, "1"), await outcome(ada, "2"), await outcome(ada, "3")]).toEqual([
      "acknowledgment",
      "acknowledgment",
      "RATE_LIMITED",
    ]);
    expect(await outcome(ada, "2")).toBe("acknowledgment");
    expect([await outcome(bob, "1"), await outcome(bob, "2")]).toEqual(["acknowledgment", "RATE_LIMITED"]);
  });

  it.each(["memory", "SQLite"])(
    "is refused past the limits also when many are sent at once: %s",
    async (name) => {
      const folder = mkdtempSync(join(tmpdir(), "lift-ws-limits-"));
      const sqlite = sqliteChannelStore({ path: join(folder, "requests.db") });
      onTestFinished(async () => {
        await sqlite.close();
        rmSync(folder, { recursive: true });
      });
      const store = name === "memory" ? memoryChannelStore() : sqlite;
      const { streamer, client } = simulate({ limits: { user: 3, tenant: 5 } }, { store, now: Date.now });
      streamer.request("report", LONG, heldHandler().handler);
      const clients = await Promise.all(
        ["ada", "bob", "cy"].map((user) => client(user, { user, tenant: "acme" })),
      );
      await Promise.all(
        clients.flatMap((each) =>
          Array.from({ length: 20 }, (_, n) => each.send({ id: `r${n}`, action: "report" })),
        ),
      );
      const accepted = clients.map(
        (each) => each.received().filter(({ type }) => type === "acknowledgment").length,
      );
      expect(accepted.reduce((sum, count) => sum + count)).toBe(5);
      expect(Math.max(...accepted)).toBe(3);
      await streamer.app.stop();
    },
  );

  it("reads a large result in pieces", async () => {
    const { streamer, client } = simulate();
    const result = '\u{1F600}ü"\\'.repeat(12_000);
    streamer.request("report", LONG, () => result);
    const ada = await client("a", ADA);
    await ada.send({ id: "r1", action: "report" });
    const { result_bytes: bytes } = await ended(ada, "r1");
    expect(bytes).toBe(Buffer.byteLength(JSON.stringify(result)));
    let text = "";
    for (let more = true; more; ) {
      const { data } = await ada.ask("result", { request: "r1", from: text.length });
      text += data.text;
      more = data.more;
    }
    expect(JSON.parse(text)).toBe(result);
  });

  it.each([
    ["completes with a result of 307,200 bytes", 307_200, { result_bytes: 307_200 }],
    ["fails with TOO_LARGE for a result of 307,201 bytes", 307_201, { error: { code: "TOO_LARGE" } }],
  ])("%s", async (_, bytes, end) => {
    const { streamer, client } = simulate();
    streamer.request("report", LONG, () => "x".repeat(bytes - 2));
    const ada = await client("a", ADA);
    await ada.send({ id: "r1", action: "report" });
    expect(await ended(ada, "r1")).toMatchObject(end);
  });

  it("gets a message of several parts", async () => {
    const { streamer, client } = simulate();
    streamer.request("length", LONG, (input) => (input as string).length);
    const ada = await client("a", ADA);
    const text = JSON.stringify({ id: "7", action: "length", payload: "x".repeat(40_000) });
    const half = Math.ceil(text.length / 2);
    for (const [index, part] of [text.slice(0, half), text.slice(half)].entries()) {
      await ada.send({ id: "7", action: "part", payload: { message: 7, index, count: 2, text: part } });
    }
    expect(await ended(ada, "7")).toMatchObject({ result: 40_000 });
  });
});

describe("the output of a stored request", () => {
  it("has what its handler wrote before it failed", async () => {
    const { streamer, client } = simulate({ gatherMs: 10_000 });
    streamer.request("story", { ...LONG, retry: { attempts: 1 } }, async (_, { output }) => {
      await output.write("once upon");
      throw new LiftError("BROKEN", { message: "It is broken" });
    });
    const ada = await client("a", ADA);
    await ada.send({ id: "r1", action: "story" });
    expect(await ended(ada, "r1")).toMatchObject({ output: 1, error: { code: "BROKEN" } });
    expect(outputOf(ada, "r1")).toBe("once upon");
  });

  it("reaches its client, and is read whole in one message later", async () => {
    const { streamer, client } = simulate();
    const words = Array.from({ length: 400 }, (_, n) => `word${n} `);
    streamer.request("answer", LONG, async (_, { output }) => {
      for (const word of words) {
        await output.write(word);
        // Lets the store take each one alone.
        if (output.written === 0) await new Promise(setImmediate);
      }
    });
    const [desk, phone] = [await client("desk", ADA), await client("phone", ADA)];
    await desk.send({ id: "r1", action: "answer" });
    const { output, result } = await ended(desk, "r1");
    expect(result).toBeNull();
    expect(output).toBeGreaterThan(100);
    expect(outputOf(desk, "r1")).toBe(words.join(""));
    const position = { epoch: "output", offset: 0 };
    const answer = await phone.ask("subscribe", { channels: [{ channel: "request:r1", position }] });
    expect(answer.data.channels[0]).toMatchObject({
      recovered: true,
      position: { epoch: "output", offset: output },
      messages: [{ data: { text: words.join("") }, position: { offset: output }, from: 1 }],
    });
  });

  it("reaches every watcher in order, also one that comes late", async () => {
    const { streamer, client } = simulate();
    const { handler, runs, started } = heldHandler(async (_, { output }) => {
      await output.write({ second: 2 });
    });
    streamer.request("answer", LONG, async (input, context) => {
      await context.output.write("first");
      await handler(input, context);
    });
    const [desk, phone] = [await client("desk", ADA), await client("phone", ADA)];
    await desk.send({ id: "r1", action: "answer" });
    await started();
    const from = { channel: "request:r1", position: { epoch: "output", offset: 0 } };
    const { data } = await phone.ask("subscribe", { channels: [from] });
    expect(data.channels[0].messages.map((message: { data: unknown }) => message.data)).toEqual([
      { text: "first" },
    ]);
    runs[0]!.finish();
    await ended(phone, "r1");
    expect(phone.pushed("message").map(({ data, position }) => [data, position.offset])).toEqual([
      [{ values: [{ second: 2 }] }, 2],
    ]);
    expect(desk.pushed("message")).toHaveLength(2);
    expect(
      await phone.ask("heartbeat", { positions: { "request:r1": { epoch: "output", offset: 1 } } }),
    ).toMatchObject({
      data: { heads: { "request:r1": { epoch: "output", offset: 2 } } },
    });
    await phone.leave();
  });

  it("takes streams of bytes and text, and ends at its limit", async () => {
    const { streamer, client } = simulate({ limits: { outputBytes: 40 } });
    const euro = new TextEncoder().encode("€");
    streamer.request("answer", LONG, async (_, { output }) => {
      await output.from([euro.slice(0, 1), euro.slice(1), "uro"]);
      await output.write("x".repeat(100));
    });
    const ada = await client("a", ADA);
    await ada.send({ id: "r1", action: "answer" });
    expect(await ended(ada, "r1")).toMatchObject({ error: { code: "RATE_LIMITED" } });
    expect(outputOf(ada, "r1")).toBe("€uro");
  });

  it("counts the output of earlier attempts against its limit", async () => {
    const { streamer, client } = simulate({ limits: { outputBytes: 40 } });
    const retry = { attempts: 5, firstMs: 0, longestMs: 0 };
    streamer.request("answer", { ...LONG, retry }, async (_, { attempt, output }) => {
      // 10 bytes of JSON.
      await output.write(`${attempt}       `);
      throw new Error("broken");
    });
    const ada = await client("a", ADA);
    await ada.send({ id: "r1", action: "answer" });
    expect(await ended(ada, "r1")).toMatchObject({ error: { code: "RATE_LIMITED" } });
    expect(outputOf(ada, "r1").split(/ +/)).toEqual(["1", "2", "3", "4", ""]);
  });
});

describe("server code", () => {
  it("lists, reads, cancels and redrives the requests of any user", async () => {
    const { streamer, client } = simulate();
    const held = heldHandler();
    let isBroken = true;
    streamer
      .request("report", LONG, async (_, { checkpoint }) => {
        if (isBroken) await checkpoint.save("half way");
        if (isBroken) throw new LiftError("BROKEN", { message: "It is broken" });
        return { from: checkpoint.value ?? "the start" };
      })
      .request("hold", LONG, held.handler);
    const requests = streamer.requests!;
    const owner = { userId: "ada", tenantId: "acme" };
    const ada = await client("a", ADA);
    await ada.send({ id: "r1", action: "report" });
    await ended(ada, "r1");
    expect(await collect(requests.failed())).toMatchObject([
      { id: "r1", action: "report", state: "FAILED", ...owner, error: { code: "BROKEN" } },
    ]);
    isBroken = false;
    await expect(requests.redrive("r1", { userId: "bob" })).rejects.toMatchObject({ code: "NOT_FOUND" });
    expect(await requests.redrive("r1", owner)).toMatchObject({ state: "PENDING", attempt: 0 });
    await vi.waitUntil(() => framesOf(ada, "r1").some(({ type }) => type === "complete"));
    expect(await requests.get("r1", owner)).toMatchObject({
      state: "COMPLETED",
      result: { from: "half way" },
    });
    expect(await collect(requests.failed())).toEqual([]);
    await ada.send({ id: "r2", action: "hold" });
    await held.started();
    expect(await requests.cancel("r2", owner)).toMatchObject({ id: "r2", state: "CANCELLED" });
    expect(await ended(ada, "r2")).toMatchObject({ error: { code: "CANCELLED" } });
    expect((await requests.list(owner)).requests.map(({ state }) => state).sort()).toEqual([
      "CANCELLED",
      "COMPLETED",
    ]);
    await expect(requests.get("r3", owner)).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  it("gets no tenant for a user without one", async () => {
    const { streamer, client } = simulate();
    streamer.request("report", LONG, () => 1);
    const eve = await client("e", { user: "eve" });
    await eve.send({ id: "r1", action: "report" });
    const { requests } = await streamer.requests!.list({ userId: "eve" });
    expect(requests).toMatchObject([{ id: "r1", userId: "eve" }]);
    expect(requests[0]).not.toHaveProperty("tenantId");
  });
});

describe("middleware", () => {
  it("wraps requests in place and each attempt of a stored one, without its guards", async () => {
    const seen: unknown[] = [];
    const record = (name: string, phase?: "guard" | "observer"): Middleware =>
      Object.assign(async (ctx: AnyContext, next: () => Promise<void>) => {
        const { route, action, userId, tenantId } = ctx;
        if (route === "$default") seen.push([`${name} before`, action, userId, tenantId]);
        await next();
        if (route === "$default") seen.push([`${name} after`, ctx.outcome.code]);
      }, phase && { phase });
    const identify: Middleware = (ctx, next) => {
      if (ctx.query("user") !== undefined) ctx.setUserId("ada").setTenantId("acme");
      return next();
    };
    const middleware = [identify, record("observer", "observer"), record("guard", "guard"), record("around")];
    const { client, streamer } = simulateStreamer({ channels: { room: OPEN }, middleware });
    streamer
      .request("quick", {}, () => seen.push("run"))
      .request("report", { ...LONG, retry: { attempts: 1 } }, () => {
        seen.push("run");
        throw new LiftError("FULL", { message: "Full" });
      });
    const ada = await client("a", ADA);
    await ada.send({ id: "1", action: "quick" });
    const inPlace = seen.splice(0);
    await ada.send({ id: "2", action: "report" });
    await ended(ada, "2");
    expect(inPlace.map((each) => (Array.isArray(each) ? each[0] : each))).toEqual([
      "observer before",
      "guard before",
      "around before",
      "run",
      "around after",
      "guard after",
      "observer after",
    ]);
    // The event that accepts a stored request, and its attempt.
    const before = seen.filter((each) => String(each).includes(" before")) as unknown[][];
    expect(before.map(([name, action]) => [name, action])).toEqual([
      ["observer before", "report"],
      ["guard before", "report"],
      ["around before", "report"],
      ["observer before", "report"],
      ["around before", "report"],
    ]);
    expect(before.at(-1)).toEqual(["around before", "report", "ada", "acme"]);
    expect(seen).toContainEqual(["observer after", "FULL"]);
  });

  it("that does not call next() fails the attempt", async () => {
    let attempts = 0;
    const refuse: Middleware = (ctx, next) =>
      ctx.action === "report" && ++attempts > 1 ? undefined : next();
    const { client, streamer } = simulateStreamer({ channels: { room: OPEN }, middleware: [refuse] });
    streamer.request("report", { ...LONG, retry: { attempts: 1 } }, () => 1);
    const nobody = await client("n");
    const id = "0123456789abcdef";
    await nobody.send({ id, action: "report" });
    expect(await ended(nobody, id)).toMatchObject({ error: { code: "INTERNAL_ERROR" } });
  });
});

describe("a store without requests", () => {
  const withoutRequests = () => {
    const { requests: _, ...store } = memoryChannelStore();
    return simulate({}, { store });
  };

  it("has handlers that answer in place, within 25 seconds", () => {
    const { streamer } = withoutRequests();
    const add = (name: string, options: object) => () => streamer.request(name, options, () => 1);
    expect(add("a", { timeoutMs: 25_000 })).not.toThrow();
    expect(add("b", { timeoutMs: 25_001 })).toThrow("`b.timeoutMs` must be at most 25,000");
    expect(add("c", LONG)).toThrow("The request `c` is long, so it needs a `store` with `requests`");
    expect(() => simulate().streamer.request("b", { timeoutMs: 25_001 }, () => 1)).not.toThrow();
  });

  it("lets connections end whose requests would be cancelled", async () => {
    const { streamer, client, lines } = withoutRequests();
    streamer.request("echo", { cancelOnDisconnect: true }, (input) => input);
    const ada = await client("a", ADA);
    expect(await ada.leave()).toMatchObject({ statusCode: 200 });
    expect(lines).toEqual([]);
  });
});

describe("the workers", () => {
  it("run in `lift-ws dev`, which has Lambda's environment, on any store", async () => {
    vi.stubEnv("AWS_LAMBDA_FUNCTION_NAME", "router");
    onTestFinished(() => void vi.unstubAllEnvs());
    const store = memoryChannelStore();
    // As on DynamoDB.
    Object.assign(store.requests!, { listOpen: undefined });
    const { streamer, client } = simulate({}, { store });
    streamer.request("report", LONG, () => 1);
    const ada = await client("a", ADA);
    await ada.send({ id: "r1", action: "report" });
    expect(await ended(ada, "r1")).toMatchObject({ result: 1 });
  });

  it("run as many requests as there are, and as an action allows", async () => {
    const { streamer, client } = simulate({ workers: 3 });
    const [one, other] = [heldHandler(), heldHandler()];
    streamer.request("one", { ...LONG, concurrency: 1 }, one.handler).request("other", LONG, other.handler);
    const ada = await client("a", ADA);
    for (const id of ["1", "2", "3"]) await ada.send({ id: `one-${id}`, action: "one" });
    for (const id of ["1", "2", "3"]) await ada.send({ id: `other-${id}`, action: "other" });
    await Promise.all([one.started(1), other.started(2)]);
    expect([one.runs.length, other.runs.length]).toEqual([1, 2]);
    one.runs[0]!.finish();
    await one.started(2);
    other.runs[0]!.finish();
    await other.started(3);
  });

  it("start the highest priority first, and let tenants take turns", async () => {
    const { streamer, client } = simulate({ workers: 1 });
    const order: unknown[] = [];
    const first = heldHandler();
    streamer
      .request("first", LONG, first.handler)
      .request("low", LONG, (input) => void order.push(input))
      .request("high", { ...LONG, priority: 1 }, (input) => void order.push(input));
    const [ada, bob] = [await client("a", ADA), await client("b", { user: "bob", tenant: "math" })];
    await ada.send({ id: "0", action: "first" });
    await first.started();
    for (const n of [1, 2, 3]) await ada.send({ id: `low-${n}`, action: "low", payload: `ada low ${n}` });
    await ada.send({ id: "high", action: "high", payload: "ada high" });
    await bob.send({ id: "low", action: "low", payload: "bob low" });
    first.runs[0]!.finish();
    await ended(ada, "low-3");
    expect(order).toEqual(["ada high", "ada low 1", "bob low", "ada low 2", "ada low 3"]);
  });

  it("hand over what runs when the app stops, and the next process goes on at once", async () => {
    const before = simulate();
    const held = heldHandler();
    const first = before.streamer.request("report", LONG, async (input, context) => {
      await context.checkpoint.save("half");
      return held.handler(input, context);
    });
    const ada = await before.client("a", ADA);
    await ada.send({ id: "r1", action: "report" });
    await held.started();
    await first.app.stop();
    expect(held.runs[0]!.context.signal.aborted).toBe(true);
    await ada.send({ id: "r2", action: "report" });
    const { store, connectionStore, connections, now } = before;
    const after = simulateStreamer({ channels: { room: OPEN }, store, connectionStore, connections, now });
    after.streamer.request("report", LONG, (_, { attempt, checkpoint }) => [
      attempt,
      checkpoint.value ?? null,
    ]);
    await after.streamer.resume();
    expect(await ended(ada, "r1")).toMatchObject({ result: [1, "half"] });
    expect(await ended(ada, "r2")).toMatchObject({ result: [1, null] });
    expect(held.runs).toHaveLength(1);
  });

  it("take over what an earlier process has left", async () => {
    const before = simulate();
    const held = heldHandler();
    before.streamer.request("report", LONG, held.handler);
    const ada = await before.client("a", ADA);
    await ada.send({ id: "r1", action: "report" });
    await held.started();
    // Another process over the same store.
    const after = simulateStreamer({
      channels: { room: OPEN },
      store: before.store,
      connectionStore: before.connectionStore,
      connections: before.connections,
      now: before.now,
    });
    let taken: number | undefined;
    after.streamer.request("report", LONG, (_, { attempt }) => {
      taken = attempt;
      return "taken over";
    });
    await after.streamer.resume();
    expect(taken).toBeUndefined();
    before.advance(30_001);
    await after.streamer.app.tick();
    expect(await ended(ada, "r1")).toMatchObject({ result: "taken over" });
    expect(taken).toBe(2);
    held.runs[0]!.finish();
    await vi.waitUntil(() => held.runs[0]!.context.signal.aborted);
    expect(framesOf(ada, "r1").filter(({ type }) => type === "complete")).toHaveLength(1);
  });

  it("run a request again when the store did not take its end", async () => {
    const { streamer, client, store, advance } = simulate();
    vi.spyOn(store.requests!, "finish").mockRejectedValueOnce(new Error()).mockRejectedValueOnce(new Error());
    streamer.request("report", LONG, (_, { attempt }) => attempt);
    const ada = await client("a", ADA);
    const get = vi.spyOn(store.requests!, "get");
    await ada.send({ id: "r1", action: "report" });
    await vi.waitUntil(() => get.mock.calls.length > 0);
    await get.mock.results[0]!.value;
    advance(30_001);
    await streamer.app.tick();
    expect(await ended(ada, "r1")).toMatchObject({ result: 2 });
  });

  it("fail a request whose every worker has died", async () => {
    const before = simulate({ workers: 0 });
    const definition = { ...LONG, retry: { attempts: 2 } };
    before.streamer.request("report", definition, () => 1);
    const ada = await before.client("a", ADA);
    await ada.send({ id: "r1", action: "report" });
    const { store, connectionStore, connections, now, advance } = before;
    for (const token of ["first", "second"]) {
      const lease = { owner: '["acme","ada"]', id: "r1", token };
      expect(await store.requests!.claim(lease, { now: now(), leaseUntil: now() + 1 })).toBeDefined();
      advance(1);
    }
    const after = simulateStreamer({ channels: { room: OPEN }, store, connectionStore, connections, now });
    const handler = vi.fn();
    after.streamer.request("report", definition, handler);
    await after.streamer.resume();
    expect(await ended(ada, "r1")).toMatchObject({ error: { code: "INTERNAL_ERROR" } });
    expect(handler).not.toHaveBeenCalled();
    expect(await collect(after.streamer.requests!.failed())).toMatchObject([{ id: "r1", attempt: 3 }]);
  });

  it("pause before they store the end of an attempt again", async () => {
    const { streamer, client, store } = simulate();
    streamer.request("report", LONG, () => {
      throw new LiftError("BROKEN", { message: "It is broken" });
    });
    const finish = store.requests!.finish.bind(store.requests);
    const start = performance.now();
    const spy = vi
      .spyOn(store.requests!, "finish")
      .mockImplementation(async (...attempt): Promise<boolean> => {
        if (performance.now() - start < 400) throw new StoreError("STORE_UNAVAILABLE", "throttled");
        return finish(...attempt);
      });
    const ada = await client("a", ADA);
    await ada.send({ id: "r1", action: "report" });
    expect(await ended(ada, "r1")).toMatchObject({ error: { code: "BROKEN" } });
    expect(spy.mock.calls.length).toBeLessThanOrEqual(4);
  });

  it("run a request that is redriven before its failure is sent", async () => {
    const { streamer, client, store } = simulate();
    streamer.request("report", LONG, (_, { attempt, checkpoint }) => {
      if (runs.push(attempt) === 1) throw new LiftError("BROKEN", { message: "It is broken" });
      return checkpoint.value ?? "done";
    });
    const runs: number[] = [];
    const finish = store.requests!.finish.bind(store.requests);
    vi.spyOn(store.requests!, "finish").mockImplementation(async (lease, outcome, at): Promise<boolean> => {
      const isStored = await finish(lease, outcome, at);
      if (outcome.state === "FAILED")
        await streamer.requests!.redrive("r1", { userId: "ada", tenantId: "acme" });
      return isStored;
    });
    const ada = await client("a", ADA);
    await ada.send({ id: "r1", action: "report" });
    await vi.waitUntil(() => framesOf(ada, "r1").some(({ type }) => type === "complete"));
    expect(runs).toEqual([1, 1]);
  });

  it.each([
    ["create", "stops", { state: "PENDING", attempt: 0 }],
    ["create", "cancels it", { state: "CANCELLED" }],
    ["claim", "stops", { state: "PENDING", attempt: 0 }],
    ["claim", "cancels it", { state: "CANCELLED" }],
  ] as const)(
    "do not run a request that is claimed by `%s` while the process %s",
    async (name, event, end) => {
      const { streamer, client, store } = simulate();
      const handler = vi.fn();
      streamer.request("report", LONG, handler);
      const requests = store.requests!;
      // A store that several processes share claims nothing as it creates.
      if (name === "claim") Object.assign(requests, { listOpen: undefined });
      const call: (...options: never[]) => Promise<unknown> = requests[name].bind(requests);
      vi.spyOn(requests, name).mockImplementation(async (...options: unknown[]): Promise<never> => {
        const claimed = await call(...(options as never[]));
        if (event === "stops") void streamer.app.stop();
        else await streamer.requests!.cancel("r1", { userId: "ada", tenantId: "acme" });
        return claimed as never;
      });
      const ada = await client("a", ADA);
      await ada.send({ id: "r1", action: "report" });
      await vi.waitFor(async () => {
        const found = await store.requests!.get({ owner: '["acme","ada"]', id: "r1" });
        expect(found).toMatchObject(end);
      });
      await streamer.app.stop();
      expect(handler).not.toHaveBeenCalled();
    },
  );

  it("survive a handler that waits for none of its writes when its request is cancelled", async () => {
    const { streamer, client, lines } = simulate();
    const gate = Promise.withResolvers<void>();
    const refused = Promise.withResolvers<unknown>();
    streamer.request("story", LONG, async (_, { output, checkpoint }) => {
      await gate.promise;
      void output.write("late");
      void output.from(["late"]);
      void checkpoint.save("late");
      void checkpoint.save(1n);
      await new Promise(setImmediate);
      refused.resolve(undefined);
    });
    const ada = await client("a", ADA);
    await ada.send({ id: "r1", action: "story" });
    await ada.ask("cancel", { request: "r1" });
    gate.resolve();
    // An unhandled rejection would fail the test run.
    await refused.promise;
    expect(outputOf(ada, "r1")).toBe("");
    expect(lines).toEqual([]);
  });

  it("claim a request as they store it, and run what was stored although the answer was lost", async () => {
    const { streamer, client, store } = simulate();
    const requests = store.requests!;
    const [create, claim] = [requests.create.bind(requests), vi.spyOn(requests, "claim")];
    const attempts: number[] = [];
    streamer.request(
      "report",
      { ...LONG, retry: { attempts: 1 } },
      (_, { attempt }) => void attempts.push(attempt),
    );
    const ada = await client("a", ADA);
    await ada.send({ id: "r1", action: "report" });
    await ended(ada, "r1");
    expect(claim).not.toHaveBeenCalled();
    vi.spyOn(requests, "create").mockImplementationOnce(async (...options) => {
      await create(...options);
      throw new StoreError("STORE_UNAVAILABLE");
    });
    await ada.send({ id: "r2", action: "report" });
    await vi.waitUntil(() =>
      framesOf(ada, "r2").some(
        ({ error }) => (error as { code?: string } | undefined)?.code === "STORE_FAILED",
      ),
    );
    await vi.waitUntil(
      async () => (await requests.get({ owner: '["acme","ada"]', id: "r2" }))?.state === "COMPLETED",
    );
    expect(attempts).toEqual([1, 1]);
  });

  it("keep the order of those that wait", async () => {
    const { streamer, client } = simulate({ workers: 1 });
    const order: string[] = [];
    const gate = Promise.withResolvers<void>();
    streamer.request("report", LONG, async (_, { id }) => {
      order.push(id);
      if (id === "r1") await gate.promise;
    });
    const ada = await client("a", ADA);
    for (const id of ["r1", "r2", "r3"]) await ada.send({ id, action: "report" });
    gate.resolve();
    for (const id of ["r1", "r2", "r3"]) await ended(ada, id);
    await ada.send({ id: "r4", action: "report" });
    await ended(ada, "r4");
    expect(order).toEqual(["r1", "r2", "r3", "r4"]);
  });

  it("run a request whose worker elsewhere has died, although they had it before", async () => {
    const { streamer, client, store, now, advance } = simulate();
    const { handler, runs, started } = heldHandler((_, { attempt }) => attempt);
    streamer.request("report", LONG, handler);
    const ada = await client("a", ADA);
    await ada.send({ id: "r1", action: "report" });
    await started();
    const stray = { owner: '["acme","ada"]', id: "r1", token: "stray" };
    await store.requests!.claim(stray, { now: now() + 60_000, leaseUntil: now() + 90_000 });
    runs[0]!.finish();
    const get = vi.spyOn(store.requests!, "get");
    await vi.waitUntil(() => get.mock.calls.length > 0);
    await get.mock.results[0]!.value;
    advance(90_000);
    await streamer.app.tick();
    await started(2);
    runs[1]!.finish();
    expect(await ended(ada, "r1")).toMatchObject({ result: 3 });
  });

  it("try to store again after they have renewed their lease", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    onTestFinished(() => void vi.useRealTimers());
    const { streamer, client, store } = simulate();
    const { handler, runs, started } = heldHandler(async (_, { output, attempt }) => {
      await output.write("text");
      return attempt;
    });
    streamer.request("report", LONG, handler);
    const ada = await client("a", ADA);
    await ada.send({ id: "r1", action: "report" });
    await started();
    const renew = vi.spyOn(store.requests!, "renew");
    await vi.advanceTimersByTimeAsync(10_000);
    expect(await renew.mock.results[0]!.value).toBe(true);
    const busy = new StoreError("STORE_UNAVAILABLE", "It is busy");
    vi.spyOn(store.requests!, "append").mockRejectedValueOnce(busy);
    runs[0]!.finish();
    expect(await ended(ada, "r1")).toMatchObject({ result: 1 });
  });

  it("leave a request whose action only another version of the application knows", async () => {
    const { streamer, store, client, now } = simulate();
    streamer.request("report", LONG, () => "done");
    const { owner, tenant } = { owner: '["acme","ada"]', tenant: '"acme"' };
    const times = { createdAt: now(), dueAt: now() };
    const identity = { tenantId: "acme", userId: "ada", permissions: [] };
    const left = { owner, tenant, id: "r1", action: "newer", input: null, priority: 9, ...times, identity };
    await store.requests!.create(left);
    await streamer.resume();
    const ada = await client("a", ADA);
    await ada.send({ id: "r2", action: "report" });
    await ended(ada, "r2");
    expect(await store.requests!.get({ owner, id: "r1" })).toMatchObject({ state: "PENDING", attempt: 0 });
  });

  it("look on ticks for what others have left in a shared store", async () => {
    const { streamer, client, store, now, advance } = simulate();
    // Without a list of what is not due yet, as on DynamoDB.
    Object.assign(store.requests!, { listOpen: undefined });
    streamer.request("report", LONG, () => "done");
    const ada = await client("a", ADA);
    await streamer.resume();
    const { owner, tenant } = { owner: '["acme","ada"]', tenant: '"acme"' };
    const left = { id: "r1", action: "report", input: null, priority: 0, createdAt: now(), dueAt: now() };
    const identity = { tenantId: "acme", userId: "ada", permissions: [] };
    await store.requests!.create({ ...left, owner, tenant, identity });
    await streamer.app.tick();
    expect(await ada.ask("request", { request: "r1" })).toMatchObject({ data: { state: "PENDING" } });
    advance(10_000);
    await streamer.app.tick();
    await vi.waitUntil(async () => (await store.requests!.readResult({ owner, id: "r1" })) !== undefined);
  });

  it("acknowledge a request that was sent again when its end cannot be read", async () => {
    const { streamer, client, store } = simulate();
    streamer.request("report", LONG, () => "done");
    const ada = await client("a", ADA);
    await ada.send({ id: "r1", action: "report" });
    await ended(ada, "r1");
    vi.spyOn(store.requests!, "readResult").mockRejectedValueOnce(new Error());
    const again = { id: "r1", action: "resend", payload: { action: "report" } };
    expect(await ada.send(again)).toMatchObject([{ type: "acknowledgment", request_id: "r1" }]);
    expect(await ada.send(again)).toMatchObject([{ type: "complete", result: "done" }]);
  });

  it("send a request's messages to a connection that sends it again after a reconnect", async () => {
    const { streamer, client } = simulate();
    const { handler, runs, started } = heldHandler((_input, { progress }) => {
      progress(50);
      return "done";
    });
    streamer.request("report", LONG, handler);
    const ada = await client("a", ADA);
    const call = { request_id: "r1", action: "report" };
    await ada.send(call);
    await started();
    await ada.leave();
    const again = await client("b", ADA);
    expect(await again.send(call)).toMatchObject([{ type: "acknowledgment", request_id: "r1" }]);
    runs[0]!.finish();
    expect(await ended(again, "r1")).toMatchObject({ type: "complete", result: "done" });
    expect(framesOf(again, "r1").map(({ type }) => type)).toEqual(["acknowledgment", "progress", "complete"]);
    expect(runs).toHaveLength(1);
  });

  it("send the end of a request that ends while its client sends it again", async () => {
    const { streamer, client, store } = simulate();
    const { handler, runs, started } = heldHandler();
    streamer.request("report", LONG, handler);
    const ada = await client("a", ADA);
    await ada.send({ id: "r1", action: "report" });
    await started();
    const again = await client("b", ADA);
    const { add } = store.members;
    vi.spyOn(store.members, "add").mockImplementationOnce(async (...given) => {
      runs[0]!.finish();
      await ended(ada, "r1");
      return add.apply(store.members, given);
    });
    await again.send({ id: "r1", action: "report" });
    expect(framesOf(again, "r1").map(({ type }) => type)).toEqual(["acknowledgment", "complete"]);
  });

  it("leave no member when the connection ends while its client sends a call again", async () => {
    const { streamer, client, store, connections } = simulate();
    const { handler, started } = heldHandler();
    streamer.request("report", LONG, handler);
    await (await client("a", ADA)).send({ id: "r1", action: "report" });
    await started();
    const again = await client("b", ADA);
    const { add } = store.members;
    vi.spyOn(store.members, "add").mockImplementationOnce(async (...given) => {
      // Its `$disconnect` has run, in another process.
      connections.gone("b");
      return add.apply(store.members, given);
    });
    await again.send({ id: "r1", action: "report" });
    expect(await collect(store.members.listChannels("b"))).toEqual([]);
  });

  it("answer a call that is sent again when its connection cannot subscribe", async () => {
    const { streamer, client, store, lines } = simulate();
    const { handler, started } = heldHandler();
    streamer.request("report", LONG, handler);
    await (await client("a", ADA)).send({ id: "r1", action: "report" });
    await started();
    const again = await client("b", ADA);
    vi.spyOn(store.requests!, "get").mockRejectedValue(new Error("down"));
    expect(await again.send({ id: "r1", action: "report" })).toMatchObject([{ type: "acknowledgment" }]);
    expect(lines.join()).toContain("A repeated call is not watched");
  });

  it("cancel a request whose client has sent it again meanwhile", async () => {
    const { streamer, client } = simulate();
    const { handler, runs, started } = heldHandler();
    streamer.request("report", LONG, handler);
    const ada = await client("a", ADA);
    await ada.send({ id: "r1", action: "report" });
    await started();
    await ada.send({ id: "r1", action: "resend", payload: { action: "report" } });
    await ada.ask("cancel", { request: "r1" });
    expect(runs[0]!.context.signal.aborted).toBe(true);
  });
});

it("refuses names that are taken", () => {
  const { streamer } = simulate();
  streamer.app.webSocket("own", () => {});
  streamer.request("report", {}, () => 1);
  for (const name of ["subscribe", "request", "message", "own", "report", ""]) {
    expect(() => streamer.request(name, {}, () => 1), name).toThrow();
  }
  expect(() => simulateStreamer({ channels: { request: OPEN } })).toThrow("reserved");
});
