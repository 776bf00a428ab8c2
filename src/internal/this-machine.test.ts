import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isLoopback } from "./this-machine.ts";

describe("isLoopback", () => {
  it.each([
    "localhost",
    "Localhost",
    "LOCALHOST",
    "localhost.",
    "LocalHost.",
    "127.0.0.1",
    "127.0.0.1.",
    "127.8.9.10",
    "127.255.255.255",
    "::1",
    "[::1]",
    "::1%lo",
    "0:0:0:0:0:0:0:1",
    "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "::ffff:127.0.0.1",
    "::FFFF:127.8.9.10",
    "::ffff:7f00:1",
    "[::ffff:7f00:1]",
    "0:0:0:0:0:ffff:7f00:1",
  ])("returns true for %s", (host) => {
    expect(isLoopback(host)).toBe(true);
  });

  it.each([
    "",
    ".",
    "localhost..",
    " localhost",
    "localhost ",
    "localhost:3001",
    "localhost.example",
    "evil.localhost",
    "[localhost]",
    "127",
    "127.1",
    "127.0.0.1:3001",
    "127.0.0.1..",
    "127.999.1.1",
    "127.0.0.256",
    "127.0.0.1.evil.example",
    "127.evil.example",
    "127.",
    "0127.0.0.1",
    "[127.0.0.1]",
    "[::1",
    "::1]",
    "[::1]:3001",
    "0.0.0.0",
    "::",
    "::2",
    "1::1",
    "::127.0.0.1",
    "::ffff:0:127.0.0.1",
    "::ffff:128.0.0.1",
    "::ffff:127.999.1.1",
    "126.255.255.255",
    "128.0.0.0",
    "192.168.1.2",
    "example.com",
  ])("returns false for %j", (host) => {
    expect(isLoopback(host)).toBe(false);
  });

  it("returns true for every address of 127.0.0.0/8, and false for names that start like one", () => {
    const byte = fc.nat(255);
    const label = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}[a-z0-9]$/);
    fc.assert(
      fc.property(byte, byte, byte, label, (a, b, c, name) => {
        const address = `127.${a}.${b}.${c}`;
        expect(isLoopback(address)).toBe(true);
        expect(isLoopback(`[::ffff:${address}]`)).toBe(true);
        expect(isLoopback(`${address}.${name}`)).toBe(false);
        expect(isLoopback(`127.${name}`)).toBe(false);
        expect(isLoopback(`localhost.${name}`)).toBe(false);
      }),
      { seed: 1 },
    );
  });
});
