import { type ParseArgsOptionsConfig, parseArgs } from "node:util";
import { CliError } from "./errors.ts";

export interface Flag {
  readonly type: "boolean" | "string";
  /** May be given several times; then its value is a list. */
  readonly multiple?: true;
  /** What stands for the value in the help: `<number>`. */
  readonly value?: string;
  readonly help: string;
}

export type Flags = { readonly [name: string]: Flag };

/** What a command is and takes; its help is made of it. */
export interface Usage<F extends Flags = Flags> {
  readonly name: string;
  readonly summary: string;
  /** The command line without flags, a form each. */
  readonly forms: readonly string[];
  readonly flags: F;
  readonly notes?: readonly string[];
}

export interface Terminal {
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
}

export interface Command {
  readonly usage: Usage;
  /** Resolves to the exit code when the command has ended. */
  run(argv: readonly string[], terminal: Terminal): Promise<number>;
}

type FlagValue<F extends Flag> = F extends { readonly multiple: true }
  ? readonly string[]
  : F["type"] extends "string"
    ? string
    : boolean;

export interface Arguments<F extends Flags> {
  readonly flags: { readonly [Name in keyof F]?: FlagValue<F[Name]> };
  readonly positionals: readonly string[];
}

/** @throws {CliError} USAGE: an unknown flag, a flag without its value, a value for a flag that takes none */
export function readArguments<F extends Flags>(usage: Usage<F>, argv: readonly string[]): Arguments<F> {
  const options: ParseArgsOptionsConfig = { help: { type: "boolean", short: "h" } };
  for (const [name, { type, multiple = false }] of Object.entries(usage.flags)) {
    options[name] = { type, multiple };
  }
  rejectUnknown(usage, options, argv);
  try {
    const { values, positionals } = parseArgs({ args: [...argv], options, allowPositionals: true });
    // The parser has checked each value against its flag's type.
    return { flags: values as Arguments<F>["flags"], positionals };
  } catch (error) {
    const [reason] = (error as Error).message.split(/\.\s|\n/);
    throw usageError(usage, reason ?? "");
  }
}

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
    const hint = name === undefined ? "" : `; the nearest is --${name}`;
    throw usageError(usage, `Unknown flag ${token.rawName}${hint}`);
  }
}

export function usageError(usage: Usage, reason: string): CliError {
  return new CliError("USAGE", `${reason} (see lift-ws ${usage.name} --help)`);
}

export function formatHelp(usage: Usage): string {
  const flags: Flags = { ...usage.flags, help: { type: "boolean", help: "Print this" } };
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
  return flag.type === "string" ? `--${name} ${flag.value ?? "<value>"}` : `--${name}`;
}

/**
 * The one of `candidates` with the fewest letters to change; of equals, the first. `undefined` when that is more than
 * half of the letters of `word`: then it is another word.
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

/** How many letters to insert, remove or replace (Levenshtein). */
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
