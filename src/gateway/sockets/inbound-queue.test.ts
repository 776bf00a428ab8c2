import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { InboundQueue } from "./inbound-queue.ts";

function setUp(messagesInFlight: number) {
  const begun: string[] = [];
  const ends: (() => void)[] = [];
  const reading: boolean[] = [];
  const source = { pause: () => void reading.push(false), resume: () => void reading.push(true) };
  const intake = new InboundQueue({ messagesInFlight }, source, (text, done) => {
    begun.push(text);
    ends.push(done);
  });
  return { intake, begun, reading, endOne: () => ends.shift()?.() };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe("InboundQueue", () => {
  it("begins no more messages than may be under way, and stops reading", () => {
    const { intake, begun, reading } = setUp(2);
    for (const text of ["a", "b", "c", "d"]) intake.push(text);
    expect([begun, reading]).toEqual([["a", "b"], [false]]);
  });

  it("begins the next in order when one has ended, and reads on when none waits", async () => {
    const { intake, begun, reading, endOne } = setUp(2);
    for (const text of ["a", "b", "c"]) intake.push(text);
    endOne();
    await turn();
    expect([begun, reading]).toEqual([["a", "b", "c"], [false]]);
    endOne();
    await turn();
    expect(reading).toEqual([false, true]);
  });

  it("begins 16 in one turn of the event loop, though each ends at once", async () => {
    const begun: string[] = [];
    const source = { pause: () => {}, resume: () => {} };
    const intake = new InboundQueue({ messagesInFlight: 100 }, source, (text, done) => {
      begun.push(text);
      done();
    });
    for (let n = 0; n < 40; n++) intake.push(String(n));
    const counts = [begun.length];
    while (begun.length < 40) {
      await turn();
      counts.push(begun.length);
    }
    expect(counts).toEqual([16, 32, 40]);
  });

  it("says that it is empty only after the last message has begun", async () => {
    const { intake, begun, endOne } = setUp(1);
    let empty = false;
    intake.push("a");
    intake.push("b");
    intake.whenEmpty(() => {
      empty = true;
    });
    expect(empty).toBe(false);
    endOne();
    await turn();
    expect([begun, empty]).toEqual([["a", "b"], true]);
  });

  it("begins nothing more once it is cleared", async () => {
    const { intake, begun, endOne } = setUp(1);
    intake.push("a");
    intake.push("b");
    intake.clear();
    endOne();
    await turn();
    expect(begun).toEqual(["a"]);
  });

  it("begins every message once and in order, within its bound, however they come and end", async () => {
    const steps = fc.array(fc.constantFrom("push", "end", "turn"), { maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 4 }), steps, async (limit, all) => {
        const { intake, begun, reading, endOne } = setUp(limit);
        let pushed = 0;
        let ended = 0;
        for (const step of all) {
          if (step === "push") intake.push(String(pushed++));
          else if (step === "turn") await turn();
          else if (ended < begun.length) {
            ended++;
            endOne();
          }
          expect(begun.length - ended).toBeLessThanOrEqual(limit);
        }
        while (ended < pushed) {
          if (ended < begun.length) {
            ended++;
            endOne();
          }
          await turn();
        }
        expect(begun).toEqual(Array.from({ length: pushed }, (_, n) => String(n)));
        await turn();
        expect(reading.at(-1) ?? true).toBe(true);
      }),
      { seed: 43, numRuns: 200 },
    );
  });
});
