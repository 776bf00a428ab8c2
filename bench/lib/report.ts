import { describeMachine, type Machine } from "./machine.ts";

/** One row of a table. Its keys are the columns. */
export type Row = { readonly [column: string]: string | number };

export interface Target {
  readonly name: string;
  /** `≤ 0.6`, `≥ 20`, `= 0`. */
  readonly want: string;
  readonly got: number | string;
  readonly holds: boolean;
}

/** Result of a measure. */
export interface Findings {
  readonly measure: string;
  /** Samples per side. */
  readonly runs: number;
  readonly rows: readonly Row[];
  readonly targets: readonly Target[];
  /** Conditions that a reader needs to interpret the figures. */
  readonly notes: readonly string[];
}

export function atMost(name: string, limit: number, got: number, unit = ""): Target {
  return { name, want: `≤ ${limit}${unit}`, got: round(got), holds: got <= limit };
}

export function atLeast(name: string, limit: number, got: number): Target {
  return { name, want: `≥ ${limit}`, got: round(got), holds: got >= limit };
}

export function none(name: string, got: number): Target {
  return { name, want: "= 0", got, holds: got === 0 };
}

export function printTables(all: readonly Findings[]): void {
  const machine = describeMachine();
  for (const found of all) {
    console.log(`\n${found.measure}: ${found.runs} samples per side, medians`);
    console.log(table(found.rows));
    for (const note of found.notes) console.log(`  ${note}`);
    if (found.targets.length === 0) continue;
    console.log(table(found.targets.map((target) => ({ ...target, holds: target.holds ? "yes" : "NO" }))));
  }
  console.log(`\n${machineLine(machine)}`);
}

export function printJson(measure: string, all: readonly Findings[]): void {
  const one = all.length === 1;
  const named = <T extends object>(found: Findings, items: readonly T[]): readonly object[] =>
    one ? items : items.map((item) => ({ measure: found.measure, ...item }));
  console.log(
    JSON.stringify({
      measure,
      machine: describeMachine(),
      runs: Object.fromEntries(all.map((found) => [found.measure, found.runs])),
      rows: all.flatMap((found) => named(found, found.rows)),
      targets: all.flatMap((found) => named(found, found.targets)),
      notes: all.flatMap((found) => found.notes),
    }),
  );
}

function machineLine({ cpu, cores, memoryGB, node, platform, pinning, date }: Machine): string {
  return `${cpu}, ${cores} cores, ${memoryGB} GB, Node ${node}, ${platform}; ${pinning}; ${date}`;
}

function table(rows: readonly Row[]): string {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const cells = rows.map((row) => columns.map((column) => format(row[column])));
  const numeric = columns.map((column) => rows.every((row) => typeof (row[column] ?? 0) === "number"));
  const widths = columns.map((column, i) => Math.max(column.length, ...cells.map((line) => line[i]!.length)));
  const draw = (line: readonly string[]): string =>
    line.map((cell, i) => (numeric[i] ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!))).join("  ");
  return [draw(columns), draw(widths.map((width) => "─".repeat(width))), ...cells.map(draw)]
    .map((line) => `  ${line.trimEnd()}`)
    .join("\n");
}

function format(value: string | number | undefined): string {
  if (typeof value !== "number") return value ?? "";
  return round(value).toLocaleString("en");
}

/** Rounds to three significant digits, or to all digits before the point. */
function round(value: number): number {
  return Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3));
}
