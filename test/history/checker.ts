// Says what is wrong with a log. It knows nothing but the log: no clock, no process, no file.
import type { Position } from "../../src/protocol/index.ts";
import { Attendance } from "./attendance.ts";
import { Histories, nameOf, show } from "./histories.ts";
import { LiveStreams } from "./live-streams.ts";
import type { Entry, Fact, Listening, Place, Sighting } from "./log.ts";

type Of<Kind extends Fact["kind"]> = Extract<Entry, { readonly kind: Kind }>;

/** Where one subscription is. */
interface Reader {
  readonly place: Listening;
  /** Of the last message handed on. */
  position: Position | undefined;
  /** Where it may have begun: what the answers to it have said. */
  readonly starts: Position[];
}

/** A loss that can't be judged before the age of what was lost is known. */
interface Doubt {
  readonly text: string;
  readonly place: Place;
  readonly after: Position;
  readonly head: Position;
  readonly t: number;
}

/** Takes a log entry by entry. Each gives what it shows to be wrong; the last one what is missing. */
export class Judge {
  #histories = new Histories(true, {});
  #attendance = new Attendance({}, {});
  #streams = new LiveStreams({});
  readonly #readers = new Map<string, Reader>();
  readonly #publications = new Map<string, "open" | "accepted" | "refused" | "unknown">();
  readonly #doubts: Doubt[] = [];
  #calm = false;
  #ended = false;

  /** @returns violations, in words */
  take(entry: Entry): string[] {
    return [...this.#take(entry)];
  }

  /** A log without its end shows nothing missing. */
  get ended(): boolean {
    return this.#ended;
  }

  *#take(entry: Entry): Generator<string> {
    switch (entry.kind) {
      case "run":
        this.#histories = new Histories(entry.durable, entry.namespaces);
        this.#attendance = new Attendance(entry.users, entry.namespaces);
        this.#streams = new LiveStreams(entry.namespaces);
        return;
      case "started":
        return this.#histories.started();
      case "crashed":
        yield "The server's process has ended by itself";
        return;
      case "calm":
        this.#calm = true;
        return;
      case "reconnecting":
        if (this.#calm) yield `${entry.client} has lost its connection while there were no faults`;
        return;
      case "asked":
        this.#publications.set(entry.uid, "open");
        return;
      case "accepted":
        return yield* this.#accepted(entry);
      case "refused":
        this.#publications.set(entry.uid, entry.mayBeStored ? "unknown" : "refused");
        return;
      case "received":
        return yield* this.#saw(entry, entry, entry.t, entry.client);
      case "answered":
        return yield* this.#answered(entry);
      case "subscribed":
        this.#readers.set(entry.subscriber, { place: entry, position: undefined, starts: [] });
        return;
      case "unsubscribed":
        this.#readers.delete(entry.subscriber);
        return;
      case "failed":
        yield `${entry.subscriber} has ended with ${entry.code}`;
        return;
      case "handed":
        return yield* this.#handed(entry);
      case "lost":
        return yield* this.#lost(entry);
      case "joins":
      case "leaves":
        return this.#attendance.take(entry);
      case "presence":
      case "present":
        return yield* this.#attendance.judge(entry);
      case "streams":
      case "held":
      case "away":
      case "back":
      case "stream_started":
      case "stream_ended":
      case "live":
        return yield* this.#streams.take(entry);
      case "end":
        this.#ended = true;
        return yield* this.#end();
      default:
        return;
    }
  }

  *#saw(place: Place, sighting: Sighting, t: number, who: string): Generator<string> {
    const { uid, origin, at } = sighting;
    if (origin.tenant !== place.tenant || origin.channel !== place.channel) {
      yield `${who} has seen ${uid} of ${nameOf(origin)} in ${nameOf(place)}`;
      return;
    }
    if (!this.#publications.has(uid)) yield `${who} has seen ${uid}, which nobody has published`;
    yield* this.#histories.saw(place, sighting, t, at);
  }

  *#accepted(entry: Of<"accepted">): Generator<string> {
    this.#publications.set(entry.uid, "accepted");
    yield* this.#histories.saw(entry, entry, entry.t);
  }

  *#answered(entry: Of<"answered">): Generator<string> {
    const { client, action, after, position, recovered, messages, t } = entry;
    for (const message of messages) yield* this.#saw(entry, message, t, client);
    yield* this.#histories.sawHead(entry, position);
    if (after === undefined) {
      const first = messages[0]?.position;
      const start = first === undefined ? position : { epoch: first.epoch, offset: first.offset - 1 };
      for (const reader of this.#readersOf(entry)) reader.starts.push(start);
      return;
    }
    const what = `The answer of ${action} to ${client} in ${nameOf(entry)} after ${show(after)}`;
    if (recovered === true) yield* this.#recovered(entry, after, what);
    else if (recovered === undefined) yield `${what} does not say whether it is whole`;
    else if (messages.length > 0) yield `${what} is recovered: false, and has messages`;
    else yield* this.#assertLost(`${what} is an unjustified recovered: false`, entry, after, position, t);
  }

  *#recovered(entry: Of<"answered">, after: Position, what: string): Generator<string> {
    const { messages, more, position, asked } = entry;
    let last = after;
    for (const { position: next } of messages) {
      if (next.epoch !== last.epoch || next.offset !== last.offset + 1) {
        yield `${what} has ${show(next)} behind ${show(last)}`;
        return;
      }
      last = next;
    }
    if (position.epoch !== after.epoch)
      yield `${what} is recovered: true in another epoch, ${position.epoch}`;
    else if (!more && position.offset !== last.offset)
      yield `${what} ends at ${show(last)}, not ${show(position)}`;
    else if (this.#histories.wasPast(entry, after, asked)) {
      yield `${what} lacks a recovered: false: that was past its history`;
    }
  }

  *#handed(entry: Of<"handed">): Generator<string> {
    const { subscriber, position, uid } = entry;
    const reader = this.#readers.get(subscriber);
    if (reader === undefined) {
      yield `${subscriber} was handed ${uid} without a subscription`;
      return;
    }
    yield* this.#saw(entry, entry, entry.t, subscriber);
    const from = reader.position === undefined ? reader.starts : [reader.position];
    reader.position = position;
    const isNext = (last: Position) => last.epoch === position.epoch && last.offset + 1 === position.offset;
    if (from.some(isNext)) return;
    const last = from.at(-1);
    const twice = last !== undefined && last.epoch === position.epoch && position.offset <= last.offset;
    const fault = twice ? "twice or out of order" : "and what is between is missing or out of order";
    yield `${subscriber} was handed ${uid} at ${show(position)} behind ${show(last)}: ${fault}`;
  }

  *#lost(entry: Of<"lost">): Generator<string> {
    const { subscriber, position, t } = entry;
    const reader = this.#readers.get(subscriber);
    yield* this.#histories.sawHead(entry, position);
    if (reader === undefined) return;
    const starts = reader.position === undefined ? reader.starts : [reader.position];
    const before = starts.at(-1);
    reader.position = position;
    const what = `${subscriber} was told of a loss from ${show(before)} to ${show(position)}, which is unjustified`;
    if (before === undefined) yield what;
    else yield* this.#assertLost(what, entry, before, position, t);
  }

  *#assertLost(text: string, place: Place, after: Position, head: Position, t: number): Generator<string> {
    const reached = this.#histories.reached(place, after, head, t);
    if (reached === true) yield text;
    if (reached === undefined) this.#doubts.push({ text, place, after, head, t });
  }

  *#end(): Generator<string> {
    for (const { text, place, after, head, t } of this.#doubts) {
      // Nobody ever had what is said to be lost: then it is not there for anyone, and shows by being missing.
      if (this.#histories.reached(place, after, head, t) === true) yield text;
    }
    for (const [uid, outcome] of this.#publications) {
      if (outcome === "open") yield `${uid} was never answered`;
      if (outcome === "refused" && this.#histories.isStored(uid)) yield `${uid} was refused, and published`;
    }
    for (const reader of this.#readers.values()) yield* this.#atTheEnd(reader);
    yield* this.#attendance.end();
    yield* this.#streams.end();
  }

  *#atTheEnd({ place, position, starts }: Reader): Generator<string> {
    const head = this.#histories.head(place);
    const at = position === undefined ? starts : [position];
    if (head === undefined && at.length === 0) return;
    if (at.some(({ epoch, offset }) => epoch === head?.epoch && offset === head.offset)) return;
    yield `${place.subscriber} is at ${show(at.at(-1))} in the end, and the channel at ${show(head)}: the tail is missing`;
  }

  *#readersOf({ client, tenant, channel }: { readonly client: string } & Place): Generator<Reader> {
    for (const reader of this.#readers.values()) {
      const { place } = reader;
      const isIts = place.client === client && place.tenant === tenant && place.channel === channel;
      if (isIts && reader.position === undefined) yield reader;
    }
  }
}

/** All that is wrong with a log. */
export function judge(entries: Iterable<Entry>): string[] {
  const one = new Judge();
  const violations: string[] = [];
  for (const entry of entries) violations.push(...one.take(entry));
  return one.ended ? violations : [...violations, "The log has no end"];
}
