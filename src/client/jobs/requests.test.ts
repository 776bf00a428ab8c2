import { describe, expect, it, onTestFinished, vi } from "vitest";
import { connected, FEATURES, type Setup, setup } from "../../../test/client/setup.ts";
import type { Json } from "../../protocol/index.ts";
import { type CallOptions, createClient, type Job, type Progress } from "../index.ts";

const ID = "r-0123456789abcdef";

/** How a job ended, once it has. */
function ending(job: Job): { readonly value?: Json; readonly code?: string } {
  const seen: { value?: Json; code?: string } = {};
  job.then(
    (value) => Object.assign(seen, { value }),
    ({ code }) => Object.assign(seen, { code }),
  );
  return seen;
}

/** Reads an iterable to its end. */
function reading<T>(values: AsyncIterable<T>): { readonly all: T[]; end?: string } {
  const read: { all: T[]; end?: string } = { all: [] };
  void (async () => {
    try {
      for await (const value of values) read.all.push(value);
      read.end = "ended";
    } catch (error) {
      read.end = (error as { code: string }).code;
    }
  })();
  return read;
}

/** A request that the server has stored. */
async function stored(options: CallOptions = {}): Promise<Setup & { readonly job: Job }> {
  const all = await connected();
  const job = all.client.request("report", { year: 2026 }, { id: ID, ...options });
  await all.clock.pass(10);
  return { ...all, job };
}

const texts = (count: number, from = 1) => Array.from({ length: count }, (_, at) => `t${from + at} `);

/** Cuts the connection, and waits for the next one. */
async function reconnect({ server, clock }: Setup, meanwhile = () => {}): Promise<void> {
  for (const socket of server.sockets) socket.cut();
  meanwhile();
  await clock.pass(1_000);
}

describe("a request in place", () => {
  it("resolves with the response, which may be any JSON", async () => {
    for (const data of [{ ok: true }, null, 0, "text", [1]]) {
      const { client, clock, server } = await connected();
      server.jobs.answer = () => ({ data });
      const job = client.request("echo", { text: "hi" });
      const output = reading(job.output);
      const end = ending(job);
      await clock.pass(10);
      expect(end).toEqual({ value: data });
      expect(output).toEqual({ all: [], end: "ended" });
      expect(server.jobs.calls).toEqual([{ id: job.id, action: "echo", payload: { text: "hi" } }]);
      expect(server.actions).toEqual([]);
    }
  });

  it.each(["VALIDATION_ERROR", "INTERNAL_ERROR"] as const)("rejects with the server's %s", async (code) => {
    const { client, clock, server } = await connected();
    server.jobs.answer = () => ({ code });
    const end = ending(client.request("echo", {}));
    await clock.pass(10);
    expect(end).toEqual({ code });
  });

  it("has a random id of at least 16 bytes", async () => {
    const { client } = await connected();
    const [one, other] = [client.request("echo", 1), client.request("echo", 1)];
    for (const job of [one, other]) job.catch(() => {});
    expect(one.id.length).toBeGreaterThanOrEqual(16);
    expect(one.id).not.toBe(other.id);
    client.disconnect();
  });

  it("rejects an invalid id with INVALID_OPTION, and sends nothing", async () => {
    const { client, clock, server } = await connected();
    server.jobs.answer = () => ({ data: 1 });
    const request = (id: unknown) => ending(client.request("echo", 1, { id: id as string }));
    const invalid = ["", "~1", "a\nb", "a\u007f", "\ud800", "é".repeat(65), 5, null];
    const ends = [...invalid.map(request), ...["~1", ""].map((id) => ending(client.attach(id)))];
    const longest = request("é".repeat(64));
    await clock.pass(10);
    expect(ends).toEqual(ends.map(() => ({ code: "INVALID_OPTION" })));
    expect(longest).toEqual({ value: 1 });
    expect(server.jobs.calls).toHaveLength(1);
    expect([server.actions, server.opened.length]).toEqual([[], 1]);
  });

  it("may have the id of any request of the client's own", async () => {
    const { client, clock, server } = await connected();
    server.jobs.answer = () => ({ data: { messages: "mine" } });
    const end = ending(client.request("echo", 1, { id: "1" }));
    await clock.pass(0);
    const page = client.history("room:a");
    await clock.pass(10);
    expect(await page).toMatchObject({ messages: [] });
    expect(end).toEqual({ value: { messages: "mine" } });
  });

  it("gets only its own answer when several are sent", async () => {
    const { client, clock, server } = await connected();
    server.jobs.answer = ({ payload }) => ({ data: payload! });
    const ends = [1, 2].map((input) => ending(client.request("echo", input)));
    await clock.pass(10);
    expect(ends).toEqual([{ value: 1 }, { value: 2 }]);
  });

  it("rejects at once without a connection, and was not sent", async () => {
    const { client, clock, server } = setup();
    const end = ending(client.request("echo", 1));
    await clock.pass(0);
    expect(end).toEqual({ code: "CONNECTION_CLOSED" });
    expect(server.jobs.calls).toEqual([]);
  });

  it("waits for the connection that is being opened", async () => {
    const { client, clock, server } = setup();
    server.jobs.answer = () => ({ data: 1 });
    client.connect();
    const end = ending(client.request("echo", 1));
    await clock.pass(10);
    expect(end).toEqual({ value: 1 });
  });

  it("rejects with TIMEOUT when no answer comes, and leaves no timer", async () => {
    const { client, clock, server } = await connected();
    server.jobs.answer = () => "silent";
    const before = clock.pending;
    const end = ending(client.request("echo", 1, { timeoutMs: 500 }));
    await clock.pass(600);
    expect(end).toEqual({ code: "TIMEOUT" });
    expect(clock.pending).toBe(before);
  });

  it("checks the connection after a TIMEOUT", async () => {
    const { client, clock, server } = await connected();
    server.jobs.answer = () => "silent";
    const end = ending(client.request("echo", 1, { timeoutMs: 11_000 }));
    await clock.pass(11_010);
    expect(end).toEqual({ code: "TIMEOUT" });
    expect(server.actions).toEqual(["heartbeat"]);
  });

  it("rejects with ABORTED, and is not sent when its signal was aborted before", async () => {
    const { client, clock, server } = await connected();
    const end = ending(client.request("echo", 1, { signal: AbortSignal.abort() }));
    await clock.pass(10);
    expect(end).toEqual({ code: "ABORTED" });
    expect(server.jobs.calls).toEqual([]);
  });

  it("rejects input that is not JSON or too large, before it is sent", async () => {
    const { client, clock, server } = await connected();
    const cycle: Json[] = [];
    cycle.push(cycle);
    const ends = [ending(client.request("echo", cycle)), ending(client.request("echo", "x".repeat(140_000)))];
    await clock.pass(10);
    expect(ends).toEqual([{ code: "NOT_JSON" }, { code: "TOO_LARGE" }]);
    expect(server.jobs.calls).toEqual([]);
  });

  it("is sent in parts when it is larger than a frame", async () => {
    const { client, clock, server } = await connected();
    server.jobs.answer = ({ payload }) => ({ data: (payload as string).length });
    const [large, other] = [
      ending(client.request("echo", "x".repeat(90_000))),
      client.publish("room:a", "y".repeat(40_000)),
    ];
    await clock.pass(20);
    expect(large).toEqual({ value: 90_000 });
    expect(await other).toMatchObject({ id: "m1" });
  });
});

describe("a request without an answer", () => {
  it("is resent as such on the next connection, and rejects when it may have been carried out", async () => {
    const all = await connected();
    all.server.jobs.answer = () => "silent";
    const end = ending(all.client.request("pay", { amount: 5 }, { background: false, startAt: 7 }));
    await all.clock.pass(10);
    all.server.jobs.answer = () => ({ data: 1 });
    await reconnect(all);
    expect(end).toEqual({ code: "OUTCOME_UNKNOWN" });
    expect(all.server.requests).toMatchObject([
      { action: "resend", payload: { action: "pay", payload: { amount: 5 }, background: false, startAt: 7 } },
    ]);
    const [call, resent] = all.server.jobs.calls;
    expect(resent).toEqual(call);
  });

  it("is the same stored request after a resend", async () => {
    const all = await connected();
    all.server.jobs.answer = () => "silent";
    const end = ending(all.client.request("report", 1, { id: ID }));
    await all.clock.pass(10);
    all.server.jobs.answer = () => "stored";
    await reconnect(all);
    all.server.jobs.complete(ID, "done");
    await all.clock.pass(10);
    expect(end).toEqual({ value: "done" });
  });

  it.each(["complete", "fail"] as const)("gets its end from a resend: %s", async (how) => {
    const all = await connected();
    all.server.jobs.answer = () => "silent";
    const end = ending(all.client.request("report", 1, { id: ID }));
    await all.clock.pass(10);
    await reconnect(all, () => {
      all.server.jobs.store(ID);
      if (how === "complete") all.server.jobs.complete(ID, "done");
      else all.server.jobs.fail(ID, "FORBIDDEN");
    });
    expect(end).toEqual(how === "complete" ? { value: "done" } : { code: "FORBIDDEN" });
  });

  it("rejects with OUTCOME_UNKNOWN when the server knows no resend", async () => {
    const all = await connected();
    all.server.jobs.answer = () => "silent";
    const end = ending(all.client.request("pay", 1));
    await all.clock.pass(10);
    all.server.intercept = ({ action }) => (action === "resend" ? "NOT_FOUND" : undefined);
    await reconnect(all);
    expect(end).toEqual({ code: "OUTCOME_UNKNOWN" });
  });

  it.each(["STORE_FAILED", "RATE_LIMITED"] as const)(
    "is resent after a pause when a resend gets %s",
    async (code) => {
      const all = await connected();
      all.server.jobs.answer = () => "silent";
      const end = ending(all.client.request("report", 1, { id: ID }));
      await all.clock.pass(10);
      let refusals = 2;
      all.server.intercept = ({ action }) => (action === "resend" && refusals-- > 0 ? code : undefined);
      await reconnect(all, () => {
        all.server.jobs.store(ID);
        all.server.jobs.complete(ID, "done");
      });
      await all.clock.pass(5_000);
      expect(end).toEqual({ value: "done" });
      expect(all.server.actions).toEqual(["resend", "resend", "resend"]);
    },
  );

  it("rejects with OUTCOME_UNKNOWN when no resend gets a certain answer until the timeout", async () => {
    const all = await connected();
    all.server.jobs.answer = () => "silent";
    const before = all.clock.pending;
    const end = ending(all.client.request("report", 1, { timeoutMs: 5_000 }));
    await all.clock.pass(10);
    all.server.intercept = ({ action }) => (action === "resend" ? "STORE_FAILED" : undefined);
    await reconnect(all);
    await all.clock.pass(3_900);
    expect(end).toEqual({});
    await all.clock.pass(200);
    expect(end).toEqual({ code: "OUTCOME_UNKNOWN" });
    expect(all.clock.pending).toBe(before);
  });

  it("is sent again itself when it is idempotent", async () => {
    const all = await connected();
    all.server.jobs.answer = () => "silent";
    const end = ending(all.client.request("read", 1, { idempotent: true }));
    await all.clock.pass(10);
    all.server.jobs.answer = () => ({ data: 5 });
    await reconnect(all);
    expect(end).toEqual({ value: 5 });
    expect(all.server.actions).toEqual([]);
  });

  it("rejects with OUTCOME_UNKNOWN when the client disconnects, or the server ends the connection for good", async () => {
    for (const how of ["disconnect", "revoke"]) {
      const { client, clock, server } = await connected();
      server.jobs.answer = () => "silent";
      const end = ending(client.request("pay", 1));
      await clock.pass(10);
      if (how === "disconnect") client.disconnect();
      else server.opened[0]!.end("REVOKED", false);
      await clock.pass(10);
      expect(end).toEqual({ code: "OUTCOME_UNKNOWN" });
    }
  });

  it("rejects with OUTCOME_UNKNOWN when its connection is lost after progress, and it was in place", async () => {
    const all = await connected();
    all.server.jobs.answer = () => "silent";
    const end = ending(all.client.request("pay", 1, { id: ID }));
    await all.clock.pass(10);
    const progress = { percentage: 50, message: "", attempt: 1 };
    all.server.opened[0]!.deliver({ type: "progress", request_id: ID, ...progress });
    await all.clock.pass(10);
    await reconnect(all);
    expect(end).toEqual({ code: "OUTCOME_UNKNOWN" });
  });

  it("is not watched after its progress: the server stores nothing of it", async () => {
    const { client, clock, server } = await connected({ heartbeatMs: 1_000 });
    server.jobs.answer = () => "silent";
    const job = client.request("pay", 1, { id: ID });
    const [end, output] = [ending(job), reading(job.output)];
    await clock.pass(10);
    const progress = { percentage: 50, message: "", attempt: 1 };
    server.opened[0]!.deliver({ type: "progress", request_id: ID, ...progress });
    await clock.pass(1_000);
    expect([server.actions, end]).toEqual([["heartbeat"], {}]);
    server.opened[0]!.deliver({ type: "response", request_id: ID, success: true, data: 3 });
    await clock.pass(10);
    expect([end, output]).toEqual([{ value: 3 }, { all: [], end: "ended" }]);
  });

  it("takes its answer from a socket that was replaced meanwhile", async () => {
    const { client, clock, server } = await connected({ maxConnectionMs: 10_000 });
    server.jobs.answer = () => "silent";
    const end = ending(client.request("pay", 1, { id: ID, timeoutMs: 60_000 }));
    await clock.pass(10_010);
    expect(server.opened).toHaveLength(2);
    server.opened[0]!.deliver({ type: "response", request_id: ID, success: true, data: 3 });
    await clock.pass(10);
    expect(end).toEqual({ value: 3 });
    expect(server.jobs.calls).toHaveLength(1);
  });
});

describe("a second call with the id of a job that has not ended", () => {
  it.each([
    ["other", 1],
    ["report", 2],
  ] as const)("rejects with CONFLICT, and is not sent: %s(%i)", async (action, input) => {
    for (const answer of ["stored", "silent"] as const) {
      const { client, clock, server } = await connected();
      server.jobs.answer = () => answer;
      const first = ending(client.request("report", 1, { id: ID }));
      await clock.pass(10);
      const second = ending(client.request(action, input, { id: ID }));
      await clock.pass(10);
      expect([first, second, server.jobs.calls.length]).toEqual([{}, { code: "CONFLICT" }, 1]);
      server.opened[0]!.deliver({ type: "complete", request_id: ID, success: true, result: 4, output: 0 });
      await clock.pass(10);
      expect(first).toEqual({ value: 4 });
      server.jobs.answer = () => ({ data: 5 });
      server.jobs.stored.clear();
      const later = ending(client.request(action, input, { id: ID }));
      await clock.pass(10);
      expect(later).toEqual({ value: 5 });
    }
  });

  it("is the same request with the same action and input, also with that of `attach`", async () => {
    const { client, job, clock, server } = await stored();
    const ends = [job, client.attach(ID), client.request("report", { year: 2026 }, { id: ID })].map(ending);
    await clock.pass(10);
    expect(server.jobs.calls).toHaveLength(2);
    server.jobs.complete(ID, 1);
    await clock.pass(10);
    expect(ends).toEqual(Array(3).fill({ value: 1 }));
  });

  it("rejects with NOT_JSON, and the first continues", async () => {
    const { client, job, clock, server } = await stored();
    const cycle: Json[] = [];
    cycle.push(cycle);
    const ends = [job, client.request("report", cycle, { id: ID })].map(ending);
    server.jobs.complete(ID, 1);
    await clock.pass(10);
    expect(ends).toEqual([{ value: 1 }, { code: "NOT_JSON" }]);
  });

  it.each([
    { type: "error", error: { code: "CONFLICT", message: "", retry: false } },
    { type: "error", error: { code: "STORE_FAILED", message: "", retry: true } },
    { type: "response", success: true, data: 2 },
  ] as const)("leaves an acknowledged job alone when it gets %o", async (answer) => {
    const { client, job, clock, server } = await stored();
    const ends = [job, client.attach(ID)].map(ending);
    server.opened[0]!.deliver({ ...answer, request_id: ID });
    await clock.pass(10);
    expect(ends).toEqual([{}, {}]);
    server.jobs.complete(ID, 1);
    await clock.pass(10);
    expect(ends).toEqual([{ value: 1 }, { value: 1 }]);
  });
});

describe("a call that may be stored, by its answer", () => {
  it.each(["STORE_FAILED", "CONNECTION_CLOSED", "TIMEOUT"] as const)(
    "is resent after a pause: %s",
    async (code) => {
      const { client, clock, server } = await connected();
      server.jobs.answer = () => ({ code });
      const end = ending(client.request("report", 1, { id: ID }));
      await clock.pass(10);
      expect([server.actions, end]).toEqual([[], {}]);
      server.jobs.answer = () => "stored";
      await clock.pass(1_000);
      server.jobs.complete(ID, "done");
      await clock.pass(10);
      expect([server.actions, end]).toEqual([["resend"], { value: "done" }]);
    },
  );

  it("rejects with OUTCOME_UNKNOWN when it is not stored", async () => {
    const { client, clock, server } = await connected();
    server.jobs.answer = () => ({ code: "STORE_FAILED" });
    const end = ending(client.request("pay", 1));
    await clock.pass(1_000);
    expect(end).toEqual({ code: "OUTCOME_UNKNOWN" });
  });

  it("is sent again itself when it is idempotent", async () => {
    const { client, clock, server } = await connected();
    server.jobs.answer = () => ({ code: "STORE_FAILED" });
    const end = ending(client.request("read", 1, { idempotent: true }));
    await clock.pass(10);
    server.jobs.answer = () => ({ data: 5 });
    await clock.pass(1_000);
    expect([server.actions, end]).toEqual([[], { value: 5 }]);
  });

  it("is not resent when a message about the stored request arrives in the pause", async () => {
    const { client, clock, server } = await connected();
    server.jobs.answer = () => ({ code: "STORE_FAILED" });
    const end = ending(client.request("report", 1, { id: ID, timeoutMs: 5_000 }));
    await clock.pass(10);
    server.opened[0]!.deliver({ type: "progress", request_id: ID, percentage: 1, message: "", attempt: 1 });
    await clock.pass(10_000);
    expect([server.actions, end]).toEqual([[], {}]);
    server.opened[0]!.deliver({ type: "complete", request_id: ID, success: true, result: 4, output: 0 });
    await clock.pass(10);
    expect(end).toEqual({ value: 4 });
  });

  it.each([true, false])("has its state read when its progress came before. Stored: %s", async (isStored) => {
    const { client, clock, server } = await connected();
    server.jobs.answer = () => "silent";
    const end = ending(client.request("report", 1, { id: ID }));
    await clock.pass(10);
    const [socket] = server.opened;
    socket!.deliver({ type: "progress", request_id: ID, percentage: 1, message: "", attempt: 1 });
    if (isStored) server.jobs.store(ID);
    const error = { code: "STORE_FAILED", message: "", retry: true } as const;
    socket!.deliver({ type: "error", request_id: ID, error });
    await clock.pass(10);
    expect([server.actions, end]).toEqual([["request"], isStored ? {} : { code: "STORE_FAILED" }]);
  });
});

describe("a stored request", () => {
  it("reports progress and resolves with its result, without a subscription", async () => {
    const seen: Progress[] = [];
    const { job, clock, server } = await stored({ onProgress: (progress) => seen.push(progress) });
    const end = ending(job);
    server.jobs.progress(ID, 10, "Reading");
    server.jobs.progress(ID, 60);
    await clock.pass(10);
    expect(end).toEqual({});
    server.jobs.complete(ID, { rows: 3 });
    await clock.pass(10);
    expect(end).toEqual({ value: { rows: 3 } });
    expect(seen).toMatchObject([
      { percentage: 10, message: "Reading", attempt: 1 },
      { percentage: 60, message: "", attempt: 1 },
    ]);
    expect(server.actions).toEqual([]);
  });

  it("outlasts the timeout of its first answer", async () => {
    const { job, clock, server } = await stored({ timeoutMs: 500 });
    const end = ending(job);
    await clock.pass(60_000);
    server.jobs.complete(ID, 1);
    await clock.pass(10);
    expect(end).toEqual({ value: 1 });
  });

  it("is stored when its progress overtakes the acknowledgment", async () => {
    const { client, clock, server } = await connected();
    server.jobs.answer = () => "silent";
    const end = ending(client.request("report", 1, { id: ID, timeoutMs: 500 }));
    await clock.pass(10);
    server.opened[0]!.deliver({ type: "progress", request_id: ID, percentage: 1, message: "", attempt: 1 });
    await clock.pass(1_000);
    server.opened[0]!.deliver({ type: "complete", request_id: ID, success: true, result: 4, output: 0 });
    await clock.pass(10);
    expect(end).toEqual({ value: 4 });
  });

  it("rejects with its error, and its readers end", async () => {
    const { job, clock, server } = await stored();
    const end = ending(job);
    const [progress, output] = [reading(job.progress), reading(job.output)];
    await clock.pass(10);
    server.jobs.fail(ID, "INTERNAL_ERROR");
    await clock.pass(10);
    expect([end, progress, output]).toEqual([
      { code: "INTERNAL_ERROR" },
      { all: [], end: "ended" },
      { all: [], end: "INTERNAL_ERROR" },
    ]);
  });

  it("ignores what arrives after its end", async () => {
    const seen: number[] = [];
    const { job, clock, server } = await stored({ onProgress: ({ percentage }) => seen.push(percentage) });
    const end = ending(job);
    server.jobs.complete(ID, 1);
    server.jobs.progress(ID, 50);
    server.jobs.complete(ID, 2);
    await clock.pass(10);
    expect([end, seen]).toEqual([{ value: 1 }, []]);
  });

  it("gets progress and its end after a reconnect, also those that it missed", async () => {
    const seen: number[] = [];
    const all = await stored({ onProgress: ({ percentage }) => seen.push(percentage) });
    const end = ending(all.job);
    await reconnect(all, () => all.server.jobs.progress(ID, 40));
    expect(seen).toEqual([40]);
    expect(all.server.actions).toEqual(["subscribe", "request"]);
    all.server.jobs.progress(ID, 70);
    await all.clock.pass(10);
    await reconnect(all, () => all.server.jobs.complete(ID, "done"));
    expect([seen, end]).toEqual([[40, 70], { value: "done" }]);
    const [socket] = all.server.sockets;
    expect([...socket!.channels]).toEqual([]);
  });

  it("watches on the next socket when its own was replaced", async () => {
    const { client, clock, server } = await connected({ maxConnectionMs: 10_000 });
    const end = ending(client.request("report", 1, { id: ID }));
    await clock.pass(16_000);
    expect(server.actions).toEqual(["subscribe", "request"]);
    server.jobs.complete(ID, 1);
    await clock.pass(10);
    expect(end).toEqual({ value: 1 });
  });

  it("notices with the next heartbeat that its end was lost", async () => {
    const all = await connected({ heartbeatMs: 10_000 });
    const end = ending(all.client.request("report", 1, { id: ID }));
    await all.clock.pass(10);
    all.server.faults.drop = 1;
    all.server.jobs.complete(ID, "done");
    await all.clock.pass(10);
    all.server.faults.drop = 0;
    await all.clock.pass(10_000);
    expect(end).toEqual({ value: "done" });
  });

  it("reads its state again with the next heartbeat when the server failed to", async () => {
    const all = await connected({ heartbeatMs: 20_000 });
    const end = ending(all.client.request("report", 1, { id: ID }));
    await all.clock.pass(10);
    all.server.intercept = ({ action }) => (action === "request" ? "STORE_FAILED" : undefined);
    await all.clock.pass(35_000);
    expect([all.server.actions.includes("request"), end]).toEqual([true, {}]);
    all.server.intercept = () => undefined;
    Object.assign(all.server.jobs.stored.get(ID)!, { state: "COMPLETED", result: 1 });
    await all.clock.pass(10_000);
    expect(end).toEqual({ value: 1 });
  });

  it("repeats no progress when its state is read, and shows none older than the newest", async () => {
    const seen: number[] = [];
    const all = await connected({ heartbeatMs: 10_000 });
    const onProgress = ({ percentage }: Progress) => seen.push(percentage);
    all.client.request("report", 1, { id: ID, onProgress }).catch(() => {});
    await all.clock.pass(10);
    all.server.jobs.progress(ID, 40);
    await all.clock.pass(10_000);
    expect(all.server.actions).toContain("request");
    expect(seen).toEqual([40]);
    all.server.intercept = ({ action }, socket) => {
      const newer = { percentage: 70, message: "", attempt: 1 };
      if (action === "request") socket.deliver({ type: "progress", request_id: ID, ...newer });
      return undefined;
    };
    await all.clock.pass(10_000);
    expect(seen).toEqual([40, 70]);
  });

  it("survives `disconnect`, and continues with the next `connect`", async () => {
    const { client, clock, server, job } = await stored();
    const end = ending(job);
    client.disconnect();
    await clock.pass(10);
    server.jobs.complete(ID, 1);
    client.connect();
    await clock.pass(10);
    expect(end).toEqual({ value: 1 });
  });

  it("reads a large result in pieces", async () => {
    const { job, clock, server } = await stored();
    const end = ending(job);
    const result = { text: "é".repeat(5_000) };
    server.jobs.complete(ID, result);
    await clock.pass(100);
    expect(end).toEqual({ value: result });
    const pieces = server.requests.filter(({ action }) => action === "result");
    expect(pieces.map(({ payload }) => (payload as { from: number }).from)).toEqual([
      0, 1_000, 2_000, 3_000, 4_000, 5_000,
    ]);
  });

  it("reads a large result once when its end arrives twice", async () => {
    const { job, clock, server } = await stored();
    const end = ending(job);
    server.jobs.complete(ID, "x".repeat(3_500));
    server.jobs.complete(ID, "x".repeat(3_500));
    await clock.pass(100);
    expect(end).toEqual({ value: "x".repeat(3_500) });
    expect(server.actions).toEqual(Array(4).fill("result"));
  });

  it("reads a large result again when the client disconnected meanwhile", async () => {
    const { client, job, clock, server } = await stored();
    const end = ending(job);
    server.jobs.complete(ID, "x".repeat(5_000));
    await clock.pass(4);
    client.disconnect();
    await clock.pass(10);
    expect(server.actions).toContain("result");
    expect(end).toEqual({});
    client.connect();
    await clock.pass(100);
    expect(end).toEqual({ value: "x".repeat(5_000) });
  });

  describe("with a result in the blob store", () => {
    const result = { text: "é".repeat(2_000) };
    const text = JSON.stringify(result);
    const refused = (status: number) => async () => new Response("", { status });
    const offline = () => Promise.reject(new TypeError("no network"));

    /** Ends a request whose result is behind a URL, which answers each time with the next of these. */
    async function ended(...answers: (() => Promise<Response>)[]) {
      const all = await stored();
      const end = ending(all.job);
      let urls = 0;
      all.server.intercept = ({ action }) =>
        action === "result"
          ? ({ text: "", more: false, url: `https://blobs.example.com/${++urls}`, expiresAt: 1 } as never)
          : undefined;
      const fetch = vi.fn(() => answers[fetch.mock.calls.length - 1]!());
      vi.stubGlobal("fetch", fetch);
      onTestFinished(() => void vi.unstubAllGlobals());
      all.server.jobs.complete(ID, result);
      await all.clock.pass(5_000);
      return { ...all, end, fetch };
    }

    it("downloads it", async () => {
      const { end, fetch } = await ended(async () => new Response(text));
      expect(end).toEqual({ value: result });
      expect(fetch.mock.calls).toEqual([["https://blobs.example.com/1", expect.anything()]]);
    });

    it("tries again with a new URL after errors of the network or the store", async () => {
      const { end, fetch } = await ended(offline, refused(503), async () => new Response(text));
      expect(end).toEqual({ value: result });
      expect(fetch.mock.lastCall).toEqual(["https://blobs.example.com/3", expect.anything()]);
    });

    it("rejects with TRANSFER_FAILED after three errors", async () => {
      const { end, fetch } = await ended(offline, offline, offline);
      expect(end).toEqual({ code: "TRANSFER_FAILED" });
      expect(fetch).toHaveBeenCalledTimes(3);
    });

    it.each([403, 404])("rejects with TRANSFER_FAILED at once when the store answers %i", async (status) => {
      const { end, fetch } = await ended(refused(status));
      expect(end).toEqual({ code: "TRANSFER_FAILED" });
      expect(fetch).toHaveBeenCalledTimes(1);
    });

    it.each([
      ["a piece of it", text.slice(0, -1)],
      ["more than it", `${text} `],
    ])("rejects with INTERNAL_ERROR when the store has %s", async (_, body) => {
      const { end } = await ended(async () => new Response(body));
      expect(end).toEqual({ code: "INTERNAL_ERROR" });
    });

    it("stops the download when its signal aborts", async () => {
      const controller = new AbortController();
      const all = await stored({ signal: controller.signal });
      const end = ending(all.job);
      all.server.intercept = () => ({ text: "", more: false, url: "https://blobs.example.com" }) as never;
      const fetch = vi.fn((_url: string, _init: RequestInit) => new Promise(() => {}));
      vi.stubGlobal("fetch", fetch);
      onTestFinished(() => void vi.unstubAllGlobals());
      all.server.jobs.complete(ID, result);
      await all.clock.pass(10);
      controller.abort();
      await all.clock.pass(10);
      expect(end).toEqual({ code: "ABORTED" });
      expect(fetch.mock.calls[0]![1].signal!.aborted).toBe(true);
    });
  });

  it("rejects when the pieces of its result are invalid", async () => {
    const { job, clock, server } = await stored();
    const end = ending(job);
    server.intercept = ({ action }) => (action === "result" ? { text: "", more: true } : undefined) as never;
    server.jobs.complete(ID, "x".repeat(5_000));
    await clock.pass(100);
    expect(end).toEqual({ code: "INTERNAL_ERROR" });
  });
});

it.each(["output", "progress"] as const)(
  "ends `%s` for reads that wait, and for later ones, when the loop is left",
  async (name) => {
    const { job } = await stored();
    const values: AsyncIterator<unknown> = job[name][Symbol.asyncIterator]();
    const waiting = values.next();
    await values.return!();
    expect(await Promise.all([waiting, values.next()])).toEqual(Array(2).fill({ done: true }));
  },
);

describe("cancel", () => {
  it("cancels the request, which rejects with CANCELLED", async () => {
    const { job, clock, server } = await stored();
    const end = ending(job);
    const cancelled = job.cancel();
    await clock.pass(10);
    await cancelled;
    expect(end).toEqual({ code: "CANCELLED" });
    expect(server.jobs.stored.get(ID)).toMatchObject({ state: "CANCELLED" });
    await job.cancel();
    expect(server.actions.filter((action) => action === "cancel")).toHaveLength(1);
  });

  it("needs no handler of the job's own rejection, which a later one still gets", async () => {
    const { client, clock, server } = await connected();
    server.jobs.store(ID);
    const job = client.attach(ID);
    const cancelled = job.cancel();
    await clock.pass(10);
    await cancelled;
    await expect(job).rejects.toMatchObject({ code: "CANCELLED" });
  });

  it("waits until the request is stored, and needs no message about the end", async () => {
    const { client, clock, server } = await connected();
    server.jobs.answer = () => "silent";
    const job = client.request("report", 1, { id: ID });
    const end = ending(job);
    const cancelled = job.cancel();
    await clock.pass(10);
    expect(server.actions).toEqual([]);
    server.jobs.store(ID);
    server.opened[0]!.deliver({ type: "acknowledgment", request_id: ID, status: "queued", message: "" });
    await clock.pass(10);
    await cancelled;
    expect(end).toEqual({ code: "CANCELLED" });
  });

  it("is not what a signal does: it only stops watching", async () => {
    const controller = new AbortController();
    const { job, clock, server } = await stored({ signal: controller.signal, onOutput() {} });
    const [end, output] = [ending(job), reading(job.output)];
    const [socket] = server.sockets;
    expect([...socket!.channels]).toEqual([`request:${ID}`]);
    controller.abort();
    await clock.pass(10);
    expect([end, output.end]).toEqual([{ code: "ABORTED" }, "ABORTED"]);
    expect(server.jobs.stored.get(ID)!.state).toBe("PENDING");
    expect([...socket!.channels]).toEqual([]);
  });
});

describe("progress", () => {
  it("iterates over the newest only, and never drops the last", async () => {
    const { job, clock, server } = await stored();
    const progress = job.progress[Symbol.asyncIterator]();
    const values: unknown[] = [];
    for (const percentage of [1, 2, 3]) server.jobs.progress(ID, percentage);
    await clock.pass(10);
    values.push((await progress.next()).value?.percentage);
    for (const percentage of [98, 99]) server.jobs.progress(ID, percentage);
    server.jobs.complete(ID, 1);
    await clock.pass(10);
    values.push((await progress.next()).value?.percentage, (await progress.next()).done);
    expect(values).toEqual([3, 99, true]);
  });

  it("needs no handler of the job's own rejection", async () => {
    const { job, clock, server } = await stored();
    const progress = reading(job.progress);
    server.jobs.progress(ID, 5);
    await clock.pass(10);
    server.jobs.fail(ID, "INTERNAL_ERROR");
    await clock.pass(10);
    expect(progress).toMatchObject({ all: [{ percentage: 5 }], end: "ended" });
  });

  it.each(["complete", "fail"] as const)(
    "includes the last one when the request ended without a connection: %s",
    async (how) => {
      const seen: number[] = [];
      const all = await stored({ onProgress: ({ percentage }) => seen.push(percentage) });
      const progress = reading(all.job.progress);
      all.server.jobs.progress(ID, 40);
      await all.clock.pass(10);
      await reconnect(all, () => {
        all.server.jobs.progress(ID, 100);
        if (how === "complete") all.server.jobs.complete(ID, 1);
        else all.server.jobs.fail(ID, "INTERNAL_ERROR");
      });
      expect(seen).toEqual([40, 100]);
      expect(progress).toMatchObject({ all: [{ percentage: 40 }, { percentage: 100 }], end: "ended" });
    },
  );

  it("has the last one for an iterator that is created after the end", async () => {
    const { client, clock, server } = await connected();
    server.jobs.store(ID);
    server.jobs.progress(ID, 100, "Done");
    server.jobs.complete(ID, 1);
    const job = client.attach(ID);
    await clock.pass(10);
    expect(await job).toBe(1);
    const progress = reading(job.progress);
    await clock.pass(10);
    expect(progress).toEqual({
      all: [{ percentage: 100, message: "Done", attempt: 1 }],
      end: "ended",
    });
  });

  it("starts a later iterator with the newest, and repeats it to no other", async () => {
    const { job, clock, server } = await stored();
    const first = reading(job.progress);
    server.jobs.progress(ID, 5);
    await clock.pass(10);
    const second = reading(job.progress);
    await clock.pass(10);
    expect([first, second].map(({ all }) => all.map(({ percentage }) => percentage))).toEqual([[5], [5]]);
  });
});

describe("output", () => {
  it("arrives once and in order, as texts and values, and the result waits for the last of it", async () => {
    const chunks: Json[] = [];
    const { job, clock, server } = await stored({ onOutput: (chunk) => chunks.push(chunk) });
    const [end, read] = [ending(job), reading(job.output)];
    await clock.pass(10);
    server.jobs.write(ID, { text: "Hello" });
    server.jobs.write(ID, { values: [1, { a: 2 }, null] });
    server.jobs.write(ID, {});
    server.jobs.write(ID, { text: "!" });
    server.jobs.complete(ID, "done");
    await clock.pass(10);
    expect(chunks).toEqual(["Hello", 1, { a: 2 }, null, "!"]);
    expect(read).toEqual({ all: chunks, end: "ended" });
    expect(end).toEqual({ value: "done" });
    expect([...[...server.sockets][0]!.channels]).toEqual([]);
  });

  it.each(["complete", "fail"] as const)(
    "comes before the end, also when that overtakes it: %s",
    async (how) => {
      const { job, clock, server } = await stored();
      const [end, read] = [ending(job), reading(job.output)];
      await clock.pass(10);
      server.faults.drop = 1;
      for (const text of texts(3)) server.jobs.write(ID, { text });
      await clock.pass(10);
      server.faults.drop = 0;
      if (how === "complete") server.jobs.complete(ID, "done");
      else server.jobs.fail(ID, "INTERNAL_ERROR");
      await clock.pass(1);
      expect([end, read.all]).toEqual([{}, []]);
      await clock.pass(100);
      expect(read).toEqual({ all: texts(3), end: how === "complete" ? "ended" : "INTERNAL_ERROR" });
      expect(end).toEqual(how === "complete" ? { value: "done" } : { code: "INTERNAL_ERROR" });
    },
  );

  it("is not read from history when it arrives", async () => {
    const { job, clock, server } = await stored();
    const read = reading(job.output);
    await clock.pass(10);
    for (const text of texts(3)) server.jobs.write(ID, { text });
    await clock.pass(10);
    expect(read.all).toEqual(texts(3));
    expect(server.actions).not.toContain("history");
  });

  it("is whole across reconnects and compacted pages", async () => {
    const all = await stored();
    const [end, read] = [ending(all.job), reading(all.job.output)];
    const { server, clock } = all;
    await clock.pass(10);
    for (const text of texts(3)) server.jobs.write(ID, { text });
    await clock.pass(10);
    server.trim(`request:${ID}`, 0);
    await reconnect(all, () => {
      for (const text of texts(4, 4)) server.jobs.write(ID, { text });
      server.jobs.compact(ID);
    });
    for (const text of texts(2, 8)) server.jobs.write(ID, { text });
    await clock.pass(10);
    server.jobs.complete(ID, 1);
    await clock.pass(10);
    expect(read.all.join("")).toBe(texts(9).join(""));
    expect(read.all).toContain(texts(4, 4).join(""));
    expect(end).toEqual({ value: 1 });
  });

  it("repeats no text when a compacted message overlaps what has arrived", async () => {
    const { job, clock, server } = await stored();
    const read = reading(job.output);
    await clock.pass(10);
    for (const text of texts(2)) server.jobs.write(ID, { text });
    await clock.pass(10);
    const name = `request:${ID}`;
    const last = server.channel(name).messages[1]!;
    server.faults.drop = 1;
    server.jobs.write(ID, { text: "t3 " });
    server.faults.drop = 0;
    server.broadcast(name, {
      ...last,
      data: { text: texts(3).join("") },
      from: 1,
      position: { epoch: "output", offset: 3 },
    });
    await clock.pass(1_000);
    expect(read.all.join("")).toBe(texts(3).join(""));
  });

  it("is read from its start, also by a reader that comes late", async () => {
    const { job, clock, server } = await stored();
    for (const text of texts(3)) server.jobs.write(ID, { text });
    await clock.pass(10);
    expect(server.actions).toEqual([]);
    const read = reading(job.output);
    await clock.pass(10);
    server.jobs.write(ID, { text: "t4 " });
    await clock.pass(10);
    expect(read.all).toEqual(texts(4));
  });

  it("is read from its start by each of several jobs of one request", async () => {
    const { client, job, clock, server } = await stored();
    const first = reading(job.output);
    await clock.pass(10);
    for (const text of texts(3)) server.jobs.write(ID, { text });
    await clock.pass(10);
    const second = reading(client.attach(ID).output);
    await clock.pass(10);
    expect(second.all).toEqual(texts(3));
    server.jobs.write(ID, { text: "t4 " });
    server.jobs.complete(ID, 1);
    await clock.pass(100);
    expect([first, second]).toEqual(Array(2).fill({ all: texts(4), end: "ended" }));
  });

  it("is read again by a later job whose connection was lost meanwhile", async () => {
    const all = await stored();
    reading(all.job.output);
    await all.clock.pass(10);
    for (const text of texts(3)) all.server.jobs.write(ID, { text });
    await all.clock.pass(10);
    all.server.faults.drop = 1;
    const later = reading(all.client.attach(ID).output);
    await all.clock.pass(10);
    all.server.faults.drop = 0;
    await reconnect(all);
    expect(later.all).toEqual(texts(3));
  });

  it("throws the error, so that a job whose output is read needs no handler of its own", async () => {
    const { job, clock, server } = await stored();
    const read = reading(job.output);
    await clock.pass(10);
    server.jobs.fail(ID, "INTERNAL_ERROR");
    await clock.pass(10);
    expect(read.end).toBe("INTERNAL_ERROR");
  });

  it("rejects with HISTORY_LOST when the server has no more of it", async () => {
    const { job, clock, server } = await stored();
    const [end, read] = [ending(job), reading(job.output)];
    await clock.pass(10);
    server.faults.drop = 1;
    for (const text of texts(3)) server.jobs.write(ID, { text });
    await clock.pass(10);
    server.faults.drop = 0;
    server.trim(`request:${ID}`, 1);
    server.jobs.complete(ID, 1);
    await clock.pass(60_000);
    expect([end, read.end]).toEqual([{ code: "HISTORY_LOST" }, "HISTORY_LOST"]);
  });
});

describe("output that the server has lost", () => {
  it.each([
    [true, { code: "HISTORY_LOST" }],
    [false, { value: 1 }],
  ])("rejects the request when it is read: %s", async (isRead, expected) => {
    const all = await stored();
    const { job, clock, server } = all;
    const end = ending(job);
    if (isRead) reading(job.output);
    await clock.pass(10);
    server.jobs.write(ID, { text: "t1 " });
    // From the first reconnect, the job is subscribed in any case.
    await reconnect(all);
    await reconnect(all, () => server.loseHistory(`request:${ID}`));
    server.jobs.complete(ID, 1);
    await clock.pass(100);
    expect(end).toEqual(expected);
  });

  it("rejects the request whose end reports more of it than there is", async () => {
    const { job, clock, server } = await stored();
    const [end, read] = [ending(job), reading(job.output)];
    await clock.pass(10);
    server.jobs.write(ID, { text: "t1 " });
    await clock.pass(10);
    server.opened[0]!.deliver({ type: "complete", request_id: ID, success: true, result: 4, output: 3 });
    await clock.pass(60_000);
    expect([end, read]).toEqual([{ code: "HISTORY_LOST" }, { all: ["t1 "], end: "HISTORY_LOST" }]);
  });
});

describe("attach", () => {
  it("waits for the answer to the client's own request with that id", async () => {
    const all = await connected();
    const { client, clock, server } = all;
    server.jobs.answer = () => "silent";
    const [asked, watched] = [ending(client.request("report", 1, { id: ID })), ending(client.attach(ID))];
    await clock.pass(10);
    expect([asked, watched]).toEqual([{}, {}]);
    server.jobs.answer = () => "stored";
    await reconnect(all);
    server.jobs.complete(ID, 7);
    await clock.pass(10);
    expect([asked, watched]).toEqual([{ value: 7 }, { value: 7 }]);
  });

  it("waits while the client's own request with that id is resent", async () => {
    const { client, clock, server } = await connected();
    server.jobs.answer = () => ({ code: "STORE_FAILED" });
    const ends = [client.request("report", 1, { id: ID }), client.attach(ID)].map(ending);
    await clock.pass(5);
    expect(ends).toEqual([{}, {}]);
    server.jobs.store(ID);
    server.jobs.complete(ID, 7);
    await clock.pass(5_000);
    expect(ends).toEqual([{ value: 7 }, { value: 7 }]);
  });

  it("rejects with NOT_FOUND when the client's own request with that id gets no answer", async () => {
    const { client, clock, server } = await connected();
    server.jobs.answer = () => "silent";
    const ends = [client.request("pay", 1, { id: ID, timeoutMs: 500 }), client.attach(ID)].map(ending);
    await clock.pass(1_000);
    expect(ends).toEqual([{ code: "TIMEOUT" }, { code: "NOT_FOUND" }]);
  });

  it("does not wait for a request with another id", async () => {
    const { client, clock, server } = await connected();
    server.jobs.answer = () => "silent";
    void ending(client.request("pay", 1));
    server.jobs.store(ID);
    server.jobs.complete(ID, 7);
    const end = ending(client.attach(ID));
    await clock.pass(10);
    expect(end).toEqual({ value: 7 });
  });

  it("gets a finished request whole: its output in one round trip, and its result", async () => {
    const { client, clock, server } = await connected();
    server.jobs.store(ID);
    for (const text of texts(50)) server.jobs.write(ID, { text });
    server.jobs.compact(ID);
    server.jobs.complete(ID, "done");
    const job = client.attach(ID);
    const [end, read] = [ending(job), reading(job.output)];
    await clock.pass(2);
    expect(read.all).toEqual([texts(50).join("")]);
    await clock.pass(10);
    expect([end, read.end]).toEqual([{ value: "done" }, "ended"]);
    expect(server.actions.slice(0, 2)).toEqual(["subscribe", "request"]);
  });

  it("gets a running request's progress, then its end", async () => {
    const { client, clock, server } = await connected();
    server.jobs.store(ID);
    server.jobs.progress(ID, 30, "Reading");
    const job = client.attach(ID);
    const [end, progress] = [ending(job), reading(job.progress)];
    await clock.pass(10);
    server.jobs.progress(ID, 40);
    await clock.pass(10);
    server.jobs.complete(ID, 1);
    await clock.pass(10);
    expect(progress.all).toMatchObject([{ percentage: 30, message: "Reading" }, { percentage: 40 }]);
    expect(end).toEqual({ value: 1 });
  });

  it.each([
    ["INTERNAL_ERROR", "FAILED"],
    ["CANCELLED", "CANCELLED"],
  ] as const)("rejects with %s for one that has %s", async (code, state) => {
    const { client, clock, server } = await connected();
    server.jobs.store(ID);
    server.jobs.fail(ID, code, state);
    const end = ending(client.attach(ID));
    await clock.pass(10);
    expect(end).toEqual({ code });
  });

  it("rejects with NOT_FOUND for an unknown request", async () => {
    const { client, clock, errors } = await connected();
    const end = ending(client.attach("unknown"));
    await clock.pass(10);
    expect(end).toEqual({ code: "NOT_FOUND" });
    expect(errors).toEqual([]);
  });

  it("reads the state, also when another job has subscribed before", async () => {
    const { client, clock, server } = await connected();
    server.jobs.store(ID);
    client.attach(ID).catch(() => {});
    await clock.pass(10);
    Object.assign(server.jobs.stored.get(ID)!, { state: "COMPLETED", result: 1 });
    const end = ending(client.attach(ID));
    await clock.pass(10);
    expect(end).toEqual({ value: 1 });
  });

  it("waits for `connect`", async () => {
    const { client, clock, server } = setup();
    server.jobs.store(ID);
    server.jobs.complete(ID, 1);
    const end = ending(client.attach(ID));
    await clock.pass(10);
    client.connect();
    await clock.pass(10);
    expect(end).toEqual({ value: 1 });
  });

  it("shows one request on two devices, and either cancels it", async () => {
    const one = await stored();
    const { WebSocket } = one.server;
    const phone = createClient({ url: "ws://model/", WebSocket, clock: one.clock, use: FEATURES });
    phone.connect();
    await one.clock.pass(10);
    const other = phone.attach(ID);
    const [ends, outputs] = [
      [ending(one.job), ending(other)],
      [reading(one.job.output), reading(other.output)],
    ];
    await one.clock.pass(10);
    for (const text of texts(3)) one.server.jobs.write(ID, { text });
    await one.clock.pass(10);
    void other.cancel();
    await one.clock.pass(100);
    expect(outputs).toEqual(Array(2).fill({ all: texts(3), end: "CANCELLED" }));
    expect(ends).toEqual([{ code: "CANCELLED" }, { code: "CANCELLED" }]);
  });
});

it("lists the user's own requests", async () => {
  const { client, clock, server } = await stored();
  server.jobs.store("other", "export");
  const page = client.requests({ limit: 10 });
  await clock.pass(10);
  expect((await page).requests).toMatchObject([
    { id: "other", action: "export", state: "PENDING" },
    { id: ID, action: "report" },
  ]);
  expect(server.requests.at(-1)).toMatchObject({ action: "requests", payload: { limit: 10 } });
});

it("survives invalid messages", async () => {
  const all = await stored({ onOutput() {} });
  const { job, clock, server } = all;
  const end = ending(job);
  const head = { request_id: ID };
  const broken: object[] = [
    { ...head, type: "progress", percentage: "9" },
    { ...head, type: "progress" },
    { type: "complete" },
    { ...head, type: "error" },
    { ...head, type: "error", error: null },
    { type: "acknowledgment", request_id: 5 },
    { type: "response", request_id: null },
    ...[null, 5, "x", { text: 5 }, { values: "x" }].map((data, at) => ({
      ...{ type: "message", id: `m${at}`, channel: `request:${ID}`, at: 1, data },
      position: { epoch: "output", offset: at + 1 },
    })),
  ];
  for (const message of broken) server.opened[0]!.deliver(message as never);
  await clock.pass(10);
  server.intercept = ({ action }) => (action === "request" ? { state: 5, error: 3 } : undefined) as never;
  server.channel(`request:${ID}`).offset = 5;
  await reconnect(all);
  server.opened.at(-1)!.deliver({ ...head, type: "complete", result: 1, output: "x" } as never);
  await clock.pass(10);
  expect(end).toEqual({ value: 1 });
});
