import { X509Certificate } from "node:crypto";
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import tls from "node:tls";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { developmentCertificate } from "./certificate.ts";
import { createSelfSigned } from "./self-signed.ts";

const DAY_MS = 24 * 60 * 60 * 1000;
let directory: string;

beforeEach(async () => {
  directory = join(await mkdtemp(join(tmpdir(), "lift-ws-")), ".lift-ws");
});

afterEach(async () => {
  vi.useRealTimers();
  await rm(join(directory, ".."), { recursive: true });
});

describe("the development certificate", () => {
  it("names this machine, signs itself, and is not an authority", async () => {
    const certificate = new X509Certificate((await developmentCertificate("127.0.0.1", directory)).cert);
    expect(certificate.subjectAltName).toBe(
      "DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1",
    );
    expect(certificate.verify(certificate.publicKey)).toBe(true);
    expect(certificate.ca).toBe(false);
    expect(certificate.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1"]);
    expect(certificate.validFromDate.getTime()).toBeLessThan(Date.now());
  });

  it("is in one file that only its owner can read, in a folder that git ignores", async () => {
    await developmentCertificate("127.0.0.1", directory);
    expect((await stat(join(directory, "localhost.pem"))).mode & 0o777).toBe(0o600);
    expect(await readFile(join(directory, ".gitignore"), "utf8")).toBe("*\n");
  });

  it("is reused, and other users' permissions are removed from its file", async () => {
    const first = await developmentCertificate("127.0.0.1", directory);
    await chmod(join(directory, "localhost.pem"), 0o644);
    expect(await developmentCertificate("localhost", directory)).toEqual(first);
    expect((await stat(join(directory, "localhost.pem"))).mode & 0o777).toBe(0o600);
  });

  it("is renewed only in its last 30 days", async () => {
    const start = Date.UTC(2026, 0, 1);
    vi.useFakeTimers({ toFake: ["Date"], now: start });
    const first = await developmentCertificate("127.0.0.1", directory);
    vi.setSystemTime(start + 366 * DAY_MS);
    expect(await developmentCertificate("127.0.0.1", directory)).toEqual(first);
    vi.setSystemTime(start + 367 * DAY_MS);
    const second = await developmentCertificate("127.0.0.1", directory);
    expect(second).not.toEqual(first);
    expect(await developmentCertificate("127.0.0.1", directory)).toEqual(second);
  });

  it("is replaced for a host that it does not name", async () => {
    const first = await developmentCertificate("127.0.0.1", directory);
    const second = await developmentCertificate("192.168.7.9", directory);
    expect(second).not.toEqual(first);
    expect(new X509Certificate(second.cert).checkIP("192.168.7.9")).toBe("192.168.7.9");
  });

  it.each(["", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"])(
    "is replaced when its file is damaged: %j",
    async (damage) => {
      const { key, cert } = await developmentCertificate("127.0.0.1", directory);
      await writeFile(join(directory, "localhost.pem"), damage === "" ? cert : key + damage);
      const second = await developmentCertificate("127.0.0.1", directory);
      expect(second.cert).not.toBe(cert);
      expect(() => tls.createSecureContext(second)).not.toThrow();
    },
  );
});

describe("a self-signed certificate", () => {
  const day = new Date("2026-03-04T05:06:07Z");

  it("has its validity to the second, before and after the year 2050", () => {
    const { cert } = createSelfSigned(["localhost"], day, new Date("2051-12-31T23:59:58Z"));
    const { validFromDate, validToDate } = new X509Certificate(cert);
    expect(validFromDate.toISOString()).toBe("2026-03-04T05:06:07.000Z");
    expect(validToDate.toISOString()).toBe("2051-12-31T23:59:58.000Z");
  });

  it("is valid for exactly the addresses and names that it was created for", () => {
    const name = fc.domain({ size: "small" });
    fc.assert(
      fc.property(fc.ipV6(), fc.ipV4(), fc.uniqueArray(name, { maxLength: 12 }), (v6, v4, domains) => {
        const { cert, key } = createSelfSigned([v6, v4, ...domains], day, new Date("2027-01-01"));
        const certificate = new X509Certificate(cert);
        expect(certificate.verify(certificate.publicKey)).toBe(true);
        expect(certificate.checkIP(v6)).toBe(v6);
        expect(certificate.checkIP(v4)).toBe(v4);
        for (const domain of domains) expect(certificate.checkHost(domain)).toBe(domain);
        expect(certificate.checkHost("not-among.them.example")).toBeUndefined();
        tls.createSecureContext({ cert, key });
      }),
      { numRuns: 50 },
    );
  });
});
