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

/** The output that a request's handler must write; a digest of its result. */
export interface ExpectedRequest {
  readonly output: string;
  readonly end: RequestEnd;
}

/** The end of a request: a digest of its result, or the code of its error. */
export type RequestEnd = { readonly result: string } | { readonly code: string };

/** A call that the store of requests carried out. Times in ms since the epoch. */
export interface StoredFact {
  /** Tenant, user and id. */
  readonly request: string;
  readonly call: "claim" | "renew" | "saveCheckpoint" | "append" | "finish" | "cancel";
  /** When the call began. */
  readonly from: number;
  /** When it had been carried out. */
  readonly until: number;
  /** The worker's. */
  readonly token?: string | undefined;
  /** The state after `finish` and `cancel`. */
  readonly state?: string | undefined;
  readonly attempt?: number | undefined;
  /** The stage of a checkpoint: saved, or the last one for a claim. */
  readonly stage?: number | undefined;
  /** The end of the output: appended, or the last one for a claim. */
  readonly offset?: number | undefined;
  readonly chunks?: number | undefined;
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
  // Long requests. `request` has the tenant, the user and the id.
  | { readonly kind: "request_made"; readonly request: string; readonly expected: ExpectedRequest }
  | { readonly kind: "request_cancelled"; readonly request: string }
  /** A client received the acknowledgment. */
  | { readonly kind: "request_accepted"; readonly client: string; readonly request: string }
  /** A client received a message with output. */
  | {
      readonly kind: "request_output";
      readonly client: string;
      readonly request: string;
      readonly offset: number;
    }
  /** A client received the end, with the offset of the last output. */
  | {
      readonly kind: "request_end";
      readonly client: string;
      readonly request: string;
      readonly type: "complete" | "error";
      readonly output: number;
    }
  | ({ readonly kind: "request_stored" } & StoredFact)
  // Jobs of the client. Each has a name of its own.
  | {
      readonly kind: "job_started";
      readonly client: string;
      readonly job: string;
      readonly request: string;
      /** Whether it only watches. */
      readonly attached: boolean;
    }
  /** The client does not watch any more. */
  | { readonly kind: "job_left"; readonly job: string }
  | { readonly kind: "job_output"; readonly job: string; readonly text: string }
  /** `bytes` of the result, as JSON. */
  | { readonly kind: "job_ended"; readonly job: string; readonly bytes?: number; readonly end: RequestEnd }
  /** A client asked for a request, at the end of the run. */
  | {
      readonly kind: "request_read";
      readonly client: string;
      readonly request: string;
      /** Whether the request is the client's. */
      readonly owned: boolean;
      /** Absent when the request was refused with `code`. */
      readonly state?: string | undefined;
      readonly code?: string | undefined;
    }
  | { readonly kind: "end" };

export type LogEntry = LogEvent & {
  /** Time of the entry, in ms since the epoch. */
  readonly t: number;
};
