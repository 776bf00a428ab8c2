import { FAULT_KINDS } from "./faults.ts";
import { PACES } from "./load-profile.ts";
import type { Entry } from "./log.ts";
import type { StoreName } from "./stores.ts";

/** What may become of a stream. */
const STREAMING = [
  "streams started",
  "streams ended",
  "streams ended without their owner",
  "streams kept for their owner",
];

const IN_PARTS = "published in parts";

/** Counts what has happened in a run. */
export class Tally {
  readonly counts = new Map<string, number>();
  readonly faults = new Map<string, number>();
  #isDurable = false;
  #least = { published: 1, handed: 1, faults: 1 };
  /** Ends that members were told of: each of them is told. */
  readonly #ends = new Set<string>();

  take(entry: Entry): void {
    if (entry.kind === "run") {
      this.#isDurable = entry.durable;
      this.#least = PACES[entry.store as StoreName].least;
    }
    if (entry.kind === "stream_ended") {
      const end = `${entry.tenant} ${entry.at}`;
      if (this.#ends.has(end)) return;
      this.#ends.add(end);
    }
    if (entry.kind === "accepted" && entry.inParts) {
      this.counts.set(IN_PARTS, this.count(IN_PARTS) + 1);
    }
    const name = nameOf(entry);
    const times = entry.kind === "finished" ? entry.count : 1;
    if (name !== undefined) this.counts.set(name, this.count(name) + times);
    if (entry.kind === "fault") this.faults.set(entry.fault, (this.faults.get(entry.fault) ?? 0) + 1);
  }

  count(name: string): number {
    return this.counts.get(name) ?? 0;
  }

  /** What there was too little of for a run of so long to prove anything. @param ms with faults */
  tooFew(ms: number): string[] {
    const seconds = ms / 1_000;
    const wanted: [string, number, number][] = [
      ["published", this.count("published"), seconds * this.#least.published],
      ["handed on", this.count("handed on"), seconds * this.#least.handed],
      [IN_PARTS, this.count(IN_PARTS), seconds / 10],
      ["recovered", this.count("recovered"), seconds],
      ["rotated", this.count("rotated"), seconds / 10],
      // What is in memory dies with who has left it.
      [
        "finished for another",
        this.count("finished for another"),
        this.#isDurable ? seconds * this.#least.faults : 0,
      ],
      ["lost, and told", this.count("lost, and told"), seconds / 10],
      ...STREAMING.map((name): [string, number, number] => [
        name,
        this.count(name),
        (seconds * this.#least.faults) / 2,
      ]),
      ...FAULT_KINDS.map((kind): [string, number, number] => [
        kind,
        this.faults.get(kind) ?? 0,
        seconds * this.#least.faults,
      ]),
    ];
    return wanted.flatMap(([name, count, wish]) => {
      const min = wish === 0 ? 0 : Math.max(1, Math.floor(wish));
      return count >= min ? [] : [`${name}: ${count}, and at least ${min} are needed`];
    });
  }

  lines(): string[] {
    const line = ([name, count]: [string, number]) => `  ${String(count).padStart(7)}  ${name}`;
    const sorted = (counts: Map<string, number>) =>
      [...counts].sort(([one], [other]) => one.localeCompare(other));
    return [...sorted(this.counts).map(line), "  faults", ...sorted(this.faults).map(line)];
  }
}

function nameOf(entry: Entry): string | undefined {
  switch (entry.kind) {
    case "asked":
      return "asked to publish";
    case "accepted":
      return "published";
    case "refused":
      return entry.mayBeStored ? "outcome unknown" : "refused";
    case "received":
      return "received";
    case "handed":
      return "handed on";
    case "lost":
      return "lost, and told";
    case "rotated":
      return "rotated";
    case "reconnecting":
      return "connections lost";
    case "started":
      return "lives of the server";
    case "finished":
      return "finished for another";
    case "streams":
      return entry.act === "start" && entry.outcome === "done" ? "streams started" : undefined;
    case "stream_ended":
      return entry.reason === "ended" ? "streams ended" : "streams ended without their owner";
    case "back":
      return entry.kept ? "streams kept for their owner" : undefined;
    case "presence":
      return "presence events";
    case "present":
      return "asked who is there";
    case "answered":
      if (entry.after === undefined) return undefined;
      if (entry.recovered !== true) return "answered recovered: false";
      return entry.messages.length > 0 ? "recovered" : "recovered nothing";
    default:
      return undefined;
  }
}
