import type { WriteStream } from "node:tty";
import { waitForStop } from "../internal/stopping.ts";
import { createRollout, type Rollout, type RolloutReport, type RolloutStatus } from "../rollout/index.ts";
import { type Command, readArguments, type Terminal, type Usage, usageError } from "./arguments.ts";
import { CliError, fromSystemError } from "./errors.ts";
import { escapeControls } from "./log.ts";
import { DEFAULT_CONFIG, readRolloutOptions } from "./rollout/config.ts";
import { formatStatus, formatWindow, LiveDisplay } from "./rollout/display.ts";

const usage = {
  name: "rollout",
  summary: "Move traffic to a new version in stages, and back at once when it is worse.",
  forms: [
    "start [flags]",
    "status [flags]",
    "watch [flags]",
    "pause [flags]",
    "resume [flags]",
    "promote [--to <percent>] [flags]",
    "rollback [flags]",
  ],
  flags: {
    config: {
      type: "string",
      placeholder: "<file>",
      help: `A JSON file, or a module with a default export. Default ${DEFAULT_CONFIG}, if there is one`,
    },
    flag: {
      type: "string",
      placeholder: "<place>",
      help: "The flag: file:<folder>, ssm:<name> or dynamodb:<table>:<key>=<value>",
    },
    state: {
      type: "string",
      placeholder: "<place>",
      help: "The state. Default: the flag's row in DynamoDB; file:rollout-state for a file: flag",
    },
    metrics: {
      type: "string",
      placeholder: "<source>",
      help: "The metrics: cloudwatch:<stage>[:<namespace>] or prometheus:<url>",
    },
    audit: {
      type: "string",
      placeholder: "<file>",
      help: "The audit log. Default rollout-audit.jsonl",
    },
    who: { type: "string", placeholder: "<name>", help: "Your name in the audit log. Default: user@host" },
    reason: { type: "string", placeholder: "<text>", help: "The reason in the audit log" },
    to: {
      type: "string",
      placeholder: "<percent>",
      help: "With promote: the percentage of the next stage, so that a repeated command changes nothing",
    },
    json: { type: "boolean", help: "Print JSON; watch prints one object per line" },
  },
  notes: [
    "watch observes the metrics, promotes when a stage is over, and rolls back when a trigger fires.",
    "Nothing does that while watch is not running. Every command can be repeated after a crash.",
    "docs/migrate/stages.md describes the configuration, docs/runbooks/rollout.md what to do.",
  ],
} as const satisfies Usage;

export const rollout: Command = { usage, run };

const VERBS = ["start", "status", "watch", "pause", "resume", "promote", "rollback"] as const;
type Verb = (typeof VERBS)[number];

async function run(argv: readonly string[], terminal: Terminal): Promise<number> {
  const { flags, positionals } = readArguments(usage, argv);
  const [name, extra] = positionals;
  const verb = VERBS.find((each) => each === name);
  if (verb === undefined) throw usageError(usage, `Expected one of ${VERBS.join(", ")}`);
  if (extra !== undefined) throw usageError(usage, `Unexpected argument "${extra}"`);
  if (flags.to !== undefined && verb !== "promote") throw usageError(usage, "--to requires promote");
  const to = flags.to === undefined ? undefined : readPercent(flags.to);
  try {
    const driver = createRollout(await readRolloutOptions(flags));
    if (verb === "watch") return await watch(driver, flags.json ?? false, terminal);
    const status = await runVerb(driver, verb, flags.reason ?? "by hand", to);
    if (status === undefined) throw new CliError("FAILED", "There is no rollout: lift-ws rollout start");
    print(status, flags.json ?? false, terminal);
    return 0;
  } catch (error) {
    throw toCliError(error);
  }
}

function readPercent(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && value > 0 && value <= 100) return value;
  throw usageError(usage, `--to must be a percentage above 0 and up to 100; got "${text}"`);
}

function runVerb(
  driver: Rollout,
  verb: Exclude<Verb, "watch">,
  reason: string,
  to: number | undefined,
): Promise<RolloutStatus | undefined> {
  if (verb === "status") return driver.status();
  if (verb === "promote") return driver.promote(reason, { to });
  return driver[verb](reason);
}

function print(status: RolloutStatus, json: boolean, { stdout }: Terminal): void {
  stdout.write(
    json ? `${JSON.stringify(status)}\n` : `${formatStatus(status, Date.now(), stdout).join("\n")}\n`,
  );
}

async function watch(driver: Rollout, json: boolean, terminal: Terminal): Promise<number> {
  // Fails at once when there is nothing to watch.
  if ((await driver.status()) === undefined) {
    throw new CliError("FAILED", "There is no rollout: lift-ws rollout start");
  }
  const controller = new AbortController();
  void waitForStop((line) => void line).then(() => controller.abort());
  const { stdout } = terminal;
  const isLive = (stdout as Partial<WriteStream>).isTTY === true && !json;
  const view = isLive ? liveView(stdout as NodeJS.WriteStream) : plainView(terminal, json);
  try {
    const status = await driver.watch({ signal: controller.signal, onReport: view.report });
    if (status?.state.status === "rolled back") return 1;
  } finally {
    view.end();
  }
  terminal.stderr.write("Stopped. Nothing watches the rollout now; run lift-ws rollout watch to continue.\n");
  return 0;
}

interface View {
  report(report: RolloutReport): void;
  end(): void;
}

function liveView(stream: NodeJS.WriteStream): View {
  const display = new LiveDisplay(stream);
  let status: RolloutStatus | undefined;
  let failure: string | undefined;
  const show = () => {
    const lines =
      status === undefined
        ? ["Waiting for the state of the rollout"]
        : formatStatus(status, Date.now(), stream);
    display.show([
      ...lines,
      ...(failure === undefined ? [] : [`  ${failure}`]),
      "",
      "  Ctrl-C stops watching.",
    ]);
  };
  const timer = setInterval(show, 1_000);
  return {
    report({ status: latest, errors }) {
      status = latest ?? status;
      failure = errors.length === 0 ? undefined : describe(errors.at(-1));
      show();
    },
    end: () => clearInterval(timer),
  };
}

/** Prints a line for each window, change and new failure. */
function plainView({ stdout, stderr }: Terminal, json: boolean): View {
  let lastChange: string | undefined;
  let lastFailure: string | undefined;
  return {
    report({ status, windows, errors }) {
      const isChanged = status !== undefined && status.change.id !== lastChange;
      if (json && (windows.length > 0 || isChanged)) stdout.write(`${JSON.stringify({ status, windows })}\n`);
      if (!json && status !== undefined) {
        for (const window of windows) stdout.write(`${formatWindow(window, status.state.percent)}\n`);
        if (isChanged) stdout.write(`${formatChange(status)}\n`);
      }
      lastChange = status?.change.id ?? lastChange;
      const failure = errors.length === 0 ? undefined : describe(errors.at(-1));
      if (failure !== undefined && failure !== lastFailure) stderr.write(`lift-ws: ${failure}\n`);
      lastFailure = failure;
    },
    end() {},
  };
}

function formatChange({ change }: RolloutStatus): string {
  const { time, action, from, to, status, who, why } = change;
  return escapeControls(`${time}  ${action}: ${from} % to ${to} %, ${status}, by ${who}: ${why}`);
}

function describe(error: unknown): string {
  const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
  return escapeControls(`${message}${typeof code === "string" ? ` (${code})` : ""}`);
}

/** Compares names, because a configuration's module may have another copy of this package. */
function toCliError(error: unknown): unknown {
  const { name, code, $metadata } = error as {
    readonly name?: unknown;
    readonly code?: unknown;
    readonly $metadata?: unknown;
  };
  if (name === "RolloutError")
    return new CliError(code === "INVALID_OPTION" ? "USAGE" : "FAILED", describe(error));
  const isFromAws = name === "AwsConfigurationError" || $metadata !== undefined;
  return isFromAws
    ? new CliError("FAILED", `The flag or the state cannot be read or written: ${describe(error)}`)
    : fromSystemError(error);
}
