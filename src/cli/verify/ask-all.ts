import { type Meter, Probe } from "./probe.ts";
import { QUESTIONS, type Question, type Way } from "./questions.ts";
import { ANSWER_MS, withLimit } from "./time-limit.ts";

/** How a way to ask a question came out. */
export interface Finding {
  readonly question: Question["text"];
  readonly way: Way;
  /** `undefined`: not asked. */
  readonly answer: string | undefined;
}

export interface AskOptions {
  readonly meter: Meter;
  /** Whether a way is asked. */
  readonly asks: (way: Way) => boolean;
  readonly onFinding: (finding: Finding) => void;
  readonly signal: AbortSignal;
}

/** Each needs some invocations at the same time, and a new account has ten. */
const AT_A_TIME = 3;
const ATTEMPTS = 3;
/** Longer than the 2 hours of a connection. */
const SLOW_LIMIT_MS = 140 * 60_000;

/** Asks all questions of an API. Slow ones run beside the others. @returns the findings, in the questions' order */
export async function askAll(url: URL, { asks, onFinding, ...options }: AskOptions): Promise<Finding[]> {
  const ways = QUESTIONS.flatMap(({ text, ways }) => ways.map((way) => ({ question: text, way })));
  const findings = new Map<Way, Finding>();
  const ask = async (each: (typeof ways)[number]) => {
    const isAsked = asks(each.way) && each.way.ask !== undefined;
    const finding = { ...each, answer: isAsked ? await askOne(url, each.way, options) : undefined };
    options.signal.throwIfAborted();
    findings.set(each.way, finding);
    onFinding(finding);
  };
  const quick = ways.filter(({ way }) => way.only !== "slow").values();
  const worker = async () => {
    for (const each of quick) await ask(each);
  };
  await Promise.all([
    ...ways.filter(({ way }) => way.only === "slow").map(ask),
    ...Array.from({ length: AT_A_TIME }, worker),
  ]);
  return ways.map(({ way }) => findings.get(way)!);
}

/** Asks again when the network or a slow start prevented an answer. */
async function askOne(url: URL, way: Way, options: Pick<AskOptions, "meter" | "signal">): Promise<string> {
  const attempts = way.only === "slow" ? 1 : ATTEMPTS;
  let reason = "";
  for (let attempt = 1; attempt <= attempts && !options.signal.aborted; attempt++) {
    try {
      return await askOnce(url, way, options);
    } catch (error) {
      reason = (error as Error).message;
    }
  }
  return `error: ${reason}`;
}

/** @throws Error when there is no answer */
async function askOnce(
  url: URL,
  { ask, only }: Way,
  { meter, signal }: Pick<AskOptions, "meter" | "signal">,
): Promise<string> {
  const opened = Probe.open(url, meter, signal);
  try {
    return await withLimit(opened.then(ask!), only === "slow" ? SLOW_LIMIT_MS : ANSWER_MS);
  } finally {
    opened.then(
      ({ close }) => close(),
      () => {},
    );
  }
}
