import { setImmediate as turn } from "node:timers/promises";
import * as z from "zod/mini";

const DAY_MS = 24 * 3_600_000;
const MAX_DAYS = 366;

const date = z.string().check(
  z.regex(/^\d{4}-\d{2}-\d{2}$/),
  z.refine((text) => !Number.isNaN(Date.parse(text))),
);

/** The payload of `generate_report`. */
export const reportInput = z
  .object({ start_date: date, end_date: date })
  .check(z.refine((input) => daysIn(input) >= 1 && daysIn(input) <= MAX_DAYS, "Takes 1 to 366 days"));

export type ReportInput = z.infer<typeof reportInput>;

export interface Report {
  readonly days: number;
  readonly total: number;
}

/** The long work that all three ways do. */
export type MakeReport = (
  input: ReportInput,
  work: {
    readonly progress: (percentage: number, message?: string) => void;
    /** Aborts when the time is over. */
    readonly signal: AbortSignal;
  },
) => Promise<Report>;

/** Adds up sales that follow from the date, so that a report of the same days is the same. */
export const makeReport: MakeReport = async (input, { progress, signal }) => {
  const days = daysIn(input);
  let total = 0;
  for (let day = 0; day < days; day++) {
    signal.throwIfAborted();
    progress((100 * day) / days, `Day ${day + 1} of ${days}`);
    total += 100 + (Math.floor(Date.parse(input.start_date) / DAY_MS + day) % 7);
    await turn();
  }
  return { days, total };
};

function daysIn({
  start_date,
  end_date,
}: {
  readonly start_date: string;
  readonly end_date: string;
}): number {
  return (Date.parse(end_date) - Date.parse(start_date)) / DAY_MS + 1;
}
