import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Attempts } from "./attempts.ts";

beforeEach(() => void vi.useFakeTimers({ now: 0 }));
afterEach(() => void vi.useRealTimers());

const never = () => new Promise<never>(() => {});

/** What has become of it, as soon as that is known. */
function fate(promise: Promise<unknown>): { outcome: string } {
  const known = { outcome: "pending" };
  promise.then(
    () => {
      known.outcome = "resolved";
    },
    (error: Error) => {
      known.outcome = error.name;
    },
  );
  return known;
}

describe("an attempt that does not heed its signal", () => {
  it("ends with the time of its call", async () => {
    const call = fate(new Attempts({ deadline: 500 }).until(never));
    await vi.advanceTimersByTimeAsync(499);
    expect(call.outcome).toBe("pending");
    await vi.advanceTimersByTimeAsync(1);
    expect(call.outcome).toBe("AbortError");
  });

  it("is given up for another after three seconds", async () => {
    const attempt = vi
      .fn(never)
      .mockReturnValueOnce(never())
      .mockResolvedValueOnce("done" as never);
    const call = fate(new Attempts({ deadline: 10_000 }).until(attempt));
    await vi.advanceTimersByTimeAsync(2_999);
    expect(attempt).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(100);
    expect(attempt).toHaveBeenCalledTimes(2);
    expect(call.outcome).toBe("resolved");
  });

  it("ends when its call is cancelled, and leaves no timer", async () => {
    const attempts = new Attempts({ deadline: 10_000 });
    const call = fate(attempts.until(never));
    attempts.cancel();
    await vi.advanceTimersByTimeAsync(0);
    expect(call.outcome).toBe("AbortError");
    expect(vi.getTimerCount()).toBe(0);
  });
});
