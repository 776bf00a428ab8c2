// Bugs of long requests for reference logs. The checker must find each of them.

import type { LogEntry, LogEvent } from "./log.ts";
import { change, type LogBug } from "./seeded-log-bugs.ts";

type Stored = Extract<LogEntry, { readonly kind: "request_stored" }>;

/** Replaces a call of the store with others. */
function changeCall(
  call: Stored["call"],
  into: (entry: Stored) => readonly LogEntry[],
  suits: (entry: Stored) => boolean = () => true,
): LogBug["seed"] {
  return change("request_stored", into, (entry) => entry.call === call && suits(entry));
}

/** Adds a call that begins after another one. */
function callAfter(entry: Stored, next: Partial<Stored>): readonly LogEntry[] {
  return [entry, { ...entry, from: entry.until + 1, until: entry.until + 2, ...next }];
}

function drop(kind: LogEvent["kind"]): LogBug["seed"] {
  return change(kind, () => []);
}

export const SEEDED_REQUEST_LOG_BUGS: { readonly [bug: string]: LogBug } = {
  "a request that has not ended": {
    seed: change(
      "request_read",
      (entry) => [{ ...entry, state: "PROCESSING" }],
      ({ owned }) => owned,
    ),
    expected: /as PROCESSING/,
  },
  "a request that nobody can read": {
    seed: change(
      "request_read",
      () => [],
      ({ owned }) => owned,
    ),
    expected: /has not ended/,
  },
  "a request that ends twice": {
    seed: changeCall("finish", (entry) => [entry, { ...entry, token: "another" }]),
    expected: /ended twice/,
  },
  "a cancellation after the end": {
    seed: changeCall("finish", (entry) => callAfter(entry, { call: "cancel", state: "CANCELLED" })),
    expected: /ended twice/,
  },
  "a claim after the end": {
    seed: changeCall("finish", (entry) =>
      callAfter(entry, { call: "claim", token: "another", stage: 9, offset: 9 }),
    ),
    expected: /after it had ended/,
  },
  "a stale write": {
    seed: changeCall(
      "claim",
      (entry) => callAfter(entry, { call: "append", token: "earlier", offset: 1 }),
      ({ attempt }) => attempt !== 1,
    ),
    expected: /stale write/,
  },
  "a checkpoint that moves back": {
    seed: changeCall("saveCheckpoint", (entry) => callAfter(entry, { stage: entry.stage! - 1 })),
    expected: /has the checkpoint/,
  },
  "a take-over without the last checkpoint": {
    seed: changeCall(
      "claim",
      (entry) => [{ ...entry, stage: entry.stage! - 1 }],
      ({ attempt }) => attempt !== 1,
    ),
    expected: /taken over without its last checkpoint/,
  },
  "a take-over without the last output": {
    seed: changeCall(
      "claim",
      (entry) => [{ ...entry, chunks: entry.chunks! - 1 }],
      ({ attempt }) => attempt !== 1,
    ),
    expected: /taken over without its last output/,
  },
  "output that is not delivered": {
    seed: drop("job_output"),
    expected: /gap or a repetition|lacks output|characters of the output/,
  },
  "output that is delivered twice": {
    seed: change("job_output", (entry) => [entry, entry]),
    expected: /gap or a repetition/,
  },
  "output after the end": {
    seed: change("job_ended", (entry) => [entry, { ...entry, kind: "job_output", text: "more" }]),
    expected: /after its end/,
  },
  "output on the wire after the end": {
    seed: change("request_end", ({ t, client, request, output, ...rest }) => [
      { t, client, request, output, ...rest },
      { t, kind: "request_output", client, request, offset: output + 1 },
    ]),
    expected: /after its end/,
  },
  "a wrong result": {
    seed: change(
      "job_ended",
      (entry) => [{ ...entry, end: { result: "another" } }],
      ({ end }) => "result" in end,
    ),
    expected: /instead of/,
  },
  "a failure that was not expected": {
    seed: change("job_ended", (entry) => [{ ...entry, end: { code: "STORE_FAILED" } }]),
    expected: /ended with STORE_FAILED instead of/,
  },
  "an end that never comes": {
    seed: drop("job_ended"),
    expected: /waits for the end/,
  },
  "a cancellation that nobody asked for": {
    seed: drop("request_cancelled"),
    expected: /ended with CANCELLED instead of/,
  },
  "a request that a stranger can read": {
    seed: change(
      "request_read",
      ({ code: _, ...entry }) => [{ ...entry, state: "COMPLETED" }],
      ({ owned }) => !owned,
    ),
    expected: /could read/,
  },
};
