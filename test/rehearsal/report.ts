/** The result of a rehearsal on one page, with charts, for readers who do not run it themselves. */
import { LineChart } from "echarts/charts";
import { GridComponent, LegendComponent, MarkLineComponent, TitleComponent } from "echarts/components";
import { init, use } from "echarts/core";
import { SVGRenderer } from "echarts/renderers";
import type { Target } from "../../bench/lib/report.ts";
import type { SideCounts } from "../../src/rollout/index.ts";
import type { RowsResult } from "./rows.ts";
import type { ScenarioResult, Second } from "./scenario.ts";

export interface Rehearsal {
  /** Date in ISO 8601. */
  readonly date: string;
  readonly targets: readonly Target[];
  readonly scenarios: readonly ScenarioResult[];
  readonly rows: readonly RowsResult[];
}

const CHART = { width: 560, height: 260 };
/** Seconds that a point of a chart averages. */
const SMOOTHED = 5;

const TITLES = {
  none: "The new side is good",
  errors: "Errors at 25 %",
  latency: "Slow answers at 25 %",
  connections: "Refused connections at 25 %",
};

const ABOUT = {
  none: "All connections move to the new side, stage by stage.",
  errors: "One in ten messages fails on the new side.",
  latency: "The new side answers 30 ms later.",
  connections: "The new side refuses one in ten connections.",
};

const STYLE = `
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1180px; margin: 2rem auto; padding: 0 1rem; color: #1d2430; }
h1 { font-size: 1.6rem; margin: 0 } h2 { font-size: 1.1rem; margin: 1.5rem 0 .3rem }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid #dde2ea }
.verdict { font-size: 1.1rem; font-weight: 600 } .yes { color: #1a7f37 } .no { color: #c62828 }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(520px, 1fr)); gap: 1rem } figure { margin: 0 }
figcaption { color: #566070 } svg { max-width: 100%; height: auto }
@media print { body { font-size: 11px; margin: 0 } }`;

use([LineChart, GridComponent, LegendComponent, MarkLineComponent, TitleComponent, SVGRenderer]);

export function reportPage({ date, targets, scenarios, rows }: Rehearsal): string {
  const missed = targets.filter(({ holds }) => !holds).length;
  const verdict =
    missed === 0 ? "Every target is met." : `${missed} of ${targets.length} targets are missed.`;
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Rehearsal of a rollout</title><style>${STYLE}</style>
<h1>Rehearsal of a rollout</h1>
<p>${escapeHtml(date.slice(0, 16).replace("T", " "))} UTC. Under load, connections move from an old to a new handler in stages.
Three times the new side is made worse at 25 %, and the rollout has to take all connections back.</p>
<p class="verdict ${missed === 0 ? "yes" : "no"}">${verdict}</p>
<table><tr><th>Target</th><th>Wanted</th><th>Measured</th><th>Met</th></tr>
${targets.map(targetRow).join("\n")}</table>
<h2>The rollouts</h2>
<div class="charts">${scenarios.map(figure).join("\n")}</div>
<h2>Rows in two stores</h2>
<table><tr><th>Store</th><th>Rows written to both</th><th>Cut-overs and cut-backs</th><th>Wrong rows</th></tr>
${rows.map(rowsRow).join("\n")}</table>
</html>
`;
}

function targetRow({ name, want, got, holds }: Target): string {
  const met = `<td class="${holds ? "yes" : "no"}">${holds ? "yes" : "NO"}</td>`;
  return `<tr>${[name, want, String(got)].map((text) => `<td>${escapeHtml(text)}</td>`).join("")}${met}</tr>`;
}

function rowsRow({ name, written, swaps, wrong }: RowsResult): string {
  const cells = [name, written.toLocaleString("en"), String(swaps), String(wrong)];
  return `<tr>${cells.map((text) => `<td>${escapeHtml(text)}</td>`).join("")}</tr>`;
}

function figure(result: ScenarioResult): string {
  const { fault, reason, kills } = result;
  const end = reason === undefined ? "" : ` Rolled back: ${reason}.`;
  const caption = `${ABOUT[fault]}${end} Its command was killed ${kills} times.`;
  return `<figure>${chart(result)}<figcaption>${escapeHtml(caption)}</figcaption></figure>`;
}

function chart({ fault, seconds, faultAt, endedAt }: ScenarioResult): string {
  const canvas = init(null, null, { renderer: "svg", ssr: true, ...CHART });
  const latency = fault === "latency" || fault === "none";
  const measure = latency ? meanLatency : fault === "errors" ? errorRate : refusalRate;
  const line = (
    name: string,
    color: string,
    value: (second: Second, at: number) => number | null,
    axis = 1,
  ) => ({
    name,
    type: "line" as const,
    yAxisIndex: axis,
    showSymbol: false,
    connectNulls: true,
    lineStyle: { color, width: 2 },
    itemStyle: { color },
    data: seconds.map((second, at) => [Math.max(0, second.at), value(second, at)]),
  });
  const marks = [
    ...(faultAt === undefined ? [] : [{ xAxis: faultAt, label: { formatter: "made worse" } }]),
    { xAxis: endedAt, label: { formatter: fault === "none" ? "complete" : "rolled back" } },
  ];
  canvas.setOption({
    animation: false,
    title: { text: TITLES[fault], left: 0, textStyle: { fontSize: 14 } },
    legend: { top: 24, left: 0 },
    grid: { left: 44, right: 52, top: 92, bottom: 34 },
    xAxis: { type: "value", name: "s", min: 0, max: Math.ceil(seconds.at(-1)?.at ?? 0) },
    yAxis: [
      {
        type: "value",
        name: "on the new side, %",
        max: 100,
        min: 0,
        nameGap: 26,
        nameTextStyle: { align: "left" },
        splitLine: { show: false },
      },
      {
        type: "value",
        name: latency ? "latency, ms" : fault === "errors" ? "errors, %" : "refused, %",
        min: 0,
        nameGap: 26,
        nameTextStyle: { align: "right" },
      },
    ],
    series: [
      {
        ...line("share", "#8895a7", ({ percent }) => percent, 0),
        step: "end",
        areaStyle: { color: "#e6ebf2" },
        markLine: { symbol: "none", data: marks, lineStyle: { color: "#444" }, label: { position: "end" } },
      },
      line("old side", "#1f6feb", (_, at) => measure(around(seconds, at, "old"))),
      line("new side", "#d9480f", (_, at) => measure(around(seconds, at, "new"))),
    ],
  });
  const svg = canvas.renderToSVGString();
  canvas.dispose();
  return svg;
}

/** Sums a side over the last seconds. */
function around(seconds: readonly Second[], at: number, side: "old" | "new"): SideCounts[] {
  return seconds.slice(Math.max(0, at - SMOOTHED + 1), at + 1).map((second) => second[side]);
}

function share(
  counts: readonly SideCounts[],
  part: keyof SideCounts,
  whole: keyof SideCounts,
): number | null {
  const sum = (name: keyof SideCounts) => counts.reduce((total, each) => total + each[name], 0);
  return sum(whole) === 0 ? null : sum(part) / sum(whole);
}

function meanLatency(counts: readonly SideCounts[]): number | null {
  return share(counts, "latencySum", "latencies");
}

function errorRate(counts: readonly SideCounts[]): number | null {
  return percent(share(counts, "errors", "events"));
}

function refusalRate(counts: readonly SideCounts[]): number | null {
  return percent(share(counts, "connectFailures", "connects"));
}

function percent(rate: number | null): number | null {
  return rate === null ? null : 100 * rate;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
