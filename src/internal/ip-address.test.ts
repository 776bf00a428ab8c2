import { isIP } from "node:net";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { canonicalAddress } from "./ip-address.ts";

describe("canonicalAddress", () => {
  it.each([
    ["192.0.2.1", "192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["::FFFF:192.0.2.1", "192.0.2.1"],
    ["::ffff:c000:201", "192.0.2.1"],
    ["0:0:0:0:0:ffff:c000:0201", "192.0.2.1"],
    ["0000:0000:0000:0000:0000:FFFF:192.0.2.1", "192.0.2.1"],
    ["[::ffff:192.0.2.1]", "192.0.2.1"],
    ["::ffff:192.0.2.1%eth0", "192.0.2.1"],
    ["2001:DB8:0:0:0:0:0:1", "2001:db8::1"],
    ["[2001:db8::1]", "2001:db8::1"],
    ["fe80::1%eth0", "fe80::1"],
    ["0:0:0:0:0:0:0:1", "::1"],
    ["::", "::"],
    ["::ffff:0:192.0.2.1", "::ffff:0:c000:201"],
  ])("returns %s as %s", (text, address) => {
    expect(canonicalAddress(text)).toBe(address);
  });

  it.each([
    "",
    " 192.0.2.1",
    "192.0.2.1:80",
    "192.0.2.999",
    "192.0.2",
    "0192.0.2.1",
    "192.0.2.1.",
    "[192.0.2.1]",
    "[::1",
    "::1]",
    "[[::1]]",
    "[::1]:80",
    "[]",
    "::ffff:192.0.2.999",
    "1:2:3:4:5:6:7:8:9",
    "localhost",
    "unknown",
  ])("returns undefined for %j", (text) => {
    expect(canonicalAddress(text)).toBeUndefined();
  });

  it("returns the same text for every spelling of an address", () => {
    const group = fc.integer({ min: 0, max: 0xffff });
    fc.assert(
      fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (groups) => {
        const short = groups.map((one) => one.toString(16));
        const long = groups.map((one) => one.toString(16).padStart(4, "0").toUpperCase());
        const address = canonicalAddress(short.join(":"));
        expect(isIP(address ?? "")).not.toBe(0);
        expect(canonicalAddress(long.join(":"))).toBe(address);
        expect(canonicalAddress(address ?? "")).toBe(address);
      }),
      { seed: 1 },
    );
  });

  it("returns an address or undefined for any text", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[[\]:.%0-9a-f]{0,40}$/)), (text) => {
        const address = canonicalAddress(text);
        expect(address === undefined || isIP(address) !== 0).toBe(true);
      }),
      { seed: 1 },
    );
  });
});
