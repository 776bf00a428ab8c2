import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { InboundQueue } from "./inbound-queue.ts";

function setUp(messagesInFlight: number) {
  const started: string[] = [];
  const ends: (() => void)[] = [];
  const isReading: boolean[] = [];
  const source = { pause: () => void isReading.push(false), resume: () => void isReading.push(true) };
  const queue = new InboundQueue({ messagesInFlight }, source, (text, done) => {
    started.push(text);
    ends.push(done);
  });
  return { queue, started, isReading, endOne: () => ends.shift()?.() };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe("InboundQueue", () => {
  it("starts no more messages than its limit, and stops reading", () => {
    const { queue, started, isReading } = setUp(2);
    for (const text of ["a", "b", "c", "d"]) queue.push(text);
    expect([started, isReading]).toEqual([["a", "b"], [false]]);
  });

  it("starts the next one in order when one has ended, and resumes reading when none waits", async () => {
    const { queue, started, isReading, endOne } = setUp(2);
    for (const text of ["a", "b", "c"]) queue.push(text);
    endOne();
    await turn();
    expect([started, isReading]).toEqual([["a", "b", "c"], [false]]);
    endOne();
    await turn();
    expect(isReading).toEqual([false, true]);
  });

  it("starts 16 in one turn of the event loop, even if each ends at once", async () => {
    const started: string[] = [];
    const source = { pause: () => {}, resume: () => {} };
    const queue = new InboundQueue({ messagesInFlight: 100 }, source, (text, done) => {
      started.push(text);
      done();
    });
    for (let n = 0; n < 40; n++) queue.push(String(n));
    const counts = [started.length];
    while (started.length < 40) {
      await turn();
      counts.push(started.length);
    }
    expect(counts).toEqual([16, 32, 40]);
  });

  it("reports that it is empty only after the last message has started", async () => {
    const { queue, started, endOne } = setUp(1);
    let empty = false;
    queue.push("a");
    queue.push("b");
    queue.whenEmpty(() => {
      empty = true;
    });
    expect(empty).toBe(false);
    endOne();
    await turn();
    expect([started, empty]).toEqual([["a", "b"], true]);
  });

  it("starts nothing after it is cleared", async () => {
    const { queue, started, endOne } = setUp(1);
    queue.push("a");
    queue.push("b");
    queue.clear();
    endOne();
    await turn();
    expect(started).toEqual(["a"]);
  });

  it("starts no message after one that closes the connection and so clears the queue", async () => {
    const started: string[] = [];
    const ends: (() => void)[] = [];
    const source = { pause: () => {}, resume: () => {} };
    const queue = new InboundQueue({ messagesInFlight: 1 }, source, (text, done) => {
      started.push(text);
      if (text === "first") return void ends.push(done);
      queue.clear();
      done();
    });
    for (const text of ["first", "refused", "dropped"]) queue.push(text);
    ends[0]?.();
    await turn();
    await turn();
    expect(started).toEqual(["first", "refused"]);
  });

  it("starts every message once, in order and within its limit, for any sequence of arrivals and ends", async () => {
    const steps = fc.array(fc.constantFrom("push", "end", "turn"), { maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 4 }), steps, async (limit, all) => {
        const { queue, started, isReading, endOne } = setUp(limit);
        let pushed = 0;
        let ended = 0;
        for (const step of all) {
          if (step === "push") queue.push(String(pushed++));
          else if (step === "turn") await turn();
          else if (ended < started.length) {
            ended++;
            endOne();
          }
          expect(started.length - ended).toBeLessThanOrEqual(limit);
        }
        while (ended < pushed) {
          if (ended < started.length) {
            ended++;
            endOne();
          }
          await turn();
        }
        expect(started).toEqual(Array.from({ length: pushed }, (_, n) => String(n)));
        await turn();
        expect(isReading.at(-1) ?? true).toBe(true);
      }),
      { seed: 43, numRuns: 200 },
    );
  });
});
