import { inspect, styleText } from "node:util";
import type { EventReport } from "../gateway/index.ts";
import { logText, redactText, truncate } from "../internal/redact.ts";
import { Sampler } from "../internal/sampler.ts";
import type { Terminal } from "./arguments.ts";
import { CliError } from "./errors.ts";

const ROUTE_WIDTH = 14;
/** Clients can choose a route key of any length. */
const LONGEST_ROUTE = 64;
const ID_LENGTH = 8;
const LONGEST_DURATION = "29000 ms".length;

/** The user's time zone, read before `TZ` is set to UTC for the handlers. */
const timeOfDay = new Intl.DateTimeFormat("en-GB", {
  timeStyle: "medium",
  timeZone: Intl.DateTimeFormat().resolvedOptions().timeZone,
});

/** Creates a listener for `onEvent` that logs each event. Refused messages are sampled, so a flood logs few lines. */
export function createEventLog(terminal: Terminal, refusals = new Sampler()): (report: EventReport) => void {
  return (report) => {
    const { status } = report;
    const count = isRefusal(report) ? refusals.count(String(status)) : 1;
    if (count === undefined) return;
    logEvent(report, terminal, new Date());
    if (count >= 10)
      logNote(`${count} refused with ${status} in ten seconds; further lines are sampled`, terminal);
  };
}

/** Returns whether an event was refused before a handler was called. */
function isRefusal({ status, durationMs, error }: EventReport): boolean {
  return durationMs === 0 && status >= 400 && status < 500 && error === undefined;
}

/** Logs an event, followed by its error with the stack. */
export function logEvent(report: EventReport, terminal: Terminal, now: Date): void {
  const colour = report.status >= 500 ? "red" : report.status >= 400 ? "yellow" : "green";
  const stream = terminal.stdout;
  const columns = [
    styleText("dim", timeOfDay.format(now), { stream }),
    formatRouteKey(report.routeKey),
    styleText(colour, String(report.status), { stream }),
    `${Math.round(report.durationMs)} ms`.padStart(LONGEST_DURATION),
    styleText("dim", report.connectionId.slice(0, ID_LENGTH), { stream }),
  ];
  stream.write(`${columns.join("  ")}\n`);
  if (report.body !== undefined) stream.write(`${styleText("dim", formatBody(report.body), { stream })}\n`);
  if (report.error !== undefined) logError(report.error, terminal.stderr);
}

/** Logs a note with the time, between the lines of events. */
export function logNote(text: string, { stdout: stream }: Terminal): void {
  stream.write(`${styleText("dim", `${timeOfDay.format(new Date())}  ${text}`, { stream })}\n`);
}

const LONGEST_FUNCTION = "disconnect".length;

/** Logs a line of a function's own log. */
export function logFunction(name: string, line: string, { stdout: stream }: Terminal): void {
  const isRuntimeLine = /^(?:START|END|REPORT|INIT_REPORT) /.test(line);
  const prefix = styleText("dim", name.padEnd(LONGEST_FUNCTION), { stream });
  stream.write(`${prefix}  ${isRuntimeLine ? styleText("dim", line, { stream }) : redactText(line)}\n`);
}

/** Logs a failure in one line, followed by its cause with the stack. */
export function logFailure(error: unknown, stream: NodeJS.WritableStream): void {
  const known = error instanceof CliError;
  const prefix = styleText("red", "lift-ws:", { stream });
  stream.write(`${prefix} ${known ? error.message : describeError(error)}\n`);
  if (known && error.cause !== undefined) logError(error.cause, stream);
}

/** Logs an error with its stack. */
export function logError(error: unknown, stream: NodeJS.WritableStream): void {
  stream.write(`${styleText("red", describeError(error), { stream })}\n`);
}

/** Limits of error texts, because clients choose parts of them, such as a key that a schema does not know. */
const LONGEST_LINE = 2_000;
const LONGEST_ERROR = 20_000;

/** Formats an error with stack and causes, without Node's own frames and without secrets, truncated when long. */
export function describeError(error: unknown): string {
  const text = typeof error === "string" ? error : inspect(error, { colors: false });
  const lines = redactText(text.replace(/\?lift-ws=\d+/g, ""))
    .split("\n")
    .filter((line) => !/^\s+at .{0,1000}\(?node:internal\//.test(line))
    .map((line) => truncate(line, LONGEST_LINE));
  return escapeControls(truncate(lines.join("\n"), LONGEST_ERROR), "\n\t");
}

const LONGEST_BODY = 1_000;

/** Formats a result's body in one line, without secrets. */
function formatBody(body: string): string {
  return `  ${escapeControls(logText(body, LONGEST_BODY))}`;
}

/** Formats a route key. Clients choose it, so it must not contain control characters or fill the screen. */
function formatRouteKey(key: string): string {
  const short = key.length > LONGEST_ROUTE ? `${key.slice(0, LONGEST_ROUTE)}…` : key;
  return escapeControls(short).padEnd(ROUTE_WIDTH);
}

/** Escapes control characters, and those that change the writing direction, as `\\u001b`. */
export function escapeControls(text: string, except = ""): string {
  return text.replace(/[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/gu, (character) =>
    except.includes(character) ? character : `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
