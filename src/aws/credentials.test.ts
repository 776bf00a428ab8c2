import { afterEach, describe, expect, it, vi } from "vitest";
import { type AwsCredentials, CredentialsCache } from "./credentials.ts";

const KEYS = { accessKeyId: "AKID", secretAccessKey: "secret" };

afterEach(() => {
  vi.unstubAllEnvs();
  vi.useRealTimers();
});

describe("credentials", () => {
  it("default to the environment variables, read each time", () => {
    const source = new CredentialsCache(undefined);
    vi.stubEnv("AWS_ACCESS_KEY_ID", KEYS.accessKeyId);
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", KEYS.secretAccessKey);
    vi.stubEnv("AWS_SESSION_TOKEN", undefined);
    expect(source.get()).toEqual(KEYS);
    vi.stubEnv("AWS_SESSION_TOKEN", "token");
    expect(source.get()).toEqual({ ...KEYS, sessionToken: "token" });
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", undefined);
    expect(() => source.get()).toThrow(/AWS_SECRET_ACCESS_KEY/);
  });

  it("may be given as an object", () => {
    expect(new CredentialsCache(KEYS).get()).toBe(KEYS);
  });

  it("are requested from a provider once, and again a minute before they expire", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: 0 });
    const asked: AwsCredentials[] = [];
    const source = new CredentialsCache(async () => {
      const credentials = { ...KEYS, expiration: new Date(Date.now() + 3_600_000) };
      asked.push(credentials);
      return credentials;
    });
    expect(await Promise.all([source.get(), source.get()])).toEqual([asked[0], asked[0]]);
    vi.setSystemTime(3_540_000);
    expect(await source.get()).toBe(asked[0]);
    vi.setSystemTime(3_540_001);
    expect(await source.get()).toBe(asked[1]);
    expect(asked).toHaveLength(2);
  });

  it("are requested again in time, though the clock was set back", async () => {
    vi.useFakeTimers({ toFake: ["Date", "performance"], now: 3_600_000 });
    const provider = vi.fn(async () => ({ ...KEYS, expiration: new Date(Date.now() + 3_600_000) }));
    const source = new CredentialsCache(provider);
    await source.get();
    vi.setSystemTime(0);
    vi.advanceTimersByTime(3_540_000);
    await source.get();
    expect(provider).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(1);
    await source.get();
    expect(provider).toHaveBeenCalledTimes(2);
  });

  it.each<[string, () => Promise<never>]>([
    ["rejected", async () => Promise.reject(new Error("not now"))],
    [
      "thrown",
      () => {
        throw new Error("not now");
      },
    ],
  ])("are requested again when the provider has %s", async (_how, fail) => {
    let works = false;
    const source = new CredentialsCache(() => (works ? Promise.resolve(KEYS) : fail()));
    await expect(source.get()).rejects.toThrow("not now");
    works = true;
    expect(await source.get()).toBe(KEYS);
  });
});
