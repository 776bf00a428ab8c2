import { FAULT_KINDS, THROTTLED } from "./faults.ts";
import { LOAD_PROFILES } from "./load-profile.ts";
import type { LogEntry, StoredFact } from "./log.ts";
import { BLOB_BYTES } from "./request-script.ts";
import type { StoreName } from "./stores.ts";

const CHUNKED = "published in chunks";
const DOWNLOADED = "results downloaded";

/** Events of live streams that a run must have. */
const STREAM_EVENTS = [
  "streams started",
  "streams ended",
  "streams ended without their owner",
  "streams kept for their owner",
];

/** Events of long requests that a run must have, as shares of the requests made. */
const REQUEST_EVENTS = {
  "requests accepted": 0.25,
  "requests completed": 0.15,
  "requests failed": 0.03,
  "requests cancelled": 0.03,
  "cancels after the end": 0.002,
  "attempts repeated": 0.1,
  "outputs read": 0.5,
  [DOWNLOADED]: 0.01,
};

/** Counts the events and faults of a run. */
export class EventCounts {
  readonly counts = new Map<string, number>();
  readonly faults = new Map<string, number>();
  #isDurable = false;
  #minimums = { published: 1, delivered: 1, requests: 1, faults: 1 };
  /** Ends of streams by tenant and time: all members receive the same end, which counts once. */
  readonly #ends = new Set<string>();

  take(entry: LogEntry): void {
    if (entry.kind === "run") {
      this.#isDurable = entry.durable;
      this.#minimums = LOAD_PROFILES[entry.store as StoreName].minimums;
    }
    if (entry.kind === "stream_ended") {
      const end = `${entry.tenant} ${entry.at}`;
      if (this.#ends.has(end)) return;
      this.#ends.add(end);
    }
    if (entry.kind === "accepted" && entry.chunked) {
      this.counts.set(CHUNKED, this.count(CHUNKED) + 1);
    }
    if (entry.kind === "job_ended" && (entry.bytes ?? 0) >= BLOB_BYTES[0]) {
      this.counts.set(DOWNLOADED, this.count(DOWNLOADED) + 1);
    }
    const name = eventName(entry);
    const times = entry.kind === "resumed" ? entry.count : 1;
    if (name !== undefined) this.counts.set(name, this.count(name) + times);
    if (entry.kind === "fault") this.faults.set(entry.fault, (this.faults.get(entry.fault) ?? 0) + 1);
  }

  count(name: string): number {
    return this.counts.get(name) ?? 0;
  }

  /**
   * Lists the events that were too few for the run to prove anything.
   * @param ms duration of the run with faults
   */
  shortfalls(ms: number): string[] {
    const seconds = ms / 1_000;
    const minimums: [string, number, number][] = [
      ["published", this.count("published"), seconds * this.#minimums.published],
      ["delivered", this.count("delivered"), seconds * this.#minimums.delivered],
      [CHUNKED, this.count(CHUNKED), seconds / 10],
      ["recovered", this.count("recovered"), seconds],
      ["rotated", this.count("rotated"), seconds / 10],
      // In memory, pending messages end with their process.
      [
        "resumed for another process",
        this.count("resumed for another process"),
        this.#isDurable ? seconds * this.#minimums.faults : 0,
      ],
      ["losses reported", this.count("losses reported"), seconds / 10],
      ["requests made", this.count("requests made"), seconds * this.#minimums.requests],
      ...Object.entries(REQUEST_EVENTS).map(([name, share]): [string, number, number] => [
        name,
        this.count(name),
        seconds * this.#minimums.requests * share,
      ]),
      [THROTTLED, this.faults.get(THROTTLED) ?? 0, Math.floor(seconds / 70)],
      ...STREAM_EVENTS.map((name): [string, number, number] => [
        name,
        this.count(name),
        (seconds * this.#minimums.faults) / 2,
      ]),
      ...FAULT_KINDS.map((kind): [string, number, number] => [
        kind,
        this.faults.get(kind) ?? 0,
        seconds * this.#minimums.faults,
      ]),
    ];
    return minimums.flatMap(([name, count, target]) => {
      const min = target === 0 ? 0 : Math.max(1, Math.floor(target));
      return count >= min ? [] : [`${name}: ${count}, expected at least ${min}`];
    });
  }

  lines(): string[] {
    const line = ([name, count]: [string, number]) => `  ${String(count).padStart(7)}  ${name}`;
    const sorted = (counts: Map<string, number>) =>
      [...counts].sort(([one], [other]) => one.localeCompare(other));
    return [...sorted(this.counts).map(line), "  faults", ...sorted(this.faults).map(line)];
  }
}

function eventName(entry: LogEntry): string | undefined {
  switch (entry.kind) {
    case "asked":
      return "publish requests";
    case "accepted":
      return "published";
    case "refused":
      return entry.mayBeStored ? "outcome unknown" : "refused";
    case "received":
      return "received";
    case "delivered":
      return "delivered";
    case "lost":
      return "losses reported";
    case "rotated":
      return "rotated";
    case "reconnecting":
      return "connections lost";
    case "started":
      return "server processes";
    case "resumed":
      return "resumed for another process";
    case "streams":
      return entry.act === "start" && entry.outcome === "done" ? "streams started" : undefined;
    case "stream_ended":
      return entry.reason === "ended" ? "streams ended" : "streams ended without their owner";
    case "back":
      return entry.kept ? "streams kept for their owner" : undefined;
    case "presence":
      return "presence events";
    case "present":
      return "presence lists";
    case "request_made":
      return "requests made";
    case "request_accepted":
      return "requests accepted";
    case "request_stored":
      return storedName(entry);
    case "job_ended":
      return "outputs read";
    case "answered":
      if (entry.after === undefined) return undefined;
      if (entry.recovered !== true) return "answered recovered: false";
      return entry.messages.length > 0 ? "recovered" : "recovered nothing";
    default:
      return undefined;
  }
}

function storedName({ call, state, attempt = 1 }: StoredFact): string | undefined {
  if (call === "claim") return attempt > 1 ? "attempts repeated" : undefined;
  if (call === "cancel") return state === "CANCELLED" ? "requests cancelled" : "cancels after the end";
  if (call !== "finish") return undefined;
  return state === "COMPLETED" ? "requests completed" : state === "FAILED" ? "requests failed" : undefined;
}
