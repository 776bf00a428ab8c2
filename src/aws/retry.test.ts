import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Retry } from "./retry.ts";

beforeEach(() => void vi.useFakeTimers({ now: 0 }));
afterEach(() => void vi.useRealTimers());

const never = () => new Promise<never>(() => {});

/** Returns an object that gets the promise's outcome. */
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

describe("the pauses between attempts", () => {
  const attemptTimes = async (chance: number) => {
    vi.spyOn(Math, "random").mockReturnValue(chance);
    const times: number[] = [];
    const attempt = async () => {
      times.push(performance.now());
      throw new Error("throttled");
    };
    const call = fate(new Retry({ deadline: performance.now() + 400, isTransient: () => true }).run(attempt));
    await vi.advanceTimersByTimeAsync(400);
    expect(call.outcome).toBe("Error");
    return times.map((time, index) => time - (times[index - 1] ?? time)).slice(1);
  };

  it("are random up to a limit that doubles, so that callers that failed together do not retry together", async () => {
    expect(await attemptTimes(0.4)).toEqual([10, 20, 40, 80, 160]);
    expect(await attemptTimes(0.8)).toEqual([20, 40, 80, 160]);
  });
});

describe("an attempt that ignores its signal", () => {
  it("ends with its call's timeout", async () => {
    const call = fate(new Retry({ deadline: 500 }).run(never));
    await vi.advanceTimersByTimeAsync(499);
    expect(call.outcome).toBe("pending");
    await vi.advanceTimersByTimeAsync(1);
    expect(call.outcome).toBe("AbortError");
  });

  it("is replaced by another attempt after three seconds", async () => {
    const attempt = vi
      .fn(never)
      .mockReturnValueOnce(never())
      .mockResolvedValueOnce("done" as never);
    const call = fate(new Retry({ deadline: 10_000 }).run(attempt));
    await vi.advanceTimersByTimeAsync(2_999);
    expect(attempt).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(100);
    expect(attempt).toHaveBeenCalledTimes(2);
    expect(call.outcome).toBe("resolved");
  });

  it.each([3_600_000, -3_600_000])(
    "ends with its call's timeout, even if the wall clock jumps by %d ms",
    async (jump) => {
      const attempts = new Retry({ deadline: 5_000, isTransient: () => true });
      const attempt = vi.fn(async () => Promise.reject(new Error("throttled")));
      const call = fate(attempts.run(attempt));
      await vi.advanceTimersByTimeAsync(1);
      vi.setSystemTime(Date.now() + jump);
      await vi.advanceTimersByTimeAsync(3_000);
      expect(call.outcome).toBe("pending");
      await vi.advanceTimersByTimeAsync(2_000);
      expect(call.outcome).toBe("Error");
    },
  );

  it("ends when its call is cancelled, and leaves no timer", async () => {
    const attempts = new Retry({ deadline: 10_000 });
    const call = fate(attempts.run(never));
    attempts.cancel();
    await vi.advanceTimersByTimeAsync(0);
    expect(call.outcome).toBe("AbortError");
    expect(vi.getTimerCount()).toBe(0);
  });
});
