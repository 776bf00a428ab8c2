import { nameOf } from "./histories.ts";
import type { Entry, Fact, NamespaceRules, Place } from "./log.ts";

type Of<Kind extends Fact["kind"]> = Extract<Entry, { readonly kind: Kind }>;

/** What a channel's owner has done, and what its members were told. */
interface Stage {
  readonly graceMs: number;
  /** When its owner has asked to start, and to end, by user. */
  readonly asked: { readonly act: "start" | "end"; readonly user: string; readonly t: number }[];
  /** Times in which a connection of a user's certainly held the stream. */
  readonly held: { readonly user: string; readonly from: number; until: number }[];
  /** When streams were ended by their owner, as the members were told. */
  readonly ends: Set<number>;
  /** What its owner was answered last; `undefined`: nothing that is certain. */
  meant: { readonly user: string; readonly live: boolean } | undefined;
  awaySince: number | undefined;
  /** What somebody has said in the end. */
  said: Of<"live"> | undefined;
}

/** Two clocks are compared, and what was decided is written a moment later. */
const TOLERANCE_MS = 100;
/** An owner who comes back while a slow store is asked whether they have comes too late. */
const DECIDING_MS = 1_500;
/** A stream ends so long after its grace at the latest, which may have begun again: who has left must be missed before. */
const LATEST_MS = 1_500;

/** Who streams, against what the owners of streams have done. */
export class LiveStreams {
  readonly #namespaces: { readonly [name: string]: NamespaceRules };
  readonly #stages = new Map<string, Stage>();

  constructor(namespaces: { readonly [name: string]: NamespaceRules }) {
    this.#namespaces = namespaces;
  }

  *take(entry: Of<"streams" | "held" | "away" | "back" | "stream_started" | "stream_ended" | "live">) {
    const stage = this.#stageOf(entry);
    if (stage === undefined) {
      yield `${entry.client} was told of a stream in ${nameOf(entry)}, where there are none`;
      return;
    }
    switch (entry.kind) {
      case "streams":
        return this.#acted(entry, stage);
      case "held":
        return hold(entry, stage);
      case "away":
        stage.awaySince = entry.t;
        return;
      case "back":
        stage.awaySince = undefined;
        return;
      case "stream_started":
        return yield* this.#started(entry, stage);
      case "stream_ended":
        return yield* this.#ended(entry, stage);
      case "live":
        return yield* this.#said(entry, stage);
    }
  }

  *end(): Generator<string> {
    for (const [place, stage] of this.#stages) {
      if (stage.said === undefined) yield `Nobody has said who streams in ${place} in the end`;
    }
  }

  #acted({ user, act, outcome, t }: Of<"streams">, stage: Stage): void {
    if (outcome === "asked") stage.asked.push({ act, user, t });
    stage.meant = outcome === "done" ? { user, live: act === "start" } : undefined;
  }

  *#started(entry: Of<"stream_started">, { asked }: Stage): Generator<string> {
    const { client, user, since } = entry;
    const hasAsked = asked.some(
      (one) => one.act === "start" && one.user === user && one.t <= since + TOLERANCE_MS,
    );
    if (!hasAsked)
      yield `${client} was told that ${user} streams in ${nameOf(entry)}, who has not asked for it`;
  }

  *#ended(entry: Of<"stream_ended">, { asked, held, ends, graceMs }: Stage): Generator<string> {
    const { client, user, at, reason } = entry;
    const what = `${client} was told that the stream of ${user} in ${nameOf(entry)} has ended`;
    if (reason === "ended") {
      ends.add(at);
      const wishes = asked.filter((one) => one.act === "end" && one.user === user);
      if (!wishes.some(({ t }) => t <= at + TOLERANCE_MS)) yield `${what}, which nobody has asked for`;
      else if (ends.size > wishes.length) yield `${what} once more than its owner has asked for`;
      return;
    }
    const there = held.find(
      (one) => one.user === user && one.until > at - graceMs + TOLERANCE_MS && one.from < at - DECIDING_MS,
    );
    if (there !== undefined) {
      const before = at - there.until;
      yield `${what} by ${reason}, and its owner was there ${before <= 0 ? "then" : `${before} ms before`}`;
    }
  }

  *#said(entry: Of<"live">, stage: Stage): Generator<string> {
    const { client, user, since, t } = entry;
    const who = `${client} (${entry.source}) in ${nameOf(entry)}`;
    const seen = user === undefined ? "nobody" : `${user}, since ${since}`;
    const { said, meant, awaySince, graceMs } = stage;
    stage.said ??= entry;
    if (said !== undefined && (said.user !== user || said.since !== since)) {
      yield `${who} sees that ${seen} streams, and ${said.client} sees ${said.user ?? "nobody"}, since ${said.since}`;
    }
    const isGone = awaySince !== undefined && t - awaySince > 2 * graceMs + LATEST_MS;
    if (user !== undefined && (isGone || meant?.live === false)) yield `${who} sees ${seen}, who has ended`;
    if (meant?.live === true && awaySince === undefined && user !== meant.user) {
      yield `${who} sees that ${seen} streams, and ${meant.user} does`;
    }
  }

  #stageOf(place: Place): Stage | undefined {
    const name = nameOf(place);
    const known = this.#stages.get(name);
    if (known !== undefined) return known;
    const { graceMs } = this.#namespaces[place.channel.slice(0, place.channel.indexOf(":"))] ?? {};
    if (graceMs === undefined) return undefined;
    const stage: Stage = {
      graceMs,
      asked: [],
      held: [],
      ends: new Set(),
      meant: undefined,
      awaySince: undefined,
      said: undefined,
    };
    this.#stages.set(name, stage);
    return stage;
  }
}

/** What a connection has held since the same moment is one time. */
function hold({ user, from, until }: Of<"held">, { held }: Stage): void {
  const last = held.findLast((one) => one.user === user && one.from === from);
  if (last === undefined) held.push({ user, from, until });
  else last.until = Math.max(last.until, until);
}
