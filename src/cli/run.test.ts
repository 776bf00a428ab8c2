import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { stripVTControlCharacters } from "node:util";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { verifyDevelopmentToken } from "./development.ts";
import { run } from "./run.ts";

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "lift-ws-"));
  vi.stubEnv("HOST", "");
  vi.stubEnv("PORT", "");
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(directory, { recursive: true });
});

async function lift(...argv: string[]) {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const code = await run(argv, { stdout, stderr });
  stdout.end();
  stderr.end();
  return { code, stdout: await text(stdout), stderr: stripVTControlCharacters(await text(stderr)) };
}

describe("lift-ws", () => {
  it.each([[["--help"]], [["-h"]], [["help"]]])("%j lists the commands", async (argv) => {
    const { code, stdout } = await lift(...argv);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^ {2}dev .+\n {2}local .+\n {2}export .+\n {2}token .+\n {2}asyncapi /m);
  });

  it("without a command lists them too, with an error code", async () => {
    expect(await lift()).toMatchObject({ code: 2, stdout: expect.stringContaining("Commands:") });
  });

  it("--version prints the version of the package", async () => {
    const { default: manifest } = await import("../../package.json", { with: { type: "json" } });
    expect(await lift("--version")).toEqual({ code: 0, stdout: `${manifest.version}\n`, stderr: "" });
  });

  it.each(["dev", "export", "token", "asyncapi", "rollout", "reconcile", "cost"])(
    "%s --help lists its flags, beside any other argument",
    async (command) => {
      const { code, stdout } = await lift(command, "--nonsense", "--help");
      expect(code).toBe(0);
      expect(stdout).toContain(`Usage: lift-ws ${command}`);
      expect(stdout).toMatch(/^ {2}--[\w-]+ <\w+> +\w/m);
    },
  );

  it.each(["dev", "export", "token", "asyncapi", "rollout", "reconcile", "cost"])(
    "%s has the same flags in its help as docs/reference/cli.md",
    async (command) => {
      const docs = await readFile(join(import.meta.dirname, "../../docs/reference/cli.md"), "utf8");
      const section = docs.split(/^## /m).find((part) => part.startsWith(`lift-ws ${command}\n`)) ?? "";
      const documented = [...section.matchAll(/^\| `(--[\w-]+.*?)` \|/gm)].map(([, flag]) => flag);
      const { stdout } = await lift(command, "--help");
      const helped = [...stdout.matchAll(/^ {2}(--\S+(?: <\w+>)?)/gm)].map(([, flag]) => flag);
      expect([...documented, "--help"]).toEqual(helped);
    },
  );

  it("marks the flags of dev that require --lambda, and the required flags of token", async () => {
    const marked = async (command: string, mark: string) => {
      const { stdout } = await lift(command, "--help");
      return [...stdout.matchAll(/^ {2}--([\w-]+) .*? {2,}(.*)$/gm)]
        .filter(([, , help]) => help?.startsWith(mark))
        .map(([, flag]) => flag);
    };
    expect(await marked("dev", "With --lambda: ")).toEqual([
      "dynamodb-endpoint",
      "tick",
      "timeout",
      "processes",
    ]);
    expect(await marked("token", "Required. ")).toEqual(["sub"]);
  });

  it.each([
    [["tokn"], "Unknown command tokn; did you mean token?"],
    [["--hlep"], "Unknown flag --hlep; did you mean --help?"],
    [["dev", "x.js", "--prot", "3000"], "Unknown flag --prot; did you mean --port?"],
    [["dev", "x.js", "--envfile=x"], "Unknown flag --envfile; did you mean --env-file?"],
    [["dev", "x.js", "-p", "3000"], "Unknown flag -p (see lift-ws dev --help)"],
    [["dev", "x.js", "--nonsense"], "Unknown flag --nonsense (see lift-ws dev --help)"],
    [["serve"], "Unknown command serve (see lift-ws --help)"],
    [["-x"], "Unknown flag -x (see lift-ws --help)"],
    [["token", "--tenent", "t"], "Unknown flag --tenent; did you mean --tenant?"],
    [["dev", "--port"], "Option '--port <value>' argument missing"],
    [["dev", "--watch=yes"], "Option '--watch' does not take an argument"],
    [["dev"], "Nothing to run: give a module, --routes <file> or --lambda <folder>"],
    [
      ["dev", "src/cli/main.ts", "--routes", "r.json"],
      "src/cli/main.ts and --routes cannot be combined; give one of them",
    ],
    [["dev", "--routes", "r", "--lambda", "src"], "--routes and --lambda cannot be combined"],
    [["dev", "package.json", "--tick", "1"], "--tick requires --lambda"],
    [
      ["dev", "--lambda", "src", "--watch"],
      "--watch cannot be combined with --lambda; bundle again and restart",
    ],
    [
      ["dev", "--lambda", "no-such-folder"],
      "Cannot find the folder no-such-folder; create the bundles first",
    ],
    [["dev", "--lambda", "src", "--tick", "0"], '--tick must be a whole number from 1 to 86400; got "0"'],
    [
      ["dev", "--lambda", "src", "--timeout", "901"],
      '--timeout must be a whole number from 1 to 900; got "901"',
    ],
    [
      ["dev", "--lambda", "src", "--dynamodb-endpoint", "here"],
      '--dynamodb-endpoint must be a URL; got "here"',
    ],
    [["dev", "a.js", "b.js"], 'Unexpected argument "b.js"'],
    [["dev", "no-such-module.js#x"], "Cannot find the module no-such-module.js"],
    [["dev", "vitest.config.ts", "--port", "70000"], '--port must be a number from 0 to 65535; got "70000"'],
    [["dev", "vitest.config.ts", "--port", "1e3"], '--port must be a number from 0 to 65535; got "1e3"'],
    [["dev", "vitest.config.ts", "--env-file", "no.env"], "Cannot read the --env-file"],
    [["token", "--sub", "u", "--tenant", ""], "--tenant is empty; omit it for a user without a tenant"],
    [["token", "--tenant", "t"], "--sub <user> is required"],
    [["token", "--sub", "u", "--tenant", "t", "x"], 'Unexpected argument "x"'],
    [["token", "--sub", "u", "--tenant", "t", "--expires", "soon"], 'Invalid duration "soon"'],
    [["asyncapy"], "Unknown command asyncapy; did you mean asyncapi?"],
    [["asyncapi", "x.js", "--outt", "y"], "Unknown flag --outt; did you mean --out?"],
    [["asyncapi"], "Missing argument: the module that exports the Streamer"],
    [["asyncapi", "a.js", "b.js"], 'Unexpected argument "b.js"'],
    [["asyncapi", "no-such-module.js"], "Cannot find the module no-such-module.js"],
    [["asyncapi", "package.json"], "package.json is not a module"],
    [["asyncapi", "x.js", "--url", "https://example.com"], "--url takes a ws:// or wss:// URL"],
    [["asyncapi", "x.js", "--url", "example.com"], "--url takes a ws:// or wss:// URL"],
    [["asyncapi", "x.js", "--url", "wss://example.com/dev?a=1"], "without a user, a query or a fragment"],
    [["asyncapi", "x.js", "--url", "wss://ada@example.com/dev"], "without a user, a query or a fragment"],
    [["asyncapi", "vitest.config.ts", "--env-file", "no.env"], "Cannot read the --env-file"],
  ])("%j is a usage error in one line: %s", async (argv, reason) => {
    const { code, stdout, stderr } = await lift(...argv);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(/^lift-ws: .+\n$/);
    expect(stderr).toContain(reason);
  });

  it("reports an invalid PORT too", async () => {
    vi.stubEnv("PORT", "http");
    const { code, stderr } = await lift("dev", "vitest.config.ts");
    expect(code).toBe(2);
    expect(stderr).toContain('PORT must be a number from 0 to 65535; got "http"');
  });

  it("dev requires a key pair for @connections when the host is not loopback", async () => {
    vi.stubEnv("AWS_ACCESS_KEY_ID", "");
    const { code, stderr } = await lift("dev", "vitest.config.ts", "--host", "0.0.0.0");
    expect(code).toBe(1);
    expect(stderr).toMatch(/^lift-ws: Other machines can reach 0\.0\.0\.0: set AWS_ACCESS_KEY_ID and .+\n$/);
  });
});

describe("lift-ws token", () => {
  it("prints only a token, which this checkout verifies", async () => {
    vi.spyOn(process, "cwd").mockReturnValue(directory);
    const secrets = join(directory, ".lift-ws");
    const { code, stdout, stderr } = await lift(
      "token",
      "--sub",
      "ann",
      "--tenant",
      "acme",
      "--expires",
      "5m",
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    const identity = await verifyDevelopmentToken(stdout.trim(), secrets);
    expect(identity).toMatchObject({ sub: "ann", tenant: "acme" });
    expect(identity.expiresAt - Date.now()).toBeLessThanOrEqual(5 * 60_000);
  });

  it("prints a token for a user without a tenant", async () => {
    vi.spyOn(process, "cwd").mockReturnValue(directory);
    const { code, stdout, stderr } = await lift("token", "--sub", "ann");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const { tenant, sub } = await verifyDevelopmentToken(stdout.trim(), join(directory, ".lift-ws"));
    expect([sub, tenant]).toEqual(["ann", undefined]);
  });

  it.each([
    ["HOST", "0.0.0.0", []],
    ["--host", "", ["--host", "192.168.1.2"]],
  ])("refuses when other machines can reach the address in %s", async (_, host, argv) => {
    vi.stubEnv("HOST", host);
    const { code, stdout, stderr } = await lift("token", "--sub", "ann", "--tenant", "acme", ...argv);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(
      /^lift-ws: No development token for a server on .+, which other machines can reach: .+\n$/,
    );
  });
});
