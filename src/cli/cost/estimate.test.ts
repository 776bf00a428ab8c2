import { describe, expect, it } from "vitest";
import { estimate } from "./estimate.ts";
import { PRICES, toBill, type Usage } from "./prices.ts";
import { countPages, listMembers, partitions, publishUnits, SENDER } from "./streamer.ts";
import { UNITS } from "./units.ts";
import { toSendMs } from "./work.ts";
import { DEFAULTS, toOperations } from "./workload.ts";

const NOTHING = Object.fromEntries(Object.keys(PRICES).map((name) => [name, 0])) as Usage;
const { channels } = UNITS;

describe("units of a message", () => {
  it("has the measured units of a list of members", () => {
    const { reads: three } = channels.listThreeMembers;
    const { reads: thousand } = channels.listThousandMembers;
    expect([listMembers(0), listMembers(3)]).toEqual([
      { reads: three, writes: 0 },
      { reads: three, writes: 0 },
    ]);
    expect(listMembers(1_000)).toEqual({ reads: thousand, writes: 0 });
    expect([3, 1_000, 10_000].map(countPages)).toEqual([1, 4, 24]);
  });

  it("has the measured units of messages of 100 bytes and of 10 KB", () => {
    const { appendWithKey, appendLarge, markDelivered, checkpoint, listThousandMembers } = channels;
    const small = publishUnits({ ...DEFAULTS, messageBytes: 100, fanOut: 1_000 });
    expect(small).toEqual({
      reads: appendWithKey.reads + listThousandMembers.reads,
      writes: appendWithKey.writes + 3 * checkpoint.writes + markDelivered.writes,
    });
    const large = publishUnits({ ...DEFAULTS, messageBytes: 10_000, fanOut: 3 });
    // The mark writes the message again: ten units.
    expect(large.writes).toBe(appendLarge.writes + 10 * markDelivered.writes);
  });

  it("writes nothing at most once", () => {
    expect(publishUnits({ ...DEFAULTS, atMostOnce: true })).toEqual(listMembers(DEFAULTS.fanOut));
  });
});

describe("a bill", () => {
  it("charges each tier for its part", () => {
    const { dollars, total } = toBill({ ...NOTHING, messages: 1.5e9, writes: 2e6 });
    expect(dollars).toMatchObject({ messages: 1_000 + 400, writes: 1.25, reads: 0 });
    expect(total).toBe(1_401.25);
  });

  it("has a source and a date for each price", () => {
    for (const { source, asOf } of Object.values(PRICES)) {
      expect(source).toMatch(/^https:\/\/aws\.amazon\.com\//);
      expect(asOf).toMatch(/^20\d\d/);
    }
  });
});

describe("an estimate", () => {
  it("counts messages in 32 KB and connection minutes", () => {
    const workload = { ...DEFAULTS, connections: 10, messagesPerMinute: 1, fanOut: 4 };
    const perMonth = toOperations(workload);
    const { usage } = estimate(workload).streamer;
    expect(usage.connectionMinutes).toBe(10 * 730 * 60);
    const others = 2 * (perMonth.subscribes + perMonth.heartbeats);
    expect(usage.messages).toBeCloseTo(others + perMonth.publishes * (1 + 1 + 4));
    const large = estimate({ ...workload, messageBytes: 40_000 }).streamer.usage;
    expect(large.messages).toBeCloseTo(others + perMonth.publishes * (2 + 1 + 2 * 4));
  });

  it("halves with half of the hours, except for the schedule", () => {
    const whole = estimate(DEFAULTS).streamer.usage;
    const half = estimate({ ...DEFAULTS, hoursPerDay: 12 }).streamer.usage;
    expect(half.messages).toBeCloseTo(whole.messages / 2);
    expect(half.writes).toBeCloseTo(whole.writes / 2);
    expect(half.reads).toBeGreaterThan(whole.reads / 2);
  });

  it("adds partitions for more writes than a new table accepts", () => {
    expect(partitions(DEFAULTS)).toBe(4);
    expect(partitions({ ...DEFAULTS, messagesPerMinute: 60_000 })).toBe(7);
  });

  it("sends as fast as the function's CPU allows", () => {
    expect(toSendMs(0, SENDER, 512)).toBe(0);
    expect(toSendMs(10_000, SENDER, 1_769)).toBe(1_570);
    expect(toSendMs(10_000, SENDER, 512)).toBeCloseTo(3_455, 0);
    expect(toSendMs(1, SENDER, 512)).toBe(10);
  });

  it("is free of charge without connections and messages, except for the schedule", () => {
    const { streamer, naive } = estimate({ ...DEFAULTS, connections: 0, messagesPerMinute: 0 });
    expect(naive.total).toBe(0);
    expect(streamer.total).toBeLessThan(1);
  });
});
