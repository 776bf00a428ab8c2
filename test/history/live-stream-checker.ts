import { channelName } from "./channel-histories.ts";
import type { LogEntry, LogEvent, NamespaceRules, TenantChannel } from "./log.ts";

type Of<Kind extends LogEvent["kind"]> = Extract<LogEntry, { readonly kind: Kind }>;

/** Actions of a channel's owner, and events that its members received. */
interface ChannelStream {
  readonly graceMs: number;
  /** Requests to start and to end. */
  readonly requests: { readonly act: "start" | "end"; readonly user: string; readonly t: number }[];
  /** Periods in which a connection of a user certainly held the stream. */
  readonly held: { readonly user: string; readonly from: number; until: number }[];
  /** Times at which owners ended streams, from the members' events. */
  readonly ends: Set<number>;
  /** State that the owner's last response confirmed. `undefined` when it is uncertain. */
  confirmed: { readonly user: string; readonly live: boolean } | undefined;
  awaySince: number | undefined;
  /** The last observation at the end. */
  observed: Of<"live"> | undefined;
}

/** Two clocks are compared, and a decision is stored a moment later. */
const TOLERANCE_MS = 100;
/** An owner that returns while a slow store is queried for them returns too late. */
const DECISION_MS = 1_500;
/** Maximum delay of a stream's end after its grace period, which starts again when a lost connection is detected late. */
const MAX_DELAY_MS = 1_500;

/** Compares the live streams that clients see with the actions of their owners. */
export class LiveStreamChecker {
  readonly #namespaces: { readonly [name: string]: NamespaceRules };
  readonly #streams = new Map<string, ChannelStream>();

  constructor(namespaces: { readonly [name: string]: NamespaceRules }) {
    this.#namespaces = namespaces;
  }

  *take(entry: Of<"streams" | "held" | "away" | "back" | "stream_started" | "stream_ended" | "live">) {
    const stream = this.#streamOf(entry);
    if (stream === undefined) {
      yield `${entry.client} received a stream in ${channelName(entry)}, which has no live streams`;
      return;
    }
    switch (entry.kind) {
      case "streams":
        return this.#recordAction(entry, stream);
      case "held":
        return recordHeld(entry, stream);
      case "away":
        stream.awaySince = entry.t;
        return;
      case "back":
        stream.awaySince = undefined;
        return;
      case "stream_started":
        return yield* this.#checkStarted(entry, stream);
      case "stream_ended":
        return yield* this.#checkEnded(entry, stream);
      case "live":
        return yield* this.#checkObserved(entry, stream);
    }
  }

  *end(): Generator<string> {
    for (const [target, stream] of this.#streams) {
      if (stream.observed === undefined) yield `No client observed the live stream of ${target} at the end`;
    }
  }

  #recordAction({ user, act, outcome, t }: Of<"streams">, stream: ChannelStream): void {
    if (outcome === "asked") stream.requests.push({ act, user, t });
    stream.confirmed = outcome === "done" ? { user, live: act === "start" } : undefined;
  }

  *#checkStarted(entry: Of<"stream_started">, { requests }: ChannelStream): Generator<string> {
    const { client, user, since } = entry;
    const isRequested = requests.some(
      (one) => one.act === "start" && one.user === user && one.t <= since + TOLERANCE_MS,
    );
    if (!isRequested)
      yield `${client} received a stream of ${user} in ${channelName(entry)} without a request for it`;
  }

  *#checkEnded(
    entry: Of<"stream_ended">,
    { requests, held, ends, graceMs }: ChannelStream,
  ): Generator<string> {
    const { client, user, at, reason } = entry;
    const event = `${client} received the end of the stream of ${user} in ${channelName(entry)}`;
    if (reason === "ended") {
      ends.add(at);
      const endRequests = requests.filter((one) => one.act === "end" && one.user === user);
      if (!endRequests.some(({ t }) => t <= at + TOLERANCE_MS)) yield `${event} without a request for it`;
      else if (ends.size > endRequests.length) yield `${event} more often than its owner requested`;
      return;
    }
    const period = held.find(
      (one) => one.user === user && one.until > at - graceMs + TOLERANCE_MS && one.from < at - DECISION_MS,
    );
    if (period !== undefined) {
      const before = at - period.until;
      yield `${event} by ${reason}, and its owner was connected ${before <= 0 ? "then" : `${before} ms before`}`;
    }
  }

  *#checkObserved(entry: Of<"live">, stream: ChannelStream): Generator<string> {
    const { client, user, since, t } = entry;
    const observer = `${client} (${entry.source}) in ${channelName(entry)}`;
    const seen = user === undefined ? "nobody" : `${user}, since ${since}`;
    const { observed, confirmed, awaySince, graceMs } = stream;
    stream.observed ??= entry;
    if (observed !== undefined && (observed.user !== user || observed.since !== since)) {
      yield `${observer} sees that ${seen} streams, and ${observed.client} sees ${observed.user ?? "nobody"}, since ${observed.since}`;
    }
    const isGone = awaySince !== undefined && t - awaySince > 2 * graceMs + MAX_DELAY_MS;
    if (user !== undefined && (isGone || confirmed?.live === false))
      yield `${observer} sees the ended stream of ${seen}`;
    if (confirmed?.live === true && awaySince === undefined && user !== confirmed.user) {
      yield `${observer} sees that ${seen} streams instead of ${confirmed.user}`;
    }
  }

  #streamOf(target: TenantChannel): ChannelStream | undefined {
    const name = channelName(target);
    const known = this.#streams.get(name);
    if (known !== undefined) return known;
    const { graceMs } = this.#namespaces[target.channel.slice(0, target.channel.indexOf(":"))] ?? {};
    if (graceMs === undefined) return undefined;
    const stream: ChannelStream = {
      graceMs,
      requests: [],
      held: [],
      ends: new Set(),
      confirmed: undefined,
      awaySince: undefined,
      observed: undefined,
    };
    this.#streams.set(name, stream);
    return stream;
  }
}

/** Entries with the same start belong to one period. */
function recordHeld({ user, from, until }: Of<"held">, { held }: ChannelStream): void {
  const last = held.findLast((one) => one.user === user && one.from === from);
  if (last === undefined) held.push({ user, from, until });
  else last.until = Math.max(last.until, until);
}
