import { setTimeout as wait } from "node:timers/promises";
import { LiftError } from "lift-ws";
import type { RequestContext } from "lift-ws/streamer";
import * as z from "zod";
import { writePdf } from "./pdf.ts";

const day = z.iso.date();

export const reportInput = z.object({
  start_date: day,
  end_date: day,
  format: z.enum(["csv", "pdf"]).default("csv"),
  report_type: z.string().max(100).default("sales"),
});

export const processInput = z.object({
  dataset_id: z.string().min(1).max(100),
  operation: z.enum(["sum", "average", "count"]).default("sum"),
});

/** How long each step takes, in ms: long enough to watch. */
export interface Pace {
  readonly stepMs: number;
}

const REPORT_STAGES = ["Reading the orders", "Adding them up", "Sorting the days", "Writing the file"];
const DAY_MS = 24 * 60 * 60_000;
const MAX_DAYS = 3_660;

/** Answers with what it was sent. */
export function echo(input: unknown) {
  return { echo: input };
}

/** Writes a report of made-up numbers as a file, which the result carries. Each day is a line of the output. */
export async function generateReport(
  { start_date, end_date, format, report_type }: z.output<typeof reportInput>,
  { progress, output, signal }: RequestContext,
  { stepMs }: Pace,
) {
  const [first, last] = [Date.parse(start_date), Date.parse(end_date)];
  const days = Math.floor((last - first) / DAY_MS) + 1;
  if (days < 1 || days > MAX_DAYS) {
    throw new LiftError("VALIDATION_ERROR", { message: `A report has 1 to ${MAX_DAYS} days` });
  }
  const lines: string[] = [];
  for (const [index, stage] of REPORT_STAGES.entries()) {
    progress((index / REPORT_STAGES.length) * 100, stage);
    await wait(stepMs, undefined, { signal });
    if (index > 0) continue;
    for (let n = 0; n < days; n++) lines.push(toLine(report_type, new Date(first + n * DAY_MS)));
    for (const line of lines.slice(output.written)) await output.write(`${line}\n`);
  }
  progress(100, "Done");
  const heading = `${report_type}, ${start_date} to ${end_date}`;
  const isPdf = format === "pdf";
  const file = isPdf
    ? writePdf([heading, ...lines])
    : Buffer.from(["day,orders,total", ...lines, ""].join("\n"));
  return {
    file: `${report_type.replace(/\W+/g, "-")}.${format}`,
    content_type: isPdf ? "application/pdf" : "text/csv",
    base64: file.toString("base64"),
    days,
  };
}

/** Made up, and the same each time. */
function toLine(type: string, date: Date): string {
  const orders = 20 + ((date.getUTCDate() * 7 + type.length) % 30);
  return `${date.toISOString().slice(0, 10)},${orders},${(orders * 19.9).toFixed(2)}`;
}

const STORY =
  "A message set out across a bad line. It was cut off twice, and each time it came back and went on with the next word, " +
  "because somebody had written down how far it had got. Nobody who listened heard a word twice, and nobody missed one. " +
  "Those who came late were told the beginning at once, and then they listened with the others to the end.";

/** Tells a story word by word. One that is taken over goes on after the last word that was stored. */
export async function tellStory(
  _input: unknown,
  { output, progress, signal }: RequestContext,
  { stepMs }: Pace,
) {
  const words = STORY.match(/\S+\s*/g) ?? [];
  for (const [index, word] of words.entries()) {
    if (index < output.written) continue;
    await wait(stepMs / 5, undefined, { signal });
    await output.write(word);
    progress((index / words.length) * 100);
  }
  return { words: words.length };
}

const PROCESS_STAGES = ["Loading", "Cleaning", "Joining", "Computing", "Storing"];

/** Works through five stages. Each is saved, so that a process that dies repeats at most one. */
export async function processData(
  { dataset_id, operation }: z.output<typeof processInput>,
  { progress, checkpoint, signal, attempt }: RequestContext,
  { stepMs }: Pace,
) {
  const saved = (checkpoint.value ?? { stage: 0, value: 0 }) as { stage: number; value: number };
  let { value } = saved;
  for (let stage = saved.stage; stage < PROCESS_STAGES.length; stage++) {
    progress((stage / PROCESS_STAGES.length) * 100, PROCESS_STAGES[stage], { stage: stage + 1, attempt });
    await wait(2 * stepMs, undefined, { signal });
    value += (stage + 1) * dataset_id.length;
    await checkpoint.save({ stage: stage + 1, value });
  }
  const results = { sum: value, average: value / PROCESS_STAGES.length, count: PROCESS_STAGES.length };
  progress(100, "Done");
  return { dataset_id, operation, value: results[operation], attempts: attempt };
}
