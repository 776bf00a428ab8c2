// Bugs for reference logs. The checker must find each of them.

import type { LogEntry, LogEvent } from "./log.ts";
import { GRACE_MS } from "./reference-log.ts";

type Of<Kind extends LogEvent["kind"]> = Extract<LogEntry, { readonly kind: Kind }>;

export interface LogBug {
  /** @returns `undefined` when the log has no entry for the bug */
  seed(log: readonly LogEntry[], where: number): readonly LogEntry[] | undefined;
  /** The violation that the checker reports. */
  readonly expected: RegExp;
}

type JoinOrLeave = Extract<LogEntry, { readonly kind: "joins" | "leaves" }>;

/** Replaces one entry of a kind with others. */
export function change<Kind extends LogEvent["kind"]>(
  kind: Kind,
  into: (entry: Of<Kind>) => readonly LogEntry[],
  suits: (entry: Of<Kind>) => boolean = () => true,
): LogBug["seed"] {
  return (log, where) => {
    const places = log.flatMap((entry, at) => (entry.kind === kind && suits(entry as Of<Kind>) ? [at] : []));
    const at = places[where % places.length];
    return at === undefined ? undefined : log.toSpliced(at, 1, ...into(log[at] as Of<Kind>));
  };
}

/** Applies a bug to durable logs only: a restart may lose the messages of the others. */
function inDurable(seed: LogBug["seed"]): LogBug["seed"] {
  return (log, where) => (log[0]?.kind === "run" && log[0].durable ? seed(log, where) : undefined);
}

/** Channels whose history is never exceeded. */
function inRoom({ channel }: { readonly channel: string }): boolean {
  return channel.startsWith("room:");
}

export const SEEDED_LOG_BUGS: { readonly [bug: string]: LogBug } = {
  "a message that is not delivered": {
    seed: inDurable(change("delivered", () => [], inRoom)),
    expected: /missing/,
  },
  "a message that is delivered twice": {
    seed: change("delivered", (entry) => [entry, entry]),
    expected: /twice/,
  },
  "two messages that are swapped": {
    seed: (log, where) => {
      const delivered = log.flatMap((entry, at) => (entry.kind === "delivered" ? [at] : []));
      const first = delivered[where % delivered.length]!;
      const one = log[first] as Of<"delivered">;
      const second = delivered.find(
        (at) => at > first && (log[at] as Of<"delivered">).subscriber === one.subscriber,
      );
      return second === undefined ? undefined : log.with(first, log[second]!).with(second, one);
    },
    expected: /missing or out of order/,
  },
  "another tenant's message": {
    seed: change("received", (entry) => [
      { ...entry, tenant: entry.tenant === "a" ? "b" : "a", client: "stranger" },
    ]),
    expected: /stranger received .* of ./,
  },
  "another tenant's user": {
    seed: change("present", (entry) => [{ ...entry, users: [...entry.users, "stranger"] }]),
    expected: /another tenant's/,
  },
  "a recovered: false within the history": {
    seed: change(
      "answered",
      (entry) => [{ ...entry, recovered: false, messages: [] }],
      ({ recovered }) => recovered === true,
    ),
    expected: /unjustified recovered: false/,
  },
  "a recovered: false without a later message": {
    seed: change(
      "answered",
      (entry) => [{ ...entry, after: entry.position, recovered: false, messages: [] }],
      ({ after }) => after !== undefined,
    ),
    expected: /unjustified recovered: false/,
  },
  "a reported loss without a loss": {
    seed: change("delivered", ({ uid: _, origin: __, at: ___, ...entry }) => [{ ...entry, kind: "lost" }]),
    expected: /unjustified/,
  },
  "a missing recovered: false": {
    seed: change(
      "answered",
      (entry) => [{ ...entry, recovered: true }],
      ({ recovered, after, position }) => recovered === false && after?.epoch === position.epoch,
    ),
    expected: /ends at|lacks a recovered: false/,
  },
  "a response that lacks a message": {
    seed: change(
      "answered",
      (entry) => [{ ...entry, messages: entry.messages.slice(1) }],
      ({ messages }) => messages.length > 1,
    ),
    expected: /has \S+ after/,
  },
  "an accepted message that is not stored": {
    seed: (log) => {
      const last = log.findLast((entry) => entry.kind === "accepted") as Of<"accepted">;
      const { position, tenant, channel, t } = last;
      const target = { tenant, channel };
      const uid = "vanished";
      const asked: LogEntry = { t, kind: "asked", uid, by: "x", ...target };
      const next = { ...position, offset: position.offset + 1 };
      return log.toSpliced(-1, 0, asked, { t, kind: "accepted", uid, position: next, ...target });
    },
    expected: /last messages are missing/,
  },
  "a message that is stored twice": {
    seed: (log, where) => {
      const accepted = log.filter((entry) => entry.kind === "accepted") as Of<"accepted">[];
      const one = accepted[where % accepted.length]!;
      const { epoch, offset } = one.position;
      return log.toSpliced(-1, 0, { ...one, t: log.at(-1)!.t, position: { epoch, offset: offset + 1_000 } });
    },
    expected: /stored twice/,
  },
  "two messages at one position": {
    seed: change("accepted", (entry) => {
      const { t, tenant, channel } = entry;
      return [
        entry,
        { t, kind: "asked", uid: "other", by: "x", tenant, channel },
        { ...entry, uid: "other" },
      ];
    }),
    expected: /has both/,
  },
  "a message that was refused": {
    seed: change("delivered", (entry) => [
      entry,
      { t: entry.t, kind: "refused", uid: entry.uid, code: "INTERNAL_ERROR", mayBeStored: false },
    ]),
    expected: /was refused and published/,
  },
  "a publication without a response": {
    seed: change("accepted", () => []),
    expected: /never answered/,
  },
  "an epoch that begins without a loss": {
    seed: inDurable(
      change("accepted", (entry) => {
        const { position } = entry;
        return [{ ...entry, position: { ...position, epoch: `${position.epoch}-other` } }];
      }),
    ),
    expected: /started epoch/,
  },
  "a user in presence who has left": {
    seed: (log) => {
      const at = log.findIndex(({ kind }) => kind === "present");
      const { tenant, channel, t } = log[at] as Of<"present">;
      const joins = log.filter((entry) => entry.kind === "joins") as JoinOrLeave[];
      const left = joins.find((entry) => entry.tenant === tenant && entry.channel === channel)!;
      return log.toSpliced(at, 0, { ...left, t, kind: "leaves" });
    },
    expected: /who have left/,
  },
  "a member that presence does not show": {
    seed: change("present", (entry) => [{ ...entry, users: entry.users.slice(1) }]),
    expected: /does not see/,
  },
  "a stream without a request": {
    seed: change("stream_started", (entry) => [{ ...entry, user: "bob" }]),
    expected: /without a request for it/,
  },
  "an end of a stream without a request": {
    seed: change("held", (entry) => {
      const { t, client, user, tenant, channel } = entry;
      const stream = { t, client, user, tenant, channel, at: t };
      const ended: LogEntry = { kind: "stream_ended", ...stream, reason: "ended" };
      return [entry, ended, { ...ended, at: t + 1 }, { ...ended, at: t + 2 }];
    }),
    expected: /without a request for it|more often than/,
  },
  "a stream that ends while its owner is connected": {
    seed: change("held", (entry) => {
      const { t, client, user, tenant, channel } = entry;
      return [entry, { kind: "stream_ended", t, client, user, tenant, channel, at: t, reason: "owner_left" }];
    }),
    expected: /its owner was connected then/,
  },
  "a stream that ends before its grace period": {
    seed: change(
      "stream_ended",
      // A reference log ends a stream 0 to 300 ms after its grace period, so this is 50 to 350 ms after its owner left.
      (entry) => [{ ...entry, at: entry.at - GRACE_MS + 50 }],
      ({ reason }) => reason === "owner_left",
    ),
    expected: /its owner was connected \d+ ms before/,
  },
  "a stream that continues without its owner": {
    seed: (log) => {
      const at = log.findIndex(({ kind }) => kind === "live");
      const { client, tenant, channel, t } = log[at] as Of<"live">;
      return log.toSpliced(at, 0, { kind: "away", t: t - 10_000, client, user: "ada", tenant, channel });
    },
    expected: /sees the ended stream of/,
  },
  "a stream that a client does not see": {
    seed: change("live", ({ user: _, since: __, ...entry }) => [entry]),
    expected: /instead of ada|sees nobody/,
  },
  "a stream with another start time": {
    seed: change("live", (entry) => [{ ...entry, since: 1 }]),
    expected: /, and .* sees ada, since/,
  },
  "streams that no client observes": {
    seed: (log) => log.filter(({ kind }) => kind !== "live"),
    expected: /No client observed the live stream/,
  },
  "a connection that is lost without a fault": {
    seed: (log) => log.toSpliced(-1, 0, { t: log.at(-1)!.t, kind: "reconnecting", client: "a-ada" }),
    expected: /lost its connection/,
  },
  "a server that ends by itself": {
    seed: change("started", (entry) => [entry, { t: entry.t, kind: "crashed" }]),
    expected: /ended by itself/,
  },
  "a subscription that ends": {
    seed: change("delivered", ({ t, client, subscriber, tenant, channel }) => [
      { t, kind: "failed", client, subscriber, tenant, channel, code: "INTERNAL_ERROR" },
    ]),
    expected: /ended with INTERNAL_ERROR/,
  },
};
