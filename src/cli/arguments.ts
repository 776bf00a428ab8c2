import { type ParseArgsOptionsConfig, parseArgs } from "node:util";
import { CliError } from "./errors.ts";

/** A flag of a command. */
export interface Flag {
  readonly type: "boolean" | "string";
  /** The flag is repeatable, and its value is a list. */
  readonly multiple?: true;
  /** Placeholder of the value in the help, such as `<number>`. Default: `<value>`. */
  readonly placeholder?: string;
  readonly help: string;
}

export type Flags = { readonly [name: string]: Flag };

/** Description of a command. Its help is generated from it. */
export interface Usage<F extends Flags = Flags> {
  readonly name: string;
  readonly summary: string;
  /** The forms of the command line, without the command's name. */
  readonly forms: readonly string[];
  readonly flags: F;
  readonly notes?: readonly string[];
}

/** Output streams of a command. */
export interface Terminal {
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
}

/** A command of `lift-ws`. */
export interface Command {
  readonly usage: Usage;
  /** Runs the command and resolves to its exit code. */
  run(argv: readonly string[], terminal: Terminal): Promise<number>;
}

type FlagValue<F extends Flag> = F extends { readonly multiple: true }
  ? readonly string[]
  : F["type"] extends "string"
    ? string
    : boolean;

/** A parsed command line. */
export interface Arguments<F extends Flags> {
  readonly flags: { readonly [Name in keyof F]?: FlagValue<F[Name]> };
  readonly positionals: readonly string[];
}

/**
 * Parses the arguments of a command. Accepts `--help` and `-h` in every command and does not act on them: `run.ts` shows
 * the help before it runs the command.
 * @throws {CliError} USAGE for an unknown flag, a missing value, or a value for a flag that takes none
 */
export function readArguments<F extends Flags>(usage: Usage<F>, argv: readonly string[]): Arguments<F> {
  const options: ParseArgsOptionsConfig = { help: { type: "boolean", short: "h" } };
  for (const [name, { type, multiple = false }] of Object.entries(usage.flags)) {
    options[name] = { type, multiple };
  }
  rejectUnknown(usage, options, argv);
  try {
    const { values, positionals } = parseArgs({ args: [...argv], options, allowPositionals: true });
    // parseArgs has checked each value against the type of its flag.
    return { flags: values as Arguments<F>["flags"], positionals };
  } catch (error) {
    const [reason] = (error as Error).message.split(/\.\s|\n/);
    throw usageError(usage, reason ?? "");
  }
}

/**
 * Rejects the first unknown flag, with the nearest known one as a hint. Parses the line without rules first, because the
 * strict parser stops at an unknown flag and suggests none.
 */
function rejectUnknown(usage: Usage, options: ParseArgsOptionsConfig, argv: readonly string[]): void {
  const { tokens } = parseArgs({
    args: [...argv],
    options,
    allowPositionals: true,
    strict: false,
    tokens: true,
  });
  for (const token of tokens) {
    if (token.kind !== "option" || Object.hasOwn(options, token.name)) continue;
    const name = findNearest(token.name, Object.keys(options));
    const hint = name === undefined ? "" : `; did you mean --${name}?`;
    throw usageError(usage, `Unknown flag ${token.rawName}${hint}`);
  }
}

/** Creates an error that refers to the help of a command. */
export function usageError(usage: Usage, reason: string): CliError {
  return new CliError("USAGE", `${reason} (see lift-ws ${usage.name} --help)`);
}

/** Formats the help of a command. */
export function formatHelp(usage: Usage): string {
  const flags: Flags = { ...usage.flags, help: { type: "boolean", help: "Show this help" } };
  const rows = Object.entries(flags).map(([name, flag]) => [flagForm(name, flag), flag.help] as const);
  const width = Math.max(...rows.map(([form]) => form.length));
  return [
    usage.summary,
    "",
    ...usage.forms.map((form, index) => `${index === 0 ? "Usage:" : "      "} lift-ws ${usage.name} ${form}`),
    "",
    "Flags:",
    ...rows.map(([form, help]) => `  ${form.padEnd(width)}  ${help}`),
    ...(usage.notes === undefined ? [] : ["", ...usage.notes]),
    "",
  ].join("\n");
}

function flagForm(name: string, flag: Flag): string {
  return flag.type === "string" ? `--${name} ${flag.placeholder ?? "<value>"}` : `--${name}`;
}

/**
 * Finds the candidate with the smallest edit distance to a mistyped flag, command or key of `routes.json`. Among
 * equally distant ones it returns the first.
 * @returns `undefined` when the distance is more than half of the word's length: such a word is hardly a typo
 */
export function findNearest(word: string, candidates: readonly string[]): string | undefined {
  let best: { readonly candidate: string; readonly distance: number } | undefined;
  for (const candidate of candidates) {
    const distance = editDistance(word, candidate);
    if (distance > word.length / 2) continue;
    if (best === undefined || distance < best.distance) best = { candidate, distance };
  }
  return best?.candidate;
}

/** Counts the letters to insert, remove or replace (Levenshtein distance). */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (const [i, letter] of [...from].entries()) {
    const next = [i + 1];
    for (let j = 1; j < row.length; j++) {
      const replaced = row[j - 1]! + (letter === to[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row.at(-1)!;
}
