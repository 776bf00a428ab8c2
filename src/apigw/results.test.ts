import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseWebSocketResult } from "./results.ts";

describe("parseWebSocketResult", () => {
  it("returns a result as it is", () => {
    const result = { statusCode: 200, body: "x", headers: { a: "b" }, isBase64Encoded: false };
    expect(parseWebSocketResult(result)).toEqual(result);
  });

  it.each([
    [{ statusCode: 200, Data: '"Hello"', ConnectionId: "ZmDx-dJ4FiACFkQ=" }, '"Data"'],
    [{ statusCode: 200, cookies: [] }, '"cookies"'],
    [{ statusCode: 200, body: "x", connectionId: "x" }, '"connectionId"'],
    [{ statusCode: 200, status: null }, '"status"'],
  ])("refuses %j, and names the unknown field", (answer, name) => {
    expect(() => parseWebSocketResult(answer)).toThrow(`unknown field ${name}`);
  });

  it("parses a result as JSON leaves it", () => {
    const own = { statusCode: 200, Data: undefined, log: () => {} };
    expect(parseWebSocketResult(own)).toEqual({ statusCode: 200 });
    const written = { toJSON: () => ({ statusCode: 201 }) };
    expect(parseWebSocketResult(written)).toEqual({ statusCode: 201 });
    expect(() => parseWebSocketResult(Object.create({ statusCode: 200 }))).toThrow("statusCode");
  });

  it.each(["100", "200", "599"])("parses the status %j as a number", (statusCode) => {
    expect(parseWebSocketResult({ statusCode, body: "x" })).toEqual({
      statusCode: Number(statusCode),
      body: "x",
    });
  });

  it.each(["", "OK", "20", "2000", "0x1", "2e2", " 200", "099", "600", 99, 600, 200.5, null, true])(
    "refuses the status %j",
    (statusCode) => {
      expect(() => parseWebSocketResult({ statusCode })).toThrow("`statusCode` from 100 to 599");
    },
  );

  it("throws only a TypeError, and returns only valid results", () => {
    const answer = fc.oneof(
      fc.anything(),
      fc.record({
        statusCode: fc.oneof(fc.anything(), fc.nat(700), fc.constant("200")),
        body: fc.anything(),
      }),
    );
    const read = (value: unknown) => {
      try {
        return parseWebSocketResult(value);
      } catch (error) {
        expect(error).toBeInstanceOf(TypeError);
        return undefined;
      }
    };
    fc.assert(
      fc.property(answer, (value) => {
        const result = read(value);
        if (result === undefined) return;
        expect(result.statusCode).toBeGreaterThanOrEqual(100);
        expect(result.statusCode).toBeLessThanOrEqual(599);
        expect(["string", "undefined"]).toContain(typeof (result.body ?? undefined));
      }),
      { seed: 1219, numRuns: 2_000 },
    );
  });
});
