import { getEventListeners } from "node:events";
import { describe, expect, it } from "vitest";
import { TestClock } from "../../../test/client/test-clock.ts";
import { abortable, delay, MAX_TIMER_MS, withTimeout } from "./timeouts.ts";

const never = () => new Promise<never>(() => {});
const reason = new Error("stopped");

describe("withTimeout", () => {
  it("resolves with the result, and leaves no timer and no listener", async () => {
    const clock = new TestClock();
    const { signal } = new AbortController();
    expect(await withTimeout(clock, { timeoutMs: 100, signal }, async () => 7)).toBe(7);
    expect([clock.pending, getEventListeners(signal, "abort").length]).toEqual([0, 0]);
  });

  it("rejects with the error of the call", async () => {
    const run = () => Promise.reject(reason);
    await expect(withTimeout(new TestClock(), { timeoutMs: 100 }, run)).rejects.toBe(reason);
  });

  it("rejects with TIMEOUT after its time, which aborts the signal of the call", async () => {
    const clock = new TestClock();
    let inner!: AbortSignal;
    const call = withTimeout(clock, { timeoutMs: 100 }, (signal) => {
      inner = signal;
      return never();
    });
    const error = call.catch((thrown) => thrown);
    await clock.pass(99);
    expect(inner.aborted).toBe(false);
    await clock.pass(1);
    expect(inner.aborted).toBe(true);
    expect(await error).toMatchObject({ code: "TIMEOUT", retry: true, message: "No answer in 100 ms" });
  });

  it.each([undefined, MAX_TIMER_MS + 1])("sets no timer for %s ms", async (timeoutMs) => {
    const clock = new TestClock();
    const { signal } = new AbortController();
    void withTimeout(clock, { timeoutMs, signal }, never);
    expect(clock.pending).toBe(0);
  });

  it("sets a timer for the longest delay", () => {
    const clock = new TestClock();
    void withTimeout(clock, { timeoutMs: MAX_TIMER_MS }, never);
    expect(clock.pending).toBe(1);
  });

  it("rejects with ABORTED and the caller's reason, and leaves no timer and no listener", async () => {
    const clock = new TestClock();
    const controller = new AbortController();
    const call = withTimeout(clock, { timeoutMs: 100, signal: controller.signal }, never);
    controller.abort(reason);
    await expect(call).rejects.toMatchObject({ code: "ABORTED", cause: reason });
    expect([clock.pending, getEventListeners(controller.signal, "abort").length]).toEqual([0, 0]);
  });

  it("does not start when the caller has aborted before", async () => {
    let runs = 0;
    const run = () => {
      runs++;
      return never();
    };
    const call = withTimeout(new TestClock(), { signal: AbortSignal.abort(reason) }, run);
    await expect(call).rejects.toMatchObject({ code: "ABORTED", cause: reason });
    expect(runs).toBe(0);
  });
});

describe("abortable", () => {
  it("rejects with the signal's reason, and cleans up", async () => {
    const controller = new AbortController();
    let cleanups = 0;
    const call = abortable(controller.signal, () => () => cleanups++);
    controller.abort(reason);
    await expect(call).rejects.toBe(reason);
    expect([cleanups, getEventListeners(controller.signal, "abort").length]).toEqual([1, 0]);
  });

  it("needs no cleanup", async () => {
    const { signal } = new AbortController();
    expect(await abortable(signal, (resolve: (value: number) => void) => void resolve(7))).toBe(7);
  });
});

describe("delay", () => {
  it("resolves after its time", async () => {
    const clock = new TestClock();
    let isOver = false;
    void delay(clock, 100, new AbortController().signal).then(() => {
      isOver = true;
    });
    await clock.pass(99);
    expect(isOver).toBe(false);
    await clock.pass(1);
    expect(isOver).toBe(true);
  });

  it("leaves no timer when it is aborted", async () => {
    const clock = new TestClock();
    const controller = new AbortController();
    const call = delay(clock, 100, controller.signal);
    controller.abort(reason);
    await expect(call).rejects.toBe(reason);
    expect(clock.pending).toBe(0);
  });
});
