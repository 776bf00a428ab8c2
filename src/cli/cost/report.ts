import type { Estimate, Estimates } from "./estimate.ts";
import { PRICES, type Priced } from "./prices.ts";
import type { Workload } from "./workload.ts";

const NAMES = Object.keys(PRICES) as Priced[];
/** The same in each design that delivers the same messages over the same connections. */
const DELIVERY: readonly Priced[] = ["messages", "connectionMinutes", "sentGb"];

/** Formats estimates as a table, with the prices and their sources. */
export function formatReport(workload: Workload, { streamer, original, naive }: Estimates): string {
  const all = [streamer, original, naive];
  const items = NAMES.filter((name) => all.some(({ usage }) => usage[name] > 0));
  const rows = [
    ["", "", "quantity", ...all.map(({ design }) => design)],
    ...items.map((name) => [
      PRICES[name].service,
      PRICES[name].item,
      toQuantity(streamer.usage[name]),
      ...all.map(({ dollars }) => toDollars(dollars[name])),
    ]),
    ["Total", "", "", ...all.map(({ total }) => toDollars(total))],
    ["", "without delivery", "", ...all.map((each) => toDollars(withoutDelivery(each)))],
  ];
  return [
    "Cost of a month in us-east-1, on demand, without free tiers. Quantities are of lift-ws.",
    "",
    describe(workload),
    "",
    toTable(rows),
    "",
    `Compared with the original Streamer's pattern: ${compare(streamer.total, original.total)}; without delivery`,
    `(API Gateway and data transfer): ${compare(withoutDelivery(streamer), withoutDelivery(original))}.`,
    "",
    "Prices:",
    ...NAMES.map((name) => formatPrice(name)),
    "",
  ].join("\n");
}

function withoutDelivery({ total, dollars }: Estimate): number {
  return DELIVERY.reduce((sum, name) => sum - dollars[name], total);
}

function describe(workload: Workload): string {
  const { connections, connectionMinutes, channels, messagesPerMinute, messageBytes, fanOut } = workload;
  const { hoursPerDay, requestsPerHour, requestSeconds, atMostOnce, memory } = workload;
  const count = (value: number) => value.toLocaleString("en");
  return [
    `${count(connections)} connections of ${connectionMinutes} minutes, ${hoursPerDay} hours a day, each in ${count(channels)} ${channels === 1 ? "channel" : "channels"};`,
    `${count(messagesPerMinute)} messages a minute of ${count(messageBytes)} bytes to ${count(fanOut)} recipients, ${atMostOnce ? "at most once" : "at least once"};`,
    `${count(requestsPerHour)} requests an hour of ${requestSeconds} s; functions of ${count(memory)} MB.`,
  ].join("\n");
}

function compare(ours: number, theirs: number): string {
  const percent = theirs === 0 ? 0 : Math.round(100 * (ours / theirs - 1));
  return `${percent > 0 ? "+" : ""}${percent} %`;
}

function formatPrice(name: Priced): string {
  const { service, item, per, tiers, source, asOf } = PRICES[name];
  const [{ dollars }] = tiers;
  const tiered = tiers.length > 1 ? ", less for more" : "";
  const quantity = per === 1 ? "one" : per.toLocaleString("en");
  return `  ${service}, ${item}: $${dollars} for ${quantity}${tiered} (${source}, ${asOf})`;
}

function toDollars(dollars: number): string {
  return `$${dollars.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
}

function toQuantity(value: number): string {
  return value.toLocaleString("en", { maximumFractionDigits: value < 100 ? 1 : 0 });
}

function toTable(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, at) => Math.max(...rows.map((row) => row[at]!.length)));
  return rows
    .map((row) =>
      row
        .map((cell, at) => (at < 2 ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
