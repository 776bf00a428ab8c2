// The log of a run. The checker reads nothing else.
import type { Position } from "../../src/protocol/index.ts";

/** Rules of a namespace's channels. */
export interface NamespaceRules {
  /** Length of the history, in messages. */
  readonly size: number;
  /** Age limit of the history, in ms. */
  readonly ageMs: number;
  readonly presence: boolean;
  /** Time that a live stream outlives its owner's last connection, in ms. Absent without live streams. */
  readonly graceMs?: number;
}

/** One channel of one tenant. */
export interface TenantChannel {
  readonly tenant: string;
  readonly channel: string;
}

/** One subscription of one client. Each subscription has a name of its own. */
export interface ClientSubscription extends TenantChannel {
  readonly client: string;
  readonly subscriber: string;
}

/** A message that a client received. `uid` names the publication: the publisher puts it into the data. */
export interface SeenMessage {
  readonly uid: string;
  /** Tenant and channel of the publication, which the publisher puts into the data. */
  readonly origin: TenantChannel;
  readonly position: Position;
  /** The server's timestamp, in ms since the epoch. */
  readonly at: number;
}

export type LogEvent =
  | {
      readonly kind: "run";
      readonly seed: number;
      readonly store: string;
      /** Whether stored messages outlive the server process. */
      readonly durable: boolean;
      readonly namespaces: { readonly [name: string]: NamespaceRules };
      readonly users: { readonly [tenant: string]: readonly string[] };
    }
  | { readonly kind: "started" }
  /** The server process ended without being killed. */
  | { readonly kind: "crashed" }
  | { readonly kind: "fault"; readonly fault: string }
  /** Messages that an ended process stored and did not deliver were fanned out by another one. */
  | { readonly kind: "resumed"; readonly count: number }
  | { readonly kind: "calm" }
  | { readonly kind: "connected" | "reconnecting" | "rotated"; readonly client: string }
  // Publications.
  | ({ readonly kind: "asked"; readonly uid: string; readonly by: string } & TenantChannel)
  | ({
      readonly kind: "accepted";
      readonly uid: string;
      readonly position: Position;
      /** Whether the publication is larger than a frame. */
      readonly chunked?: boolean;
    } & TenantChannel)
  /** `mayBeStored`: the error leaves the outcome open. */
  | { readonly kind: "refused"; readonly uid: string; readonly code: string; readonly mayBeStored: boolean }
  // On the wire.
  | ({ readonly kind: "received"; readonly client: string } & TenantChannel & SeenMessage)
  /** A response to `subscribe`, or to `history` after a position. */
  | ({
      readonly kind: "answered";
      readonly client: string;
      readonly action: "subscribe" | "history";
      /** Time of the request. */
      readonly asked: number;
      readonly after?: Position | undefined;
      readonly position: Position;
      readonly recovered?: boolean | undefined;
      readonly more: boolean;
      readonly messages: readonly SeenMessage[];
    } & TenantChannel)
  // Calls of the application's handlers.
  | ({ readonly kind: "subscribed" | "unsubscribed" } & ClientSubscription)
  | ({ readonly kind: "delivered" } & ClientSubscription & SeenMessage)
  | ({ readonly kind: "lost"; readonly position: Position } & ClientSubscription)
  | ({ readonly kind: "failed"; readonly code: string } & ClientSubscription)
  | ({
      readonly kind: "presence";
      readonly client: string;
      readonly event: string;
      readonly user: string;
    } & TenantChannel)
  // Membership: actual members, and the lists that clients see at the end.
  | ({ readonly kind: "joins" | "leaves"; readonly client: string; readonly user: string } & TenantChannel)
  | ({
      readonly kind: "present";
      readonly client: string;
      /** From a request, or from the client's live list. */
      readonly source: "asked" | "live";
      readonly users: readonly string[];
    } & TenantChannel)
  // Live streams: actions of the owner, events for the members, and the state that clients see at the end.
  | ({
      readonly kind: "streams";
      readonly client: string;
      readonly user: string;
      readonly act: "start" | "end";
      readonly outcome: "asked" | "done" | "failed";
    } & TenantChannel)
  /** A connection of the user held the stream during this time, in ms since the epoch. */
  | ({
      readonly kind: "held";
      readonly client: string;
      readonly user: string;
      readonly from: number;
      readonly until: number;
    } & TenantChannel)
  | ({ readonly kind: "away"; readonly client: string; readonly user: string } & TenantChannel)
  /** `kept`: the stream goes on. */
  | ({
      readonly kind: "back";
      readonly client: string;
      readonly user: string;
      readonly kept: boolean;
    } & TenantChannel)
  | ({
      readonly kind: "stream_started";
      readonly client: string;
      readonly user: string;
      readonly since: number;
      readonly at: number;
    } & TenantChannel)
  | ({
      readonly kind: "stream_ended";
      readonly client: string;
      readonly user: string;
      readonly reason: "ended" | "owner_left";
      readonly at: number;
    } & TenantChannel)
  | ({
      readonly kind: "live";
      readonly client: string;
      readonly source: "asked" | "live";
      /** Absent when nobody streams. */
      readonly user?: string | undefined;
      readonly since?: number | undefined;
    } & TenantChannel)
  | { readonly kind: "end" };

export type LogEntry = LogEvent & {
  /** Time of the entry, in ms since the epoch. */
  readonly t: number;
};
