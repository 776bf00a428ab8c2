import { stripVTControlCharacters, styleText } from "node:util";
import { formatPercent } from "../../internal/percent.ts";
import {
  describeReason,
  type ObservedWindow,
  type RolloutStatus,
  type SideCounts,
  type TriggerReport,
} from "../../rollout/index.ts";
import { escapeControls } from "../log.ts";

const BAR_WIDTH = 30;
const COLOURS = { running: "cyan", paused: "yellow", complete: "green", "rolled back": "red" } as const;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;

/** Formats a rollout as lines, for a person who looks at it from time to time. */
export function formatStatus(status: RolloutStatus, now: number, stream: NodeJS.WritableStream): string[] {
  const { state, change, total } = status;
  const style = (format: Parameters<typeof styleText>[0], text: string) =>
    styleText(format, text, { stream });
  const isOver = state.status === "rolled back";
  const head = style(["bold", COLOURS[state.status]], state.status);
  return [
    `Rollout ${head}: ${style("bold", `${state.percent} %`)} on the new side`,
    "",
    `  ${formatStages(status, style)}`,
    ...(isOver ? [] : [`  ${formatProgress(status, style)}`]),
    "",
    ...(total === undefined
      ? ["  No window of this stage was observed yet."]
      : formatCounts(total, status, style)),
    "",
    ...(state.reason === undefined
      ? []
      : [style("red", `  Rolled back: ${escapeControls(describeReason(state.reason))}`)]),
    `  Last change: ${escapeControls(`${change.action} at ${change.time} by ${change.who}: ${change.why}`)}`,
    ...(status.isFlagWritten
      ? []
      : [
          style(
            "yellow",
            "  The flag does not have this percentage yet: run watch, or the last command, again.",
          ),
        ]),
    ...(isOver ? [] : [`  Next window: ${formatDue(status.nextWindowAt - now)}`]),
  ];
}

type Style = (format: Parameters<typeof styleText>[0], text: string) => string;

function formatStages({ state, plan }: RolloutStatus, style: Style): string {
  const texts = plan.stages.map(({ percent }, index) => {
    if (index > state.stage) return style("dim", `${percent} %`);
    if (index < state.stage) return style("green", `${percent} % ✔`);
    return style(
      ["bold", COLOURS[state.status]],
      `${percent} % ${state.status === "rolled back" ? "✘" : "●"}`,
    );
  });
  return texts.join(style("dim", " ── "));
}

function formatProgress({ state, plan }: RolloutStatus, style: Style): string {
  const { hours } = plan.stages[state.stage] ?? {};
  if (hours === undefined) return `last stage, ${formatTime(state.observedMs)} observed`;
  const share = Math.min(1, state.observedMs / (hours * HOUR_MS));
  const filled = Math.round(share * BAR_WIDTH);
  const bar = `${style("cyan", "█".repeat(filled))}${style("dim", "░".repeat(BAR_WIDTH - filled))}`;
  return `${bar} ${formatTime(state.observedMs)} of ${formatTime(hours * HOUR_MS)} observed`;
}

function formatCounts(total: ObservedWindow, { plan, excess }: RolloutStatus, style: Style): string[] {
  const { old, new: fresh } = total;
  const limit = (trigger: TriggerReport["trigger"], planned: number) =>
    formatPercent(excess?.trigger === trigger ? excess.limit : planned);
  const rows = [
    [
      "errors",
      rate(old.errors, old.events),
      rate(fresh.errors, fresh.events),
      limit("errors", plan.maxErrorRate),
    ],
    ["latency", latency(old), latency(fresh), `+${limit("latency", plan.maxLatencyIncrease)}`],
    [
      "connection failures",
      rate(old.connectFailures, old.connects),
      rate(fresh.connectFailures, fresh.connects),
      limit("connections", plan.maxConnectFailureRate),
    ],
    ["events", count(old.events), count(fresh.events), ""],
    ["connection attempts", count(old.connects), count(fresh.connects), ""],
  ];
  const above = ["errors", "latency", "connections"].indexOf(excess?.trigger ?? "");
  const line = (cells: readonly string[]) =>
    `  ${(cells[0] ?? "").padEnd(20)}${cells
      .slice(1)
      .map((cell) => cell.padStart(12))
      .join("")}`;
  return [
    style("dim", line(["", "old", "new", "limit"])),
    ...rows.map((cells, index) => (index === above ? style("yellow", line(cells)) : line(cells))),
  ];
}

function rate(some: number, all: number): string {
  return all === 0 ? "none" : formatPercent(some / all);
}

function latency({ latencies, latencySum }: SideCounts): string {
  return latencies === 0 ? "none" : `${(latencySum / latencies).toFixed(1)} ms`;
}

function count(number: number): string {
  return Math.round(number).toLocaleString("en");
}

function formatDue(ms: number): string {
  return ms <= 0 ? "is read now" : `in ${formatTime(Math.ceil(ms / 1_000) * 1_000)}`;
}

/** Formats a duration with its two largest units. */
export function formatTime(ms: number): string {
  if (ms < MINUTE_MS) return `${Math.round(ms / 1_000)} s`;
  const [large, unit, small, smallUnit] =
    ms < HOUR_MS
      ? [Math.floor(ms / MINUTE_MS), "min", Math.floor((ms % MINUTE_MS) / 1_000), "s"]
      : [Math.floor(ms / HOUR_MS), "h", Math.floor((ms % HOUR_MS) / MINUTE_MS), "min"];
  return small === 0 ? `${large} ${unit}` : `${large} ${unit} ${small} ${smallUnit}`;
}

/** Formats a window as one line, for logs. */
export function formatWindow({ to, new: fresh, old }: ObservedWindow, shownPercent: number): string {
  return [
    new Date(to).toISOString(),
    `${shownPercent} %`,
    `new: ${count(fresh.events)} events, errors ${rate(fresh.errors, fresh.events)}, ${latency(fresh)}`,
    `connection failures ${rate(fresh.connectFailures, fresh.connects)}`,
    `old: errors ${rate(old.errors, old.events)}, ${latency(old)}`,
  ].join("  ");
}

/** Shows lines on a terminal, over those that it showed before. */
export class LiveDisplay {
  readonly #stream: NodeJS.WriteStream;
  #rows = 0;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  show(lines: readonly string[]): void {
    const up = this.#rows === 0 ? "" : `\u001b[${this.#rows}A`;
    this.#stream.write(`${up}\u001b[J${lines.join("\n")}\n`);
    // A long line wraps. Some terminals report a width of 0.
    const columns = this.#stream.columns || 80;
    const rowsOf = (line: string) => Math.max(1, Math.ceil(stripVTControlCharacters(line).length / columns));
    this.#rows = lines.reduce((sum, line) => sum + rowsOf(line), 0);
  }
}
