import { PRICES, toBill, type Usage } from "../cost/prices.ts";
import type { Finding } from "./ask-all.ts";
import { type Latency, percentile } from "./latency.ts";
import type { Meter } from "./probe.ts";

/** Whether the service and the gateway have answered differently. */
export function differs({ way, answer }: Finding): boolean {
  return answer !== undefined && answer !== way.here;
}

/** A finding in a line or three: the question, and both answers if they differ. */
export function formatFinding(finding: Finding): string {
  const { question, way, answer } = finding;
  const name = `${question}: ${way.how}`;
  if (answer === undefined)
    return `not asked  ${name}${way.ask ? "" : " (by hand)"}\n           gateway: ${way.here}\n`;
  if (!differs(finding)) return `same       ${name}\n           ${answer}\n`;
  return `DIFFERS    ${name}\n           service: ${answer}\n           gateway: ${way.here}\n`;
}

/** Rows for COMPATIBILITY.md, whose last column is left to fill in. */
export function formatRows(findings: readonly Finding[], source: string): string {
  const cell = (text: string) => text.replaceAll("|", "\\|");
  const rows = findings.flatMap((finding) => {
    const { question, way, answer } = finding;
    if (answer === undefined) return [];
    const other = differs(finding) ? ` (the gateway: ${way.here})` : "";
    return [`| ${cell(`${question}: ${way.how}: ${answer}${other}`)} | ${source} | |`];
  });
  return ["| Behaviour | Source | Test |", "|---|---|---|", ...rows, ""].join("\n");
}

export function formatLatencies(latencies: readonly Latency[]): string {
  const rows = latencies.map(
    ({ name, ms }) =>
      `| ${name} | ${ms.length} | ${percentile(ms, 0.5).toFixed(1)} | ${percentile(ms, 0.99).toFixed(1)} |`,
  );
  return ["| Latency in ms | times | p50 | p99 |", "|---|---|---|---|", ...rows, ""].join("\n");
}

export function formatCost({ messages, connectionMs, invocations }: Meter): string {
  const connectionMinutes = connectionMs / 60_000;
  const none = Object.fromEntries(Object.keys(PRICES).map((name) => [name, 0])) as Usage;
  const { dollars, total } = toBill({ ...none, messages, connectionMinutes, invocations });
  const rows = (["messages", "connectionMinutes", "invocations"] as const).map((name) => {
    const { service, item, per, tiers, source, asOf } = PRICES[name];
    const quantity = { messages, connectionMinutes, invocations }[name];
    return `| ${service}: ${item} | ${Math.round(quantity).toLocaleString("en")} | $${tiers[0].dollars} per ${per.toLocaleString("en")} | $${dollars[name].toFixed(6)} | ${source}, ${asOf} |`;
  });
  return [
    "| Cost of the questions | quantity | price | dollars | source |",
    "|---|---|---|---|---|",
    ...rows,
    `| together | | | $${total.toFixed(4)} | |`,
    "",
    "Not counted: the duration and the logs of the function, and the app of --app; see npx lift-ws cost.",
    "",
  ].join("\n");
}
