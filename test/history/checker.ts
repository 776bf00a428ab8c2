// Finds violations in a log. It reads the log only: no clock, no process, no file.
import type { Position } from "../../src/protocol/index.ts";
import { ChannelHistories, channelName, formatPosition } from "./channel-histories.ts";
import { LiveStreamChecker } from "./live-stream-checker.ts";
import type { ClientSubscription, LogEntry, LogEvent, SeenMessage, TenantChannel } from "./log.ts";
import { PresenceChecker } from "./presence-checker.ts";
import { RequestChecker } from "./request-checker.ts";

type Of<Kind extends LogEvent["kind"]> = Extract<LogEntry, { readonly kind: Kind }>;

/** State of one subscription. */
interface SubscriptionState {
  readonly subscription: ClientSubscription;
  /** Position of the last delivered message. */
  position: Position | undefined;
  /** Positions from which it may have started, from the responses to `subscribe`. */
  readonly starts: Position[];
}

/** A reported loss that cannot be checked before the age of the lost messages is known. */
interface PendingLoss {
  readonly text: string;
  readonly target: TenantChannel;
  readonly after: Position;
  readonly head: Position;
  readonly t: number;
}

/** Checks a log entry by entry. Missing messages are reported at the end. */
export class Checker {
  #histories = new ChannelHistories(true, {});
  #presence = new PresenceChecker({}, {});
  #streams = new LiveStreamChecker({});
  #requests = new RequestChecker(true);
  readonly #subscriptions = new Map<string, SubscriptionState>();
  readonly #publications = new Map<string, "open" | "accepted" | "refused" | "unknown">();
  readonly #pendingLosses: PendingLoss[] = [];
  #calm = false;
  #ended = false;

  /** @returns descriptions of the violations that the entry shows */
  take(entry: LogEntry): string[] {
    return [...this.#take(entry)];
  }

  /** Whether the log reached its end. Before that, missing messages do not show. */
  get isComplete(): boolean {
    return this.#ended;
  }

  *#take(entry: LogEntry): Generator<string> {
    switch (entry.kind) {
      case "run":
        this.#histories = new ChannelHistories(entry.durable, entry.namespaces);
        this.#presence = new PresenceChecker(entry.users, entry.namespaces);
        this.#streams = new LiveStreamChecker(entry.namespaces);
        this.#requests = new RequestChecker(entry.durable);
        return;
      case "started":
        this.#requests.started();
        return this.#histories.started();
      case "crashed":
        yield "The server process ended by itself";
        return;
      case "calm":
        this.#calm = true;
        return;
      case "reconnecting":
        if (this.#calm) yield `${entry.client} lost its connection without a fault`;
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
        return yield* this.#checkSeen(entry, entry, entry.t, entry.client);
      case "answered":
        return yield* this.#answered(entry);
      case "subscribed":
        this.#subscriptions.set(entry.subscriber, { subscription: entry, position: undefined, starts: [] });
        return;
      case "unsubscribed":
        this.#subscriptions.delete(entry.subscriber);
        return;
      case "failed":
        yield `${entry.subscriber} ended with ${entry.code}`;
        return;
      case "delivered":
        return yield* this.#delivered(entry);
      case "lost":
        return yield* this.#lost(entry);
      case "joins":
      case "leaves":
        return this.#presence.take(entry);
      case "presence":
      case "present":
        return yield* this.#presence.check(entry);
      case "streams":
      case "held":
      case "away":
      case "back":
      case "stream_started":
      case "stream_ended":
      case "live":
        return yield* this.#streams.take(entry);
      case "request_made":
      case "request_cancelled":
      case "request_accepted":
      case "request_output":
      case "request_end":
      case "request_stored":
      case "request_read":
      case "job_started":
      case "job_left":
      case "job_output":
      case "job_ended":
        return yield* this.#requests.take(entry);
      case "end":
        this.#ended = true;
        return yield* this.#end();
      default:
        return;
    }
  }

  *#checkSeen(target: TenantChannel, sighting: SeenMessage, t: number, receiver: string): Generator<string> {
    const { uid, origin, at } = sighting;
    if (origin.tenant !== target.tenant || origin.channel !== target.channel) {
      yield `${receiver} received ${uid} of ${channelName(origin)} in ${channelName(target)}`;
      return;
    }
    if (!this.#publications.has(uid)) yield `${receiver} received ${uid}, which nobody published`;
    yield* this.#histories.saw(target, sighting, t, at);
  }

  *#accepted(entry: Of<"accepted">): Generator<string> {
    this.#publications.set(entry.uid, "accepted");
    yield* this.#histories.saw(entry, entry, entry.t);
  }

  *#answered(entry: Of<"answered">): Generator<string> {
    const { client, action, after, position, recovered, messages, t } = entry;
    for (const message of messages) yield* this.#checkSeen(entry, message, t, client);
    yield* this.#histories.sawHead(entry, position);
    if (after === undefined) {
      const first = messages[0]?.position;
      const start = first === undefined ? position : { epoch: first.epoch, offset: first.offset - 1 };
      for (const state of this.#subscriptionsOf(entry)) state.starts.push(start);
      return;
    }
    const response = `The response to ${action} of ${client} in ${channelName(entry)} after ${formatPosition(after)}`;
    if (recovered === true) yield* this.#recovered(entry, after, response);
    else if (recovered === undefined) yield `${response} does not say whether it is recovered`;
    else if (messages.length > 0) yield `${response} is recovered: false, and has messages`;
    else yield* this.#assertLost(`${response} is an unjustified recovered: false`, entry, after, position, t);
  }

  *#recovered(entry: Of<"answered">, after: Position, response: string): Generator<string> {
    const { messages, more, position, asked } = entry;
    let last = after;
    for (const { position: next } of messages) {
      if (next.epoch !== last.epoch || next.offset !== last.offset + 1) {
        yield `${response} has ${formatPosition(next)} after ${formatPosition(last)}`;
        return;
      }
      last = next;
    }
    if (position.epoch !== after.epoch)
      yield `${response} is recovered: true in another epoch, ${position.epoch}`;
    else if (!more && position.offset !== last.offset)
      yield `${response} ends at ${formatPosition(last)}, not ${formatPosition(position)}`;
    else if (this.#histories.wasPast(entry, after, asked)) {
      yield `${response} lacks a recovered: false: the messages had left the history`;
    }
  }

  *#delivered(entry: Of<"delivered">): Generator<string> {
    const { subscriber, position, uid } = entry;
    const state = this.#subscriptions.get(subscriber);
    if (state === undefined) {
      yield `${subscriber} received ${uid} without a subscription`;
      return;
    }
    yield* this.#checkSeen(entry, entry, entry.t, subscriber);
    const from = state.position === undefined ? state.starts : [state.position];
    state.position = position;
    const isNext = (last: Position) => last.epoch === position.epoch && last.offset + 1 === position.offset;
    if (from.some(isNext)) return;
    const last = from.at(-1);
    const isRepeated = last !== undefined && last.epoch === position.epoch && position.offset <= last.offset;
    const fault = isRepeated ? "twice or out of order" : "the messages between are missing or out of order";
    yield `${subscriber} received ${uid} at ${formatPosition(position)} after ${formatPosition(last)}: ${fault}`;
  }

  *#lost(entry: Of<"lost">): Generator<string> {
    const { subscriber, position, t } = entry;
    const state = this.#subscriptions.get(subscriber);
    yield* this.#histories.sawHead(entry, position);
    if (state === undefined) return;
    const starts = state.position === undefined ? state.starts : [state.position];
    const before = starts.at(-1);
    state.position = position;
    const report = `${subscriber} reported a loss from ${formatPosition(before)} to ${formatPosition(position)}, which is unjustified`;
    if (before === undefined) yield report;
    else yield* this.#assertLost(report, entry, before, position, t);
  }

  *#assertLost(
    text: string,
    target: TenantChannel,
    after: Position,
    head: Position,
    t: number,
  ): Generator<string> {
    const covered = this.#histories.covered(target, after, head, t);
    if (covered === true) yield text;
    if (covered === undefined) this.#pendingLosses.push({ text, target, after, head, t });
  }

  *#end(): Generator<string> {
    for (const { text, target, after, head, t } of this.#pendingLosses) {
      // Without a known age no client has the message, so its loss shows by the missing message.
      if (this.#histories.covered(target, after, head, t) === true) yield text;
    }
    for (const [uid, outcome] of this.#publications) {
      if (outcome === "open") yield `${uid} was never answered`;
      if (outcome === "refused" && this.#histories.isStored(uid)) yield `${uid} was refused and published`;
    }
    for (const state of this.#subscriptions.values()) yield* this.#checkEnd(state);
    yield* this.#presence.end();
    yield* this.#streams.end();
    yield* this.#requests.end();
  }

  *#checkEnd({ subscription, position, starts }: SubscriptionState): Generator<string> {
    const head = this.#histories.head(subscription);
    const at = position === undefined ? starts : [position];
    if (head === undefined && at.length === 0) return;
    if (at.some(({ epoch, offset }) => epoch === head?.epoch && offset === head.offset)) return;
    yield `${subscription.subscriber} ends at ${formatPosition(at.at(-1))} and the channel at ${formatPosition(head)}: the last messages are missing`;
  }

  *#subscriptionsOf({
    client,
    tenant,
    channel,
  }: { readonly client: string } & TenantChannel): Generator<SubscriptionState> {
    for (const state of this.#subscriptions.values()) {
      const { subscription } = state;
      const isSame =
        subscription.client === client && subscription.tenant === tenant && subscription.channel === channel;
      if (isSame && state.position === undefined) yield state;
    }
  }
}

/** Returns the violations of a whole log. */
export function checkLog(entries: Iterable<LogEntry>): string[] {
  const checker = new Checker();
  const violations: string[] = [];
  for (const entry of entries) violations.push(...checker.take(entry));
  return checker.isComplete ? violations : [...violations, "The log has no end"];
}
