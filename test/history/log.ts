// What a run of the checker writes down, and all that its judge knows of it.
import type { Position } from "../../src/protocol/index.ts";

/** What holds for a namespace's channels. */
export interface NamespaceRules {
  /** Messages. */
  readonly size: number;
  /** ms. */
  readonly ageMs: number;
  readonly presence: boolean;
  /** How long a stream outlives its owner's last connection, in ms; absent: there are no streams. */
  readonly graceMs?: number;
}

/** One channel of one tenant. */
export interface Place {
  readonly tenant: string;
  readonly channel: string;
}

/** One subscription of one client: another one of the same client has another name. */
export interface Listening extends Place {
  readonly client: string;
  readonly subscriber: string;
}

/** A message, as a client was sent it. `uid` is the publication's name, which the publisher put into the data. */
export interface Sighting {
  readonly uid: string;
  /** Who published it says in the data for which tenant and channel. */
  readonly origin: Place;
  readonly position: Position;
  /** As the server says: ms since the epoch. */
  readonly at: number;
}

export type Fact =
  | {
      readonly kind: "run";
      readonly seed: number;
      readonly store: string;
      /** What was stored outlives the server's process. */
      readonly durable: boolean;
      readonly namespaces: { readonly [name: string]: NamespaceRules };
      readonly users: { readonly [tenant: string]: readonly string[] };
    }
  | { readonly kind: "started" }
  /** The server's process has ended, and nobody has killed it. */
  | { readonly kind: "crashed" }
  | { readonly kind: "fault"; readonly fault: string }
  /** Messages that a process had stored and left were sent to their channels by another one. */
  | { readonly kind: "finished"; readonly count: number }
  | { readonly kind: "calm" }
  | { readonly kind: "connected" | "reconnecting" | "rotated"; readonly client: string }
  // Publications.
  | ({ readonly kind: "asked"; readonly uid: string; readonly by: string } & Place)
  | ({
      readonly kind: "accepted";
      readonly uid: string;
      readonly position: Position;
      /** It is larger than a frame. */
      readonly inParts?: boolean;
    } & Place)
  /** `mayBeStored`: the answer leaves it open. */
  | { readonly kind: "refused"; readonly uid: string; readonly code: string; readonly mayBeStored: boolean }
  // On the wire.
  | ({ readonly kind: "received"; readonly client: string } & Place & Sighting)
  /** Of `subscribe`, and of `history` after a position. */
  | ({
      readonly kind: "answered";
      readonly client: string;
      readonly action: "subscribe" | "history";
      /** When it was asked. */
      readonly asked: number;
      readonly after?: Position | undefined;
      readonly position: Position;
      readonly recovered?: boolean | undefined;
      readonly more: boolean;
      readonly messages: readonly Sighting[];
    } & Place)
  // What the application is handed.
  | ({ readonly kind: "subscribed" | "unsubscribed" } & Listening)
  | ({ readonly kind: "handed" } & Listening & Sighting)
  | ({ readonly kind: "lost"; readonly position: Position } & Listening)
  | ({ readonly kind: "failed"; readonly code: string } & Listening)
  | ({
      readonly kind: "presence";
      readonly client: string;
      readonly event: string;
      readonly user: string;
    } & Place)
  // Who is in a channel: meant to be, and said to be at the end.
  | ({ readonly kind: "joins" | "leaves"; readonly client: string; readonly user: string } & Place)
  | ({
      readonly kind: "present";
      readonly client: string;
      /** Asked for, or the client's live list. */
      readonly source: "asked" | "live";
      readonly users: readonly string[];
    } & Place)
  // Who streams: what its owner does, what the members are told, and what is said at the end.
  | ({
      readonly kind: "streams";
      readonly client: string;
      readonly user: string;
      readonly act: "start" | "end";
      readonly outcome: "asked" | "done" | "failed";
    } & Place)
  /** A connection of the user's held the stream all the time, in ms since the epoch. */
  | ({
      readonly kind: "held";
      readonly client: string;
      readonly user: string;
      readonly from: number;
      readonly until: number;
    } & Place)
  | ({ readonly kind: "away"; readonly client: string; readonly user: string } & Place)
  /** `kept`: it still streams. */
  | ({
      readonly kind: "back";
      readonly client: string;
      readonly user: string;
      readonly kept: boolean;
    } & Place)
  | ({
      readonly kind: "stream_started";
      readonly client: string;
      readonly user: string;
      readonly since: number;
      readonly at: number;
    } & Place)
  | ({
      readonly kind: "stream_ended";
      readonly client: string;
      readonly user: string;
      readonly reason: "ended" | "owner_left";
      readonly at: number;
    } & Place)
  | ({
      readonly kind: "live";
      readonly client: string;
      readonly source: "asked" | "live";
      /** Absent: nobody. */
      readonly user?: string | undefined;
      readonly since?: number | undefined;
    } & Place)
  | { readonly kind: "end" };

export type Entry = Fact & {
  /** When it was written, in ms since the epoch. */
  readonly t: number;
};
