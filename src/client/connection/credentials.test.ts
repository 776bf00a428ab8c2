import { describe, expect, it } from "vitest";
import { TestClock } from "../../../test/client/test-clock.ts";
import { type ClientOptions, resolveOptions } from "../options.ts";
import { Credentials, tokenLifetime } from "./credentials.ts";

const NOW = Date.UTC(2026, 0, 1);
const encode = (value: unknown) => btoa(JSON.stringify(value)).replaceAll("+", "-").replaceAll("/", "_");
/** A JWT with times in seconds from `NOW`. */
const jwt = (exp: number, iat: number, name = "") =>
  `e30.${encode({ exp: NOW / 1_000 + exp, iat: NOW / 1_000 + iat, name })}.c2ln`;

describe("tokenLifetime", () => {
  it.each([
    ["of a token that is used at once", 60, 0, 60_000],
    ["of an older token", 30, -30, 30_000],
    ["of a token from the future, whole", 120, 60, 60_000],
    ["of an expired token, whole", -30, -90, 60_000],
    ["of a token that expires now, whole", 0, -60, 60_000],
    ["of a token whose times are in the wrong order", -60, 0, -60_000],
    ["of a token without a lifetime", 0, 0, 0],
  ])("is the time that remains %s", (_, exp, iat, expected) => {
    expect(tokenLifetime(jwt(exp, iat), NOW)).toBe(expected);
  });

  it("reads the alphabet of URLs", () => {
    const token = jwt(60, 0, "~~~???>>>");
    expect(token).toMatch(/[-_]/);
    expect(tokenLifetime(token, NOW)).toBe(60_000);
  });

  it("is the remaining time of a token without `iat`", () => {
    expect(tokenLifetime(`e30.${encode({ exp: NOW / 1_000 + 60 })}.c2ln`, NOW)).toBe(60_000);
  });

  it.each(["", "opaque-credential", "a.b.c", `e30.${encode({})}.c2ln`, `e30.${encode(null)}.c2ln`])(
    "is NaN for %j",
    (token) => {
      expect(tokenLifetime(token, NOW)).toBeNaN();
    },
  );

  it("is NaN without a token", () => {
    expect(tokenLifetime(undefined, NOW)).toBeNaN();
  });
});

describe("Credentials", () => {
  const WebSocket = class {} as unknown as NonNullable<ClientOptions["WebSocket"]>;
  const create = (options: Partial<ClientOptions>, clock = new TestClock()) =>
    new Credentials(resolveOptions({ url: "wss://model/dev?v=1", WebSocket, clock, ...options }));
  const { signal } = new AbortController();

  it("adds nothing to the URL of an anonymous user", async () => {
    expect(await create({}).url(signal)).toBe("wss://model/dev?v=1");
  });

  it("adds a token or a ticket, whichever is set", async () => {
    expect(await create({ token: "opaque-credential" }).url(signal)).toBe(
      "wss://model/dev?v=1&token=opaque-credential",
    );
    expect(await create({ getToken: () => "t 1" }).url(signal)).toBe("wss://model/dev?v=1&token=t+1");
    expect(await create({ getTicket: async () => "t1" }).url(signal)).toBe("wss://model/dev?v=1&ticket=t1");
  });

  it("notes when the last token expires", async () => {
    const clock = new TestClock();
    const credentials = create({ getToken: () => jwt(60, 0) }, clock);
    expect(credentials.expiresAt).toBeNaN();
    await credentials.url(signal);
    expect(credentials.expiresAt - clock.monotonic()).toBe(60_000);
  });

  it("fails with TOKEN_FAILED, which is retried, and the cause", async () => {
    const cause = new Error("down");
    const credentials = create({ getToken: () => Promise.reject(cause) });
    await expect(credentials.url(signal)).rejects.toMatchObject({ code: "TOKEN_FAILED", retry: true, cause });
  });
});
