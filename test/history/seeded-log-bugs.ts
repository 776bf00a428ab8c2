// Bugs, put into logs of runs without any.

import type { Entry, Fact } from "./log.ts";
import { GRACE_MS } from "./reference-log.ts";

type Of<Kind extends Fact["kind"]> = Extract<Entry, { readonly kind: Kind }>;

interface Plant {
  /** @returns `undefined`: the log has no place for it */
  plant(log: readonly Entry[], where: number): readonly Entry[] | undefined;
  /** What the judge says. */
  readonly found: RegExp;
}

type JoinOrLeave = Extract<Entry, { readonly kind: "joins" | "leaves" }>;

/** Changes one entry of a kind into others. */
function change<Kind extends Fact["kind"]>(
  kind: Kind,
  into: (entry: Of<Kind>) => readonly Entry[],
  suits: (entry: Of<Kind>) => boolean = () => true,
): Plant["plant"] {
  return (log, where) => {
    const places = log.flatMap((entry, at) => (entry.kind === kind && suits(entry as Of<Kind>) ? [at] : []));
    const at = places[where % places.length];
    return at === undefined ? undefined : log.toSpliced(at, 1, ...into(log[at] as Of<Kind>));
  };
}

/** Where a restart loses everything, what came next may have been lost with it, and told. */
function inDurable(plant: Plant["plant"]): Plant["plant"] {
  return (log, where) => (log[0]?.kind === "run" && log[0].durable ? plant(log, where) : undefined);
}

/** Nothing in it is ever past its history. */
function inRoom({ channel }: { readonly channel: string }): boolean {
  return channel.startsWith("room:");
}

export const PLANTS: { readonly [bug: string]: Plant } = {
  "a message that is handed on to nobody": {
    plant: inDurable(change("handed", () => [], inRoom)),
    found: /missing/,
  },
  "one that is handed on twice": {
    plant: change("handed", (entry) => [entry, entry]),
    found: /twice/,
  },
  "two that are swapped": {
    plant: (log, where) => {
      const handed = log.flatMap((entry, at) => (entry.kind === "handed" ? [at] : []));
      const first = handed[where % handed.length]!;
      const one = log[first] as Of<"handed">;
      const second = handed.find(
        (at) => at > first && (log[at] as Of<"handed">).subscriber === one.subscriber,
      );
      return second === undefined ? undefined : log.with(first, log[second]!).with(second, one);
    },
    found: /missing or out of order/,
  },
  "another tenant's message": {
    plant: change("received", (entry) => [
      { ...entry, tenant: entry.tenant === "a" ? "b" : "a", client: "stranger" },
    ]),
    found: /stranger has seen .* of ./,
  },
  "another tenant's user": {
    plant: change("present", (entry) => [{ ...entry, users: [...entry.users, "stranger"] }]),
    found: /another tenant's/,
  },
  "a recovered: false where history covered it": {
    plant: change(
      "answered",
      (entry) => [{ ...entry, recovered: false, messages: [] }],
      ({ recovered }) => recovered === true,
    ),
    found: /unjustified recovered: false/,
  },
  "a recovered: false after which nothing came": {
    plant: change(
      "answered",
      (entry) => [{ ...entry, after: entry.position, recovered: false, messages: [] }],
      ({ after }) => after !== undefined,
    ),
    found: /unjustified recovered: false/,
  },
  "a loss that is told without one": {
    plant: change("handed", ({ uid: _, origin: __, at: ___, ...entry }) => [{ ...entry, kind: "lost" }]),
    found: /unjustified/,
  },
  "a missing recovered: false": {
    plant: change(
      "answered",
      (entry) => [{ ...entry, recovered: true }],
      ({ recovered, after, position }) => recovered === false && after?.epoch === position.epoch,
    ),
    found: /ends at|lacks a recovered: false/,
  },
  "an answer that leaves out a message": {
    plant: change(
      "answered",
      (entry) => [{ ...entry, messages: entry.messages.slice(1) }],
      ({ messages }) => messages.length > 1,
    ),
    found: /behind/,
  },
  "an accepted message that is not there": {
    plant: (log) => {
      const last = log.findLast((entry) => entry.kind === "accepted") as Of<"accepted">;
      const { position, tenant, channel, t } = last;
      const place = { tenant, channel };
      const uid = "vanished";
      const asked: Entry = { t, kind: "asked", uid, by: "x", ...place };
      const next = { ...position, offset: position.offset + 1 };
      return log.toSpliced(-1, 0, asked, { t, kind: "accepted", uid, position: next, ...place });
    },
    found: /tail is missing/,
  },
  "a message that is stored twice": {
    plant: (log, where) => {
      const accepted = log.filter((entry) => entry.kind === "accepted") as Of<"accepted">[];
      const one = accepted[where % accepted.length]!;
      const { epoch, offset } = one.position;
      return log.toSpliced(-1, 0, { ...one, t: log.at(-1)!.t, position: { epoch, offset: offset + 1_000 } });
    },
    found: /stored twice/,
  },
  "two messages at one position": {
    plant: change("accepted", (entry) => {
      const { t, tenant, channel } = entry;
      return [
        entry,
        { t, kind: "asked", uid: "other", by: "x", tenant, channel },
        { ...entry, uid: "other" },
      ];
    }),
    found: /has both/,
  },
  "a message that was refused": {
    plant: change("handed", (entry) => [
      entry,
      { t: entry.t, kind: "refused", uid: entry.uid, code: "INTERNAL_ERROR", mayBeStored: false },
    ]),
    found: /was refused, and published/,
  },
  "a publication without an answer": {
    plant: change("accepted", () => []),
    found: /never answered/,
  },
  "an epoch that begins without a loss": {
    plant: inDurable(
      change("accepted", (entry) => {
        const { position } = entry;
        return [{ ...entry, position: { ...position, epoch: `${position.epoch}-other` } }];
      }),
    ),
    found: /has begun epoch/,
  },
  "a ghost in presence": {
    plant: (log) => {
      const at = log.findIndex(({ kind }) => kind === "present");
      const { tenant, channel, t } = log[at] as Of<"present">;
      const joins = log.filter((entry) => entry.kind === "joins") as JoinOrLeave[];
      const left = joins.find((entry) => entry.tenant === tenant && entry.channel === channel)!;
      return log.toSpliced(at, 0, { ...left, t, kind: "leaves" });
    },
    found: /who have left/,
  },
  "somebody whom presence does not show": {
    plant: change("present", (entry) => [{ ...entry, users: entry.users.slice(1) }]),
    found: /does not see/,
  },
  "a stream that nobody has asked for": {
    plant: change("stream_started", (entry) => [{ ...entry, user: "bob" }]),
    found: /who has not asked for it/,
  },
  "an end that nobody has asked for": {
    plant: change("held", (entry) => {
      const { t, client, user, tenant, channel } = entry;
      const told = { t, client, user, tenant, channel, at: t };
      const ended: Entry = { kind: "stream_ended", ...told, reason: "ended" };
      return [entry, ended, { ...ended, at: t + 1 }, { ...ended, at: t + 2 }];
    }),
    found: /which nobody has asked for|once more than/,
  },
  "a stream that ends while its owner is there": {
    plant: change("held", (entry) => {
      const { t, client, user, tenant, channel } = entry;
      return [entry, { kind: "stream_ended", t, client, user, tenant, channel, at: t, reason: "owner_left" }];
    }),
    found: /its owner was there then/,
  },
  "one that ends before its grace time is over": {
    plant: change(
      "stream_ended",
      // A reference log ends a stream 0 to 300 ms after its grace time, so this is 50 to 350 ms after its owner left.
      (entry) => [{ ...entry, at: entry.at - GRACE_MS + 50 }],
      ({ reason }) => reason === "owner_left",
    ),
    found: /its owner was there \d+ ms before/,
  },
  "a stream that goes on without its owner": {
    plant: (log) => {
      const at = log.findIndex(({ kind }) => kind === "live");
      const { client, tenant, channel, t } = log[at] as Of<"live">;
      return log.toSpliced(at, 0, { kind: "away", t: t - 10_000, client, user: "ada", tenant, channel });
    },
    found: /who has ended/,
  },
  "a stream that somebody does not see": {
    plant: change("live", ({ user: _, since: __, ...entry }) => [entry]),
    found: /and ada does|sees nobody/,
  },
  "one that is seen as another": {
    plant: change("live", (entry) => [{ ...entry, since: 1 }]),
    found: /, and .* sees ada, since/,
  },
  "streams of which nobody says who is there": {
    plant: (log) => log.filter(({ kind }) => kind !== "live"),
    found: /Nobody has said who streams/,
  },
  "a connection that is lost without a fault": {
    plant: (log) => log.toSpliced(-1, 0, { t: log.at(-1)!.t, kind: "reconnecting", client: "a-ada" }),
    found: /has lost its connection/,
  },
  "a server that ends by itself": {
    plant: change("started", (entry) => [entry, { t: entry.t, kind: "crashed" }]),
    found: /ended by itself/,
  },
  "a subscription that ends": {
    plant: change("handed", ({ t, client, subscriber, tenant, channel }) => [
      { t, kind: "failed", client, subscriber, tenant, channel, code: "INTERNAL_ERROR" },
    ]),
    found: /has ended with INTERNAL_ERROR/,
  },
};
