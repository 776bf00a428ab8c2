import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readSourceIp } from "./source-ip.ts";

const PROXY = "10.0.0.1";

function sourceOf(forwarded: string | string[] | undefined, trustProxy = true, remoteAddress?: string) {
  const request = {
    headers: { "x-forwarded-for": forwarded },
    socket: { remoteAddress: remoteAddress ?? PROXY },
  };
  return readSourceIp(request as unknown as IncomingMessage, trustProxy);
}

describe("sourceIp", () => {
  it.each([
    "203.0.113.9",
    " 203.0.113.9 ",
    "203.0.113.9:4711",
    "203.0.113.9:65535",
    '"203.0.113.9"',
    '"203.0.113.9:4711"',
    "::ffff:203.0.113.9",
    "::FFFF:203.0.113.9",
    "::ffff:cb00:7109",
    "0:0:0:0:0:ffff:cb00:7109",
    "[::ffff:203.0.113.9]",
    "[::ffff:cb00:7109]:4711",
    '"[::ffff:203.0.113.9]:4711"',
    "::ffff:203.0.113.9:4711",
    "6.6.6.6, 203.0.113.9:1",
    "6.6.6.6:2,unknown,203.0.113.9",
  ])("reads %j as 203.0.113.9", (forwarded) => {
    expect(sourceOf(forwarded)).toBe("203.0.113.9");
  });

  it.each([
    "2001:db8::9",
    "2001:DB8:0:0:0:0:0:9",
    "[2001:db8::9]",
    "[2001:db8::9]:4711",
    '"[2001:db8::9]:4711"',
    "2001:db8::9%eth0",
    "2001:db8:0:0:0:0:0:9:443",
  ])("reads %j as 2001:db8::9", (forwarded) => {
    expect(sourceOf(forwarded)).toBe("2001:db8::9");
  });

  it.each([
    undefined,
    "",
    "unknown",
    "_hidden",
    "203.0.113.9,",
    "203.0.113.9, unknown",
    "203.0.113.9.5",
    "203.0.113.999",
    "203.0.113.9:port",
    "203.0.113.9:123456",
    "203.0.113.9:1:2",
    "[203.0.113.9]:1",
    "[2001:db8::9",
    "2001:db8::9]:1",
    "for=203.0.113.9",
    "203.0.113.9 203.0.113.8",
    "client.example:80",
  ])("falls back to the proxy's own address for %j", (forwarded) => {
    expect(sourceOf(forwarded)).toBe(PROXY);
  });

  it("reads several header lines as one list", () => {
    expect(sourceOf(["6.6.6.6", "7.7.7.7, 203.0.113.9:1"])).toBe("203.0.113.9");
  });

  it("reads only the socket's address when no proxy is trusted", () => {
    expect(sourceOf("203.0.113.9", false)).toBe(PROXY);
    expect(sourceOf(undefined, false, "::ffff:10.0.0.1")).toBe(PROXY);
    expect(sourceOf(undefined, true, "::ffff:a00:1")).toBe(PROXY);
  });

  it("is the same for each spelling of a proxy, and an address for any text of a client", () => {
    const anyIp = fc.oneof(fc.ipV4(), fc.ipV6());
    fc.assert(
      fc.property(anyIp, fc.integer({ min: 1, max: 65_535 }), fc.string(), (ip, port, junk) => {
        const plain = sourceOf(ip);
        const host = ip.includes(":") ? `[${ip}]` : ip;
        for (const written of [host, `${host}:${port}`, `"${host}:${port}"`, `${junk}, ${host}:${port}`]) {
          expect(sourceOf(written)).toBe(plain);
        }
        expect(isIP(sourceOf(junk))).not.toBe(0);
      }),
      { seed: 1 },
    );
  });
});
