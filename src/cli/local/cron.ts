/** The smallest and the largest value of each of the six fields, in AWS's order: a week begins with Sunday, 1. */
const FIELDS = {
  minutes: [0, 59],
  hours: [0, 23],
  days: [1, 31],
  months: [1, 12],
  weekdays: [1, 7],
  years: [1970, 2199],
} as const;
const MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split(" ");
const WEEKDAYS = "SUN MON TUE WED THU FRI SAT".split(" ");

const DAY_MS = 86_400_000;

/** Whether a day of a month is meant. */
type DayRule = (day: Day) => boolean;

interface Day {
  /** From 1. */
  readonly date: number;
  /** From 1, a Sunday. */
  readonly weekday: number;
  /** The last day of its month. */
  readonly last: number;
}

/** The times that an expression names, in UTC. */
export interface Cron {
  /** Returns the first time after this one, in ms since 1970; `undefined` if there is none. */
  next(after: number): number | undefined;
}

/**
 * Parses `cron(minutes hours day-of-month month day-of-week year)`.
 * @returns why it is invalid, if it is
 * @see https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
 */
export function parseCron(expression: string): Cron | string {
  const fields = /^cron\((.*)\)$/.exec(expression)?.[1]?.trim().split(/\s+/);
  if (fields?.length !== 6) return "expected cron() with six fields";
  const [minutes, hours, days, months, weekdays, years] = fields as [
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  if ((days === "?") === (weekdays === "?"))
    return "either the day of the month or the day of the week must be `?`";
  try {
    const isDay = days === "?" ? readWeekdays(weekdays) : readRules(days, readDay);
    const [minute, hour] = [readValues(minutes, "minutes"), readValues(hours, "hours")];
    const [month, year] = [readValues(months, "months", MONTHS), readValues(years, "years")];
    const next = (after: number): number | undefined => {
      // Cron has no seconds.
      const start = Math.floor(after / 60_000 + 1) * 60_000;
      const end = Date.UTC(FIELDS.years[1] + 1, 0);
      for (let at = start - (start % DAY_MS); at < end; at += DAY_MS) {
        const date = new Date(at);
        if (!year.has(date.getUTCFullYear()) || !month.has(date.getUTCMonth() + 1) || !isDay(dayOf(date)))
          continue;
        for (let time = Math.max(at, start); time < at + DAY_MS; time += 60_000) {
          const minutesOfDay = (time - at) / 60_000;
          if (hour.has(Math.floor(minutesOfDay / 60)) && minute.has(minutesOfDay % 60)) return time;
        }
      }
      return undefined;
    };
    return { next };
  } catch (error) {
    return (error as Error).message;
  }
}

/** The longest timer of Node. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Calls at the times of an expression. @returns what stops it */
export function callAt({ next }: Cron, call: () => void): () => void {
  let timer: NodeJS.Timeout;
  const wait = (until: number | undefined) => {
    if (until === undefined) return;
    // A timer may be early by a millisecond, and a long wait has several.
    timer = setTimeout(
      () => {
        if (Date.now() < until) return wait(until);
        call();
        wait(next(Date.now()));
      },
      Math.min(Math.max(1, until - Date.now()), LONGEST_TIMER_MS),
    );
  };
  wait(next(Date.now()));
  return () => clearTimeout(timer);
}

/** Calls at an interval, in ms. @returns what stops it */
export function callEvery(everyMs: number, call: () => void): () => void {
  // `setInterval` takes an interval above LONGEST_TIMER_MS for 1 ms.
  return callAt({ next: (after) => after + everyMs }, call);
}

function dayOf(date: Date): Day {
  const last = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate();
  return { date: date.getUTCDate(), weekday: date.getUTCDay() + 1, last };
}

/** Reads a list of rules for days, one of which must fit. */
function readRules(field: string, read: (item: string) => DayRule): DayRule {
  const rules = field.split(",").map(read);
  return (day) => rules.some((rule) => rule(day));
}

/** Reads a rule of the day-of-month field: `L` is the last day, `LW` its last weekday, and `15W` the weekday nearest to the 15th. */
function readDay(item: string): DayRule {
  if (item === "L") return ({ date, last }) => date === last;
  if (item === "LW") return (day) => day.date === nearestWeekday(day.last, day);
  const [, near] = /^(\d+)W$/.exec(item) ?? [];
  if (near !== undefined) {
    const wanted = readNumber(near, "days");
    return (day) => wanted <= day.last && day.date === nearestWeekday(wanted, day);
  }
  const values = readValues(item, "days");
  return ({ date }) => values.has(date);
}

/** Returns the weekday from Monday to Friday that is nearest to a date, in the same month. */
function nearestWeekday(wanted: number, { date, weekday, last }: Day): number {
  const day = (((weekday - 1 + wanted - date) % 7) + 7) % 7;
  if (day === 6) return wanted === 1 ? 3 : wanted - 1;
  if (day === 0) return wanted === last ? wanted - 2 : wanted + 1;
  return wanted;
}

/** @throws Error also for a step, or `#` in a list: EventBridge refuses both */
function readWeekdays(field: string): DayRule {
  if (field.includes("/")) throw new Error(`\`${field}\` is not valid for weekdays: steps are not allowed`);
  if (field.includes("#") && field.includes(","))
    throw new Error(`\`${field}\` is not valid for weekdays: \`#\` is not allowed in a list`);
  return readRules(field, readWeekday);
}

/** Reads a rule of the day-of-week field: `L` is Saturday, `6L` the last Friday of the month, and `6#3` the third. */
function readWeekday(item: string): DayRule {
  const [, name, kind, nth] = /^(\w+?)(?:(L)|#(\d))$/.exec(item) ?? [];
  if (item !== "L" && name !== undefined) {
    const wanted = readNumber(name, "weekdays", WEEKDAYS);
    if (kind === "L") return ({ weekday, date, last }) => weekday === wanted && date + 7 > last;
    if (!(Number(nth) >= 1 && Number(nth) <= 5)) throw new Error(`\`${item}\` names no day of a month`);
    return ({ weekday, date }) => weekday === wanted && Math.ceil(date / 7) === Number(nth);
  }
  const values = item === "L" ? new Set([7]) : readValues(item, "weekdays", WEEKDAYS);
  return ({ weekday }) => values.has(weekday);
}

/** Reads a list of values, ranges and steps: `1,5-9,10/15`. */
function readValues(field: string, name: keyof typeof FIELDS, names: readonly string[] = []): Set<number> {
  const [least, most] = FIELDS[name];
  const values = new Set<number>();
  for (const item of field.split(",")) {
    const [, from, to, step] = /^(\*|\w+)(?:-(\w+))?(?:\/(\d+))?$/.exec(item) ?? [];
    if (from === undefined || (from === "*" && to !== undefined))
      throw new Error(`\`${item}\` is not valid for ${name}`);
    const first = from === "*" ? least : readNumber(from, name, names);
    const alone = from !== "*" && step === undefined;
    const last = to === undefined ? (alone ? first : most) : readNumber(to, name, names);
    const by = Number(step ?? 1);
    if (by === 0) throw new Error(`\`${item}\` has a step of 0`);
    // A range may go beyond the end: FRI-MON.
    const length = last - first + (last < first ? most - least + 1 : 0);
    for (let at = 0; at <= length; at += by) values.add(least + ((first + at - least) % (most - least + 1)));
  }
  return values;
}

function readNumber(text: string, name: keyof typeof FIELDS, names: readonly string[] = []): number {
  const [least, most] = FIELDS[name];
  const named = names.indexOf(text.toUpperCase());
  const value = named < 0 ? (/^\d+$/.test(text) ? Number(text) : Number.NaN) : named + 1;
  if (value >= least && value <= most) return value;
  throw new Error(`\`${text}\` is not valid for ${name}: ${least} to ${most}`);
}
