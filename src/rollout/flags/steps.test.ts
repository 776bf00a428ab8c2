import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseFlag, withPercent } from "../index.ts";
import { placeOf } from "./flag.ts";
import { type Side, sideOf } from "./steps.ts";

const START = Date.UTC(2026, 0, 1);
const HOUR = 3_600_000;

const at = (time: number) => ({ now: () => time });

describe("parseFlag", () => {
  it("accepts true, false, nothing and steps", () => {
    expect(sideOf(parseFlag("true"), 99.9, 0)).toBe("new");
    expect(parseFlag(" false\n")).toEqual([]);
    expect(parseFlag(undefined)).toEqual([]);
    expect(parseFlag('{"steps":[{"percent":12.5,"since":"2026-01-01T01:00:00+01:00"}],"note":"x"}')).toEqual([
      { percent: 12.5, since: START },
    ]);
  });

  it.each([
    ["yes", "expected `true`, `false` or"],
    ["25", "expected `true`, `false` or"],
    ["[]", "expected `true`, `false` or"],
    ['{"steps":{}}', "expected `true`, `false` or"],
    ['{"steps":[{"percent":101,"since":"2026-01-01"}]}', "`steps[0].percent`"],
    ['{"steps":[{"percent":-1,"since":"2026-01-01"}]}', "`steps[0].percent`"],
    ['{"steps":[{"percent":"5","since":"2026-01-01"}]}', "`steps[0].percent`"],
    ['{"steps":[{"percent":NaN,"since":"2026-01-01"}]}', "expected `true`, `false` or"],
    ['{"steps":[{"percent":5,"since":"soon"}]}', "`steps[0].since`"],
    ['{"steps":[{"percent":5,"since":1767225600}]}', "`steps[0].since`"],
    ['{"steps":[null]}', "`steps[0].percent`"],
    [
      '{"steps":[{"percent":5,"since":"2026-01-02"},{"percent":9,"since":"2026-01-01"}]}',
      "`steps[1].since` must be later",
    ],
  ])("rejects %s with INVALID_FLAG", (value, message) => {
    expect(() => parseFlag(value)).toThrow(
      expect.objectContaining({ code: "INVALID_FLAG", message: expect.stringContaining(message) }),
    );
  });
});

describe("withPercent", () => {
  it("promotes after a lead, and lowers at once", () => {
    const first = withPercent(undefined, 5, at(START));
    expect(first).toBe('{"steps":[{"percent":5,"since":"2026-01-01T00:01:00.000Z"}]}');
    const second = withPercent(first, 25, { ...at(START + HOUR), leadMs: 10_000 });
    expect(parseFlag(second).at(-1)).toEqual({ percent: 25, since: START + HOUR + 10_000 });
    const third = withPercent(second, 0, at(START + 2 * HOUR));
    expect(parseFlag(third).at(-1)).toEqual({ percent: 0, since: START + 2 * HOUR });
  });

  it("replaces a change that has not been applied yet", () => {
    const first = withPercent(undefined, 5, at(START));
    const promoting = withPercent(first, 25, at(START + HOUR));
    expect(parseFlag(withPercent(promoting, 0, at(START + HOUR + 1)))).toEqual([
      { percent: 5, since: START + 60_000 },
      { percent: 0, since: START + HOUR + 1 },
    ]);
    expect(withPercent(promoting, 5, at(START + HOUR + 1))).toBe(first);
  });

  it("rolls back from `true`, and drops steps that no open connection can need", () => {
    const back = withPercent("true", 0, at(START));
    expect(sideOf(parseFlag(back), 0, START - HOUR)).toBe("old");
    const again = withPercent(back, 5, at(START + 48 * HOUR));
    expect(parseFlag(again).map(({ percent }) => percent)).toEqual([0, 5]);
  });

  it.each([101, -0.1, Number.NaN, Number.POSITIVE_INFINITY, "5"])("rejects %j percent", (percent) => {
    expect(() => withPercent(undefined, percent as number)).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining("`percent`") }),
    );
  });

  it("rejects a lead shorter than caches, and a malformed value", () => {
    expect(() => withPercent(undefined, 5, { leadMs: 9_999 })).toThrow("`leadMs`");
    expect(() => withPercent("edited", 5)).toThrow(expect.objectContaining({ code: "INVALID_FLAG" }));
  });
});

describe("sideOf with random promotions and rollbacks", () => {
  it("keeps each connection on its side until a rollback moves it to the old one for good", () => {
    const change = fc.record({
      percent: fc.constantFrom(0, 5, 25, 50, 100),
      afterMs: fc.integer({ min: 1, max: HOUR }),
    });
    fc.assert(
      fc.property(
        fc.array(change, { maxLength: 12 }),
        fc.array(fc.nat(12 * HOUR), { maxLength: 8 }),
        (changes, begins) => {
          let value: string | undefined;
          let time = START;
          const open = new Map<number, { readonly place: number; side?: Side }>();
          for (const { percent, afterMs } of [...changes, { percent: 100, afterMs: HOUR }]) {
            time += afterMs;
            const before = parseFlag(value);
            for (const begin of begins.filter((each) => START + each <= time && !open.has(each))) {
              const place = placeOf(String(begin));
              open.set(begin, { place, side: sideOf(before, place, START + begin) });
            }
            value = withPercent(value, percent, at(time));
            const steps = parseFlag(value);
            for (const [begin, connection] of open) {
              const isRolledBack = connection.side === "new" && percent <= connection.place;
              const expected = isRolledBack ? "old" : connection.side;
              connection.side = sideOf(steps, connection.place, START + begin);
              expect(connection.side).toBe(expected);
            }
          }
        },
      ),
    );
  });
});

describe("placeOf", () => {
  it("distributes ids evenly", () => {
    for (const percent of [1, 5, 25, 50]) {
      const below = Array.from({ length: 20_000 }, (_, n) => placeOf(`user-${n}`)).filter(
        (place) => place < percent,
      );
      expect(Math.abs(below.length / 200 - percent)).toBeLessThan(1);
    }
    expect(placeOf("")).toBeLessThan(100);
  });
});
