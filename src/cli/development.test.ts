import { execFile } from "node:child_process";
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { decodeJwt, SignJWT } from "jose";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { developmentSecret, mintDevelopmentToken, verifyDevelopmentToken } from "./development.ts";

let directory: string;

beforeEach(async () => {
  directory = join(await mkdtemp(join(tmpdir(), "lift-ws-")), ".lift-ws");
});

afterEach(async () => {
  vi.useRealTimers();
  await rm(join(directory, ".."), { recursive: true });
});

describe("the development secret", () => {
  it("is 32 constant bytes in base64url", async () => {
    const first = await developmentSecret(directory);
    expect(first).toMatch(/^[\w-]{43}$/);
    expect(Buffer.from(first, "base64url")).toEqual(await readFile(join(directory, "secret")));
    expect(await developmentSecret(directory)).toEqual(first);
  });

  it("is in a file that only its owner can read, in a folder that git ignores", async () => {
    await developmentSecret(directory);
    expect((await stat(join(directory, "secret"))).mode & 0o777).toBe(0o600);
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
    expect(await readFile(join(directory, ".gitignore"), "utf8")).toBe("*\n");
  });

  it("removes other users' permissions from its file", async () => {
    await developmentSecret(directory);
    await chmod(join(directory, "secret"), 0o644);
    await developmentSecret(directory);
    expect((await stat(join(directory, "secret"))).mode & 0o777).toBe(0o600);
  });

  it("is the same for concurrent calls", async () => {
    const secrets = await Promise.all(Array.from({ length: 20 }, () => developmentSecret(directory)));
    expect(new Set(secrets).size).toBe(1);
  });

  it("is the same for two processes that create it at once", async () => {
    const script = `import { developmentSecret } from ${JSON.stringify(new URL("./development.ts", import.meta.url))};
      console.log(await developmentSecret(process.argv[1]));`;
    const run = () => promisify(execFile)(process.execPath, ["--input-type=module", "-e", script, directory]);
    const [one, two] = await Promise.all([run(), run()]);
    expect(one.stdout).toMatch(/^[\w-]{43}\n$/);
    expect(two.stdout).toBe(one.stdout);
  });

  it("throws for a damaged file, with the remedy", async () => {
    await developmentSecret(directory);
    await writeFile(join(directory, "secret"), "short");
    await expect(developmentSecret(directory)).rejects.toThrow(/secret is damaged: delete it/);
  });
});

describe("a development token", () => {
  it("has the user, the tenant and its expiry", async () => {
    const token = await mintDevelopmentToken({ sub: "ann", tenant: "acme", expiresIn: "2h" }, directory);
    const { iat, exp, ...claims } = decodeJwt(token);
    expect(claims).toEqual({
      sub: "ann",
      tenant_id: "acme",
      iss: "lift-ws-development",
      aud: "lift-ws-development",
    });
    expect(exp! - iat!).toBe(7200);
    expect(await verifyDevelopmentToken(token, directory)).toEqual({
      sub: "ann",
      tenant: "acme",
      expiresAt: exp! * 1000,
    });
  });

  it("expires after exactly an hour by default", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: Date.UTC(2026, 0, 1) });
    const token = await mintDevelopmentToken({ sub: "ann", tenant: "acme" }, directory);
    vi.setSystemTime(Date.UTC(2026, 0, 1, 0, 59, 59));
    await expect(verifyDevelopmentToken(token, directory)).resolves.toMatchObject({ sub: "ann" });
    vi.setSystemTime(Date.UTC(2026, 0, 1, 1, 0, 0));
    await expect(verifyDevelopmentToken(token, directory)).rejects.toMatchObject({ code: "ERR_JWT_EXPIRED" });
  });

  it.each(["", "1", "h", "0h", "-1h", "1.5h", "1 week", "soon"])(
    "cannot have the duration %j",
    async (text) => {
      const minting = mintDevelopmentToken({ sub: "ann", tenant: "acme", expiresIn: text }, directory);
      await expect(minting).rejects.toMatchObject({ code: "USAGE" });
    },
  );

  it("has no tenant claim without a tenant, and is accepted", async () => {
    const token = await mintDevelopmentToken({ sub: "ann" }, directory);
    expect(decodeJwt(token)).not.toHaveProperty("tenant_id");
    const identity = await verifyDevelopmentToken(token, directory);
    expect([identity.sub, identity.tenant]).toEqual(["ann", undefined]);
  });

  it("is refused when another checkout created it", async () => {
    const token = await mintDevelopmentToken({ sub: "ann", tenant: "acme" }, join(directory, "other"));
    await expect(verifyDevelopmentToken(token, directory)).rejects.toMatchObject({
      code: "ERR_JWS_SIGNATURE_VERIFICATION_FAILED",
    });
  });

  it.each([
    [
      "without an expiry",
      { sub: "ann", tenant_id: "acme", iss: "lift-ws-development", aud: "lift-ws-development" },
    ],
    [
      "for another audience",
      { sub: "ann", tenant_id: "acme", iss: "lift-ws-development", aud: "x", exp: 2e9 },
    ],
    ["of another issuer", { sub: "ann", tenant_id: "acme", iss: "x", aud: "lift-ws-development", exp: 2e9 }],
    [
      "without a user",
      { tenant_id: "acme", iss: "lift-ws-development", aud: "lift-ws-development", exp: 2e9 },
    ],
  ])("%s is refused, even if the secret signed it", async (_, claims) => {
    const token = await new SignJWT(claims)
      .setProtectedHeader({ alg: "HS256" })
      .sign(new TextEncoder().encode(await developmentSecret(directory)));
    await expect(verifyDevelopmentToken(token, directory)).rejects.toMatchObject({
      code: "ERR_JWT_CLAIM_VALIDATION_FAILED",
    });
  });

  it.each(["HS384", "HS512"])("is refused when the secret signed it with %s", async (alg) => {
    const claims = { sub: "ann", tenant_id: "acme", iss: "lift-ws-development", aud: "lift-ws-development" };
    const token = await new SignJWT(claims)
      .setProtectedHeader({ alg })
      .setExpirationTime("1h")
      .sign(new TextEncoder().encode(await developmentSecret(directory)));
    await expect(verifyDevelopmentToken(token, directory)).rejects.toMatchObject({
      code: "ERR_JOSE_ALG_NOT_ALLOWED",
    });
  });

  it("is refused without a signature", async () => {
    const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const token = `${encode({ alg: "none" })}.${encode({ sub: "ann", tenant_id: "acme", exp: 2e9 })}.`;
    await expect(verifyDevelopmentToken(token, directory)).rejects.toThrow();
  });
});
