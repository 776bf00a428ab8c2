import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import type { WriteStream } from "node:tty";
import { isRecord } from "../internal/options.ts";
import { waitForStop } from "../internal/stopping.ts";
import {
  type ReconcileProgress,
  type ReconcileReport,
  reconcile as reconcileStores,
} from "../rollout/index.ts";
import type { ConnectionStore } from "../store/index.ts";
import { type Command, readArguments, type Terminal, type Usage, usageError } from "./arguments.ts";
import { loadEnvFile } from "./environment.ts";
import { CliError, fromSystemError } from "./errors.ts";
import { escapeControls } from "./log.ts";
import { displayPath, isObject, parseReference, type Reference } from "./project/handlers.ts";
import { loadQuietly } from "./project/load-quietly.ts";
import type { ModuleExports } from "./project/modules.ts";

const DEFAULT_CURSOR = "reconcile-cursor.json";
const DEFAULT_PAGE = 1_000;
const LARGEST_PAGE = 100_000;
/** Rows that are printed at the end; the report of `reconcile` has more. */
const MAX_PRINTED = 20;

const usage = {
  name: "reconcile",
  summary: "Copy and compare all rows of two connection stores.",
  forms: ["<module>[#export] [flags]"],
  flags: {
    "cursor-file": {
      type: "string",
      placeholder: "<file>",
      help: `Where to continue after a stop. Default ${DEFAULT_CURSOR}; removed at the end`,
    },
    restart: { type: "boolean", help: "Begin with the first row again" },
    "page-size": {
      type: "string",
      placeholder: "<number>",
      help: `Rows between two steps of progress. Default ${DEFAULT_PAGE.toLocaleString("en")}`,
    },
    "remove-extra": { type: "boolean", help: "Delete rows that only the secondary has. Default: list them" },
    json: { type: "boolean", help: "Print the report as JSON" },
    "env-file": {
      type: "string",
      placeholder: "<file>",
      help: "Environment variables to set before the module loads",
    },
  },
  notes: [
    "The module exports the stores as `primary` and `secondary`, or a store from dualWriteStore; #export selects one.",
    "The secondary is made equal to the primary, which is never changed. Both may be in use.",
    "Exits with 1 when rows still differ, or when it was stopped.",
  ],
} as const satisfies Usage;

export const reconcile: Command = { usage, run };

async function run(argv: readonly string[], terminal: Terminal): Promise<number> {
  const { flags, positionals } = readArguments(usage, argv);
  const [module, extra] = positionals;
  if (module === undefined) throw usageError(usage, "Missing argument: the module that exports the stores");
  if (extra !== undefined) throw usageError(usage, `Unexpected argument "${extra}"`);
  const pageSize = readPageSize(flags["page-size"]);
  const reference = parseReference(module, process.cwd());
  if (flags["env-file"] !== undefined) loadEnvFile(flags["env-file"]);
  const { primary, secondary } = pickStores(await loadQuietly(reference, module), reference);
  const source = { module, envFile: flags["env-file"] };
  const cursors = new CursorFile(flags["cursor-file"] ?? DEFAULT_CURSOR, source);
  const before = flags.restart ? undefined : cursors.read();
  const stopping = new AbortController();
  void waitForStop(() => terminal.stderr.write("\nStopping after this page.\n")).then(() => stopping.abort());
  const show = progressView(terminal);
  const running = reconcileStores(primary, secondary, {
    pageSize,
    removeExtra: flags["remove-extra"] ?? false,
    signal: stopping.signal,
    ...(before === undefined ? {} : { cursor: before.cursor }),
    onProgress(progress) {
      const total = sum(before, progress);
      if (total.cursor !== undefined) cursors.write(total);
      show(total);
    },
  });
  const report = await running.catch((error: unknown) => {
    throw toCliError(error);
  });
  const total = { ...sum(before, report), differences: report.differences };
  if (report.cursor === undefined) cursors.remove();
  terminal.stdout.write(flags.json ? `${JSON.stringify(total)}\n` : formatReport(total));
  return report.cursor === undefined && total.remaining === 0 ? 0 : 1;
}

/** Compares names, because the module may have another copy of this package. */
function toCliError(error: unknown): unknown {
  const { name, code, message } = error as { readonly [field: string]: unknown };
  if (name === "RolloutError") return new CliError("FAILED", `${message} (${code})`);
  if (name !== "StoreError") return fromSystemError(error);
  return new CliError("FAILED", `${message} (${code}): run the command again to continue`, { cause: error });
}

function readPageSize(text = String(DEFAULT_PAGE)): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= LARGEST_PAGE) return value;
  throw usageError(usage, `--page-size must be an integer from 1 to ${LARGEST_PAGE}; got "${text}"`);
}

interface Stores {
  readonly primary: ConnectionStore;
  readonly secondary: ConnectionStore;
}

/** @throws {CliError} USAGE */
function pickStores(exports: ModuleExports, { file, exportName }: Reference): Stores {
  const all: { readonly [name: string]: unknown } = { ...(exports.default as object), ...exports };
  const candidates = exportName === undefined ? [all, ...Object.values(all)] : [all[exportName]];
  const stores = candidates.find(hasStores);
  if (stores !== undefined) return stores;
  const name = exportName === undefined ? displayPath(file) : `${displayPath(file)}#${exportName}`;
  throw new CliError(
    "USAGE",
    `${name} has no stores: export \`primary\` and \`secondary\`, or the result of dualWriteStore`,
  );
}

function hasStores(value: unknown): value is Stores {
  return isObject(value) && isStore(value.primary) && isStore(value.secondary);
}

function isStore(value: unknown): boolean {
  return isObject(value) && typeof value.save === "function" && typeof value.setState === "function";
}

type Saved = ReconcileProgress & { readonly cursor: string };

/** The arguments that decide which tables the stores are. */
interface StoresSource {
  readonly module: string;
  readonly envFile: string | undefined;
}

/** The position of an interrupted run, with its counts. */
class CursorFile {
  readonly #path: string;
  readonly #source: StoresSource;

  constructor(path: string, source: StoresSource) {
    this.#path = path;
    this.#source = source;
  }

  /** @throws {CliError} USAGE for a malformed file, or one of other stores */
  read(): Saved | undefined {
    let text: string;
    try {
      text = readFileSync(this.#path, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
    const saved = parse(text);
    const { module, envFile } = this.#source;
    if (saved?.module === module && saved.envFile === envFile) return saved as unknown as Saved;
    const fault =
      saved === undefined
        ? "malformed"
        : saved.module === module
          ? `of another --env-file, ${saved.envFile ?? "none"}`
          : `of another module, ${saved.module}`;
    throw new CliError("USAGE", `${this.#path} is ${fault}: set --restart, or another --cursor-file`);
  }

  write(progress: ReconcileProgress): void {
    const draft = `${this.#path}.draft`;
    writeFileSync(draft, `${JSON.stringify({ ...this.#source, ...progress })}\n`);
    renameSync(draft, this.#path);
  }

  remove(): void {
    rmSync(this.#path, { force: true });
  }
}

function parse(text: string): { readonly [name: string]: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (!isRecord(value) || !/^[ps]:/.test(String(value.cursor))) return undefined;
    const isValid = ["checked", "repaired", "remaining"].every((name) => Number.isSafeInteger(value[name]));
    return isValid ? value : undefined;
  } catch {
    return undefined;
  }
}

function sum(before: Saved | undefined, now: ReconcileProgress): ReconcileProgress {
  return {
    checked: (before?.checked ?? 0) + now.checked,
    repaired: (before?.repaired ?? 0) + now.repaired,
    remaining: (before?.remaining ?? 0) + now.remaining,
    ...(now.cursor === undefined ? {} : { cursor: now.cursor }),
  };
}

/** One line that is replaced on a terminal; a line for each page elsewhere. */
function progressView({ stderr }: Terminal): (progress: ReconcileProgress) => void {
  const isLive = (stderr as Partial<WriteStream>).isTTY === true;
  return (progress) => {
    const end = isLive && progress.cursor !== undefined ? "\r" : "\n";
    stderr.write(`${isLive ? "\u001b[K" : ""}${formatProgress(progress)}${end}`);
  };
}

function formatProgress({ checked, repaired, remaining }: ReconcileProgress): string {
  const [all, some, rest] = [checked, repaired, remaining].map((number) => number.toLocaleString("en"));
  return `${all} rows compared, ${some} repaired, ${rest} differ`;
}

function formatReport(report: ReconcileReport): string {
  const shown = report.differences.slice(0, MAX_PRINTED);
  const rows = shown.map(({ id, fields }) => escapeControls(`  ${id}: ${fields.join(", ")}`));
  const more = report.differences.length - shown.length;
  const lines = [
    ...rows,
    ...(more > 0 ? [`  and ${more} more: --json lists them`] : []),
    report.cursor === undefined
      ? report.remaining === 0
        ? "The stores are equal."
        : `${report.remaining} rows still differ.`
      : "Stopped: run the command again to continue.",
  ];
  return `${lines.join("\n")}\n`;
}
