import fc from "fast-check";
import { afterEach, describe, expect, it, vi } from "vitest";
import { type Cron, callAt, parseCron } from "./cron.ts";
import { callAll } from "./run-stack.ts";

const parse = (text: string) => parseCron(text) as Cron;

describe("cron", () => {
  // 2026-11-29 is a Sunday.
  it.each([
    ["0 10 * * ? *", "2026-11-29T10:00"],
    ["15 12 * * ? *", "2026-11-29T12:15"],
    ["0 18 ? * MON-FRI *", "2026-11-30T18:00"],
    ["0 8 1 * ? *", "2026-12-01T08:00"],
    ["0/15 * * * ? *", "2026-11-29T08:45"],
    ["0/10 * ? * MON-FRI *", "2026-11-30T00:00"],
    ["0/5 8-17 ? * MON-FRI *", "2026-11-30T08:00"],
    ["0/30 20-2 ? * MON-FRI *", "2026-11-30T00:00"],
    ["0 0 L * ? *", "2026-11-30T00:00"],
    ["0 0 LW 1 ? *", "2027-01-29T00:00"],
    ["0 0 15W 8 ? 2027", "2027-08-16T00:00"],
    ["0 0 1W 5 ? 2027", "2027-05-03T00:00"],
    ["0 0 31W 1 ? 2027", "2027-01-29T00:00"],
    ["0 0 ? * L *", "2026-12-05T00:00"],
    ["0 0 ? * 6L *", "2026-12-25T00:00"],
    ["0 0 ? * FRI#1 *", "2026-12-04T00:00"],
    ["0 0 ? FEB TUE#5 *", "2028-02-29T00:00"],
    ["0 0 29 2 ? *", "2028-02-29T00:00"],
    ["31 8 29 11 ? 2026", "2026-11-29T08:31"],
    ["30 8 ? * SAT-MON *", "2026-11-30T08:30"],
    ["0 0 31 4 ? *", undefined],
    ["0 0 1 1 ? 2026", undefined],
  ])("(%s) is next at %s", (fields, expected) => {
    const next = parse(`cron(${fields})`).next(Date.parse("2026-11-29T08:30:00Z"));
    expect(next && new Date(next).toISOString().slice(0, 16)).toBe(expected);
  });

  it.each([
    ["0 10 * * *", "six fields"],
    ["0 10 * * * *", "must be `?`"],
    ["0 10 ? * ? *", "must be `?`"],
    ["60 10 * * ? *", "`60` is not valid for minutes: 0 to 59"],
    ["0 24 * * ? *", "hours"],
    ["0 0 0 * ? *", "days"],
    ["0 0 32W * ? *", "days"],
    ["0 0 * FOO ? *", "months"],
    ["0 0 ? * 8 *", "weekdays"],
    ["0 0 ? * 6#6 *", "names no day"],
    ["0 0 ? * 2/2 *", "`2/2` is not valid for weekdays: steps are not allowed"],
    ["0 0 ? * 3#1,6#3 *", "`3#1,6#3` is not valid for weekdays: `#` is not allowed in a list"],
    ["0 0 * * ? 1969", "years"],
    ["0/0 0 * * ? *", "step of 0"],
    ["*-5 0 * * ? *", "minutes"],
    ["1e1 0 * * ? *", "minutes"],
    [", 0 * * ? *", "minutes"],
  ])("(%s) is refused", (fields, reason) => {
    expect(parseCron(`cron(${fields})`)).toContain(reason);
  });

  it("finds exactly the minutes that its fields name", () => {
    const field = (least: number, most: number, hasSteps = true) => {
      const value = fc.integer({ min: least, max: most });
      const stepped = fc
        .tuple(value, fc.integer({ min: 1, max: most }))
        .map(([a, n]) => ({ text: `${a}/${n}`, has: (at: number) => at >= a && (at - a) % n === 0 }));
      const item = fc.oneof(
        fc.constant({ text: "*", has: () => true }),
        value.map((v) => ({ text: `${v}`, has: (at: number) => at === v })),
        fc
          .tuple(value, value)
          .map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const)
          .map(([a, b]) => ({ text: `${a}-${b}`, has: (at: number) => at >= a && at <= b })),
        ...(hasSteps ? [stepped] : []),
      );
      return fc.array(item, { minLength: 1, maxLength: 3 }).map((items) => ({
        text: items.map(({ text }) => text).join(","),
        has: (at: number) => items.some((each) => each.has(at)),
      }));
    };
    const fields = fc.tuple(
      field(0, 59),
      field(0, 23),
      field(1, 31),
      field(1, 12),
      field(1, 7, false),
      fc.boolean(),
    );
    const start = fc.integer({ min: Date.UTC(2024, 0), max: Date.UTC(2030, 0) });
    fc.assert(
      fc.property(fields, start, ([minutes, hours, days, months, weekdays, byWeekday], after) => {
        const [day, weekday] = byWeekday ? ["?", weekdays.text] : [days.text, "?"];
        const { next } = parse(`cron(${minutes.text} ${hours.text} ${day} ${months.text} ${weekday} *)`);
        const found = next(after);
        const fits = (time: number) => {
          const date = new Date(time);
          return (
            minutes.has(date.getUTCMinutes()) &&
            hours.has(date.getUTCHours()) &&
            months.has(date.getUTCMonth() + 1) &&
            (byWeekday ? weekdays.has(date.getUTCDay() + 1) : days.has(date.getUTCDate()))
          );
        };
        if (found !== undefined)
          expect([found > after, found % 60_000, fits(found)]).toEqual([true, 0, true]);
        // None before it: the minutes of two days are enough to see one that was left out.
        const end = Math.min(found ?? Number.POSITIVE_INFINITY, after + 2 * 86_400_000);
        let missed: number | undefined;
        for (let time = Math.floor(after / 60_000 + 1) * 60_000; time < end; time += 60_000) {
          if (fits(time)) missed ??= time;
        }
        expect(missed).toBeUndefined();
      }),
    );
  });
});

describe("calls", () => {
  afterEach(() => void vi.useRealTimers());

  it("come at each time, also after months, and end with the stop", () => {
    vi.useFakeTimers({ now: Date.parse("2026-11-29T08:30:00Z") });
    const calls: string[] = [];
    const stop = callAt(parse("cron(0 0 1 2,3 ? *)"), () => calls.push(new Date().toISOString()));
    vi.advanceTimersByTime(100 * 86_400_000);
    expect(calls).toEqual(["2027-02-01T00:00:00.000Z", "2027-03-01T00:00:00.000Z"]);
    stop();
    expect(vi.getTimerCount()).toBe(0);
  });

  it.each([
    ["own times", undefined, { cron: 2, rate: 3 }],
    ["a common interval", 60 * 60_000, { cron: 3, rate: 3 }],
  ])("of a stack come at %s", async (_, scheduleMs, expected) => {
    vi.useFakeTimers({ now: Date.parse("2026-11-29T08:30:00Z") });
    const calls = { cron: 0, rate: 0 };
    const schedules = [
      { when: parse("cron(45 8,9 * * ? *)"), call: () => calls.cron++ },
      { when: { everyMs: 60 * 60_000 }, call: () => calls.rate++ },
    ];
    const stop = callAll(schedules, scheduleMs);
    vi.advanceTimersByTime(3 * 60 * 60_000);
    expect(calls).toEqual(expected);
    await stop();
    expect(vi.getTimerCount()).toBe(0);
  });

  it("come after an interval that is longer than a timer of Node", async () => {
    vi.useFakeTimers({ now: Date.parse("2026-11-29T08:30:00Z") });
    const calls: string[] = [];
    const everyMs = 30 * 86_400_000;
    const stop = callAll(
      [{ when: { everyMs }, call: () => calls.push(new Date().toISOString()) }],
      undefined,
    );
    vi.advanceTimersByTime(2 * everyMs + 1_000);
    expect(calls).toEqual(["2026-12-29T08:30:00.000Z", "2027-01-28T08:30:00.000Z"]);
    await stop();
    expect(vi.getTimerCount()).toBe(0);
  });
});
