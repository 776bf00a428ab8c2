import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { SignJWT } from "jose";
import { isLoopback } from "../internal/this-machine.ts";
import { type Command, readArguments, type Terminal, type Usage, usageError } from "./arguments.ts";
import { readRegion } from "./dev/server.ts";
import { CliError } from "./errors.ts";
import { logFailure } from "./log.ts";
import { askAll } from "./verify/ask-all.ts";
import { Deployment } from "./verify/deployment.ts";
import { type Latency, measureApi, measureStreamer } from "./verify/latency.ts";
import { Meter, Probe } from "./verify/probe.ts";
import { PROBE_TEMPLATE } from "./verify/probe-template.ts";
import { differs, formatCost, formatFinding, formatLatencies, formatRows } from "./verify/report.ts";

const usage = {
  name: "verify",
  summary: "Compare API Gateway with the gateway of this package, in an AWS account of yours.",
  forms: ["[flags]"],
  flags: {
    app: {
      type: "string",
      placeholder: "<folder>",
      help: "Also deploy and measure this CDK app with a Streamer, such as examples/deploy",
    },
    quick: { type: "boolean", help: "Leave out questions that take minutes or hours" },
    url: {
      type: "string",
      placeholder: "<url>",
      help: "Ask a probe API that runs, such as by lift-ws local. Nothing is deployed or removed",
    },
    "streamer-url": { type: "string", placeholder: "<url>", help: "With --url: measure this Streamer too" },
    token: { type: "string", placeholder: "<token>", help: "With --streamer-url: a token for it" },
    template: {
      type: "string",
      placeholder: "<file>",
      help: "Only write the template of the probe API, for lift-ws local",
    },
  },
  notes: [
    "Deploys with the CDK's command line and your AWS credentials, and removes everything at the end.",
    "Exits with 1 when an answer differs from the gateway's. docs/how-to/verify-on-aws.md describes each step.",
  ],
} as const satisfies Usage;

export const verify: Command = { usage, run };

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

async function run(argv: readonly string[], terminal: Terminal): Promise<number> {
  const { flags, positionals } = readArguments(usage, argv);
  if (positionals.length > 0) throw usageError(usage, `Unexpected argument "${positionals[0]}"`);
  if (flags.template !== undefined) {
    writeFileSync(flags.template, `${JSON.stringify(PROBE_TEMPLATE, null, 2)}\n`);
    return 0;
  }
  const url = flags.url === undefined ? undefined : readUrl(flags.url, "--url");
  if (url !== undefined && flags.app !== undefined) throw usageError(usage, "Give either --url or --app");
  const streamer = flags["streamer-url"];
  if (streamer !== undefined) readUrl(streamer, "--streamer-url");
  if (
    (streamer === undefined) !== (flags.token === undefined) ||
    (streamer !== undefined && url === undefined)
  ) {
    throw usageError(usage, "--streamer-url needs --token and --url");
  }
  const stopping = new AbortController();
  const stop = () => stopping.abort(new CliError("FAILED", "Stopped before the end"));
  for (const signal of SIGNALS) process.on(signal, stop);
  // The terminal is closed. Without a listener, the error would end the process before it removes the stacks.
  for (const stream of [terminal.stdout, terminal.stderr]) stream.on("error", stop);
  const compareAt = (api: URL, measured: Streamer | undefined) =>
    compare(api, measured, flags.quick ?? false, terminal, stopping.signal);
  try {
    if (url !== undefined) {
      return await compareAt(
        url,
        streamer === undefined ? undefined : { url: streamer, token: flags.token! },
      );
    }
    return await withDeployment(terminal, stopping.signal, async (deployment) => {
      const name = `LiftWsVerify${randomBytes(4).toString("hex")}`;
      const api = new URL(await deployment.deployProbe(name));
      const measured = flags.app && (await deployStreamer(deployment, flags.app, `${name}Streamer`));
      await waitUntilReady(api, stopping.signal);
      return compareAt(api, measured || undefined);
    });
  } catch (error) {
    // A socket that was closed for the stop fails too.
    if (!(error instanceof CliError)) stopping.signal.throwIfAborted();
    throw error;
  } finally {
    for (const signal of SIGNALS) process.off(signal, stop);
  }
}

const READY_MS = 60_000;

/** A new stage answers some seconds later. Afterwards its errors count. */
async function waitUntilReady(api: URL, signal: AbortSignal): Promise<void> {
  const end = performance.now() + READY_MS;
  while (performance.now() < end) {
    const probe = await Probe.open(api, new Meter(), signal).catch(() => undefined);
    if (probe !== undefined) return probe.close();
    await sleep(2_000, undefined, { signal });
  }
}

interface Streamer {
  readonly url: string;
  readonly token: string;
}

/** Removes what was deployed, also after a failure. */
async function withDeployment(
  terminal: Terminal,
  signal: AbortSignal,
  use: (deployment: Deployment) => Promise<number>,
): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "lift-ws-verify-"));
  try {
    const deployment = new Deployment(folder, terminal, signal);
    const code = await use(deployment).catch((error: unknown) => {
      logFailure(signal.aborted ? signal.reason : error, terminal.stderr);
      return 1;
    });
    await deployment.remove();
    return code;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Deploys an app like examples/deploy, which verifies tokens with a secret. */
async function deployStreamer(deployment: Deployment, app: string, name: string): Promise<Streamer> {
  const secret = randomBytes(32);
  const url = await deployment.deployApp(app, name, secret.toString("base64url"));
  const claims = { sub: "verify", iss: "lift-ws-development", aud: "lift-ws-development" };
  const token = new SignJWT(claims)
    .setProtectedHeader({ alg: "HS256" })
    .setIssuedAt()
    .setExpirationTime("4h");
  return { url, token: await token.sign(secret) };
}

/** Asks, measures and prints. @returns the exit code */
async function compare(
  url: URL,
  streamer: Streamer | undefined,
  quick: boolean,
  { stdout }: Terminal,
  signal: AbortSignal,
): Promise<number> {
  const isLocal = isLoopback(url.hostname);
  const meter = new Meter();
  const latencies: Latency[] = await measureApi(url, meter, signal).catch((cause: Error) => {
    signal.throwIfAborted();
    throw new CliError("FAILED", `Cannot measure ${url.href}: ${cause.message}`, { cause });
  });
  if (streamer !== undefined)
    latencies.push(...(await measureStreamer(streamer.url, streamer.token, signal)));
  const findings = await askAll(url, {
    meter,
    asks: ({ only }) => !(quick && only === "slow") && !(isLocal && only === "service"),
    onFinding: (finding) => stdout.write(formatFinding(finding)),
    signal,
  });
  const day = new Date().toISOString().slice(0, 10);
  const source = isLocal ? `lift-ws local ${day}` : `seen ${day}, ${readRegion()}`;
  const different = findings.filter(differs);
  const asked = findings.filter(({ answer }) => answer !== undefined).length;
  stdout.write(
    [
      "\nRows for COMPATIBILITY.md:\n",
      formatRows(findings, source),
      formatLatencies(latencies),
      formatCost(meter),
      `${different.length} of ${asked} answers differ from the gateway's; ${findings.length - asked} not asked`,
      ...different.map(({ question, way }) => `  ${question}: ${way.how}`),
      "",
    ].join("\n"),
  );
  return different.length === 0 ? 0 : 1;
}

function readUrl(text: string, flag: string): URL {
  const url = URL.parse(text);
  if (url !== null && ["ws:", "wss:"].includes(url.protocol)) return url;
  throw usageError(usage, `${flag} must be a ws:// or wss:// URL; got "${text}"`);
}
