import type { StandardSchemaV1 } from "@standard-schema/spec";
import { LiftError } from "../lift/index.ts";
import { type Rate, RateCounter } from "../lift/middleware/rate-limit/index.ts";
import { type ChannelName, LIMITS, parseChannelName } from "../protocol/index.ts";
import type { Retention } from "../store/index.ts";
import {
  type Check,
  checkOptions,
  FLAG,
  FUNCTION,
  integer,
  invalid,
  isRecord,
  RECORD,
} from "./check-options.ts";
import { channelKey, channelOf } from "./keys.ts";

/** Who asks, as the server has established it on `$connect`. */
export interface Identity {
  /** Absent: anonymous. */
  readonly userId?: string;
  /** Absent: a scope of its own. */
  readonly tenantId?: string;
  readonly roles: readonly string[];
  readonly permissions: readonly string[];
}

/** Whether somebody may. Only `true` lets them; what it throws refuses, a `LiftError` with its code. */
export type Rule = (identity: Identity, channel: ChannelName) => boolean | Promise<boolean>;

/** What holds for all channels of a namespace. `Data` and `State` are its schemas. */
export interface NamespaceOptions<Data = unknown, State = unknown> {
  /** Default `at-least-once`: every message has a position, and what somebody missed can be had again. */
  readonly delivery?: "at-most-once" | "at-least-once";
  /** How far back. Default 100 messages and 300,000 ms; minimum of both 0. At-least-once only. */
  readonly history?: Partial<Retention>;
  /** Whether members see who is there. Default false. */
  readonly presence?: boolean;
  /**
   * Who may subscribe, and read history and presence. Default: nobody. Of the namespaces `user` and `tenant`: the user,
   * and the tenant's members, whom a rule can only narrow.
   */
  readonly subscribe?: Rule;
  /** Which clients may publish. Default: none; the server always may. */
  readonly publish?: Rule;
  /**
   * Whether a user can be live there: `stream_start`, for whom `publish` lets. `graceMs`: how long a stream outlives its
   * owner's last connection; default 30,000, minimum 0. Default false. Takes a `schedule`.
   */
  readonly live?: boolean | { readonly graceMs?: number };
  /** The largest `data`, in bytes of JSON. Default 16,384; 1 to 98,304. */
  readonly maxBytes?: number;
  /** The largest blob that somebody may `upload` who may publish, in bytes. Default 0: none. Takes `blobs`. */
  readonly maxBlobBytes?: number;
  /**
   * How often one publisher, a user or an anonymous connection, may `publish` to one of the channels: `limit` times in
   * `windowMs`, counted in this process, or as a `limiter` says, for all processes. `set_presence`, `stream_start`,
   * `upload` and a first `subscribe` with a state are counted likewise, each for itself. Default: any number; the
   * server's own are never counted.
   */
  readonly rate?: Rate;
  /** Any Standard Schema, of `data`, whoever publishes it: what it makes of it is stored. Default: any JSON. */
  readonly schema?: Data & StandardSchemaV1;
  /** As `schema`, of what users show of themselves. With `presence` only. */
  readonly stateSchema?: State & StandardSchemaV1;
}

/** By namespace. */
export type ChannelsOptions<Data, State> = {
  readonly [Name in keyof Data]: NamespaceOptions<Data[Name]>;
} & {
  readonly [Name in keyof State]: NamespaceOptions<unknown, State[Name]>;
};

/** A namespace's options, read. */
export interface Namespace {
  /** At-least-once only. */
  readonly bounds: Retention | undefined;
  readonly presence: boolean;
  readonly live: { readonly graceMs: number } | undefined;
  /** All of them must let; none: nobody may. */
  readonly subscribe: readonly Rule[];
  /** Likewise, for clients. */
  readonly publish: readonly Rule[];
  readonly maxBytes: number;
  readonly maxBlobBytes: number;
  readonly rate: RateCounter | undefined;
  readonly schema: StandardSchemaV1 | undefined;
  readonly stateSchema: StandardSchemaV1 | undefined;
}

/** What there is to tell of a namespace. */
export type NamespaceDescription = Omit<Namespace, "rate">;

/** One channel of one tenant. */
export interface Channel {
  /** `namespace:name` */
  readonly text: string;
  readonly name: ChannelName;
  /** Its name in the stores. */
  readonly key: string;
  readonly namespace: Namespace;
}

/** What is left of a frame is room for the rest of a message. */
const MAX_DATA_BYTES = LIMITS.frameBytes - 32_768;

const SCHEMA: Check = {
  // A function may be one too.
  test: (value) =>
    Object(value) === value && isRecord((value as { readonly "~standard"?: unknown })["~standard"]),
  takes: "a Standard Schema",
};

const CHECKS: { readonly [Name in keyof Required<NamespaceOptions>]: Check } = {
  delivery: {
    test: (value) => value === "at-most-once" || value === "at-least-once",
    takes: "at-most-once or at-least-once",
  },
  history: RECORD,
  presence: FLAG,
  live: { test: (value) => typeof value === "boolean" || isRecord(value), takes: "true, false or an object" },
  subscribe: FUNCTION,
  publish: FUNCTION,
  maxBytes: integer(1, MAX_DATA_BYTES),
  maxBlobBytes: integer(0),
  rate: RECORD,
  schema: SCHEMA,
  stateSchema: SCHEMA,
};

const HISTORY_CHECKS: { readonly [Name in keyof Retention]: Check } = {
  size: integer(0),
  ageMs: integer(0),
};

/** How long a stream outlives its owner's last connection. */
const GRACE_MS = 30_000;

const LIVE_CHECKS = { graceMs: integer(0) };

/** Whose a namespace is, whatever a rule says. */
const OWN_RULES: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ["user", ({ userId }, { name }) => userId === name],
  ["tenant", ({ tenantId }, { name }) => tenantId === name],
]);

/** The channels there can be, and who may what in them. */
export class Channels {
  readonly namespaces: ReadonlyMap<string, Namespace>;

  /** @throws {LiftError} INVALID_OPTION */
  constructor(options: { readonly [namespace: string]: NamespaceOptions }, now: () => number) {
    const isNamespace = (name: string) => parseChannelName(`${name}:x`)?.namespace === name;
    const names = Object.keys(options);
    const wrong = names.find((name) => !isNamespace(name));
    if (names.length === 0 || wrong !== undefined) {
      const message = wrong === undefined ? "channels names no namespace" : `${wrong} is no namespace`;
      throw new LiftError("INVALID_OPTION", { message });
    }
    this.namespaces = new Map(
      names.map((name) => [name, readNamespace(name, options[name] as NamespaceOptions, now)]),
    );
  }

  /** @throws {LiftError} VALIDATION_ERROR, NOT_FOUND */
  find(text: string, tenantId: string | undefined): Channel {
    const name = parseChannelName(text);
    if (name === undefined) throw new LiftError("VALIDATION_ERROR", { message: "That is no channel's name" });
    const namespace = this.namespaces.get(name.namespace);
    if (namespace === undefined) throw new LiftError("NOT_FOUND", { message: "There is no such namespace" });
    return { text, name, key: channelKey(tenantId, text), namespace };
  }

  get canBeLive(): boolean {
    return [...this.namespaces.values()].some(({ live }) => live !== undefined);
  }

  get haveBlobs(): boolean {
    return [...this.namespaces.values()].some(({ maxBlobBytes }) => maxBlobBytes > 0);
  }

  /** That of a channel's key. `undefined`: it is configured no more. */
  namespaceOf(key: string): Namespace | undefined {
    return this.namespaces.get(parseChannelName(channelOf(key))?.namespace ?? "");
  }
}

/** @throws {LiftError} FORBIDDEN, whose message names the rule; or the error that a rule throws */
export async function assertMay(
  right: "subscribe" | "publish",
  identity: Identity,
  { name, namespace }: Channel,
): Promise<void> {
  const rules = namespace[right];
  const option = `channels.${name.namespace}.${right}`;
  if (rules.length === 0) {
    const message = `No rule lets clients ${right}: set \`${option}\``;
    throw new LiftError("FORBIDDEN", { message });
  }
  for (const rule of rules) {
    if ((await rule(identity, name)) === true) continue;
    throw new LiftError("FORBIDDEN", { message: refusal(rule, name.namespace, option) });
  }
}

function refusal(rule: Rule, namespace: string, option: string): string {
  if (rule !== OWN_RULES.get(namespace)) return `The rule \`${option}\` does not allow it`;
  return namespace === "user"
    ? "Only the channel's user may do this"
    : "Only the tenant's members may do this";
}

/** @throws {LiftError} NOT_FOUND: the namespace is at-most-once */
export function boundsOf({ namespace }: Channel): Retention {
  if (namespace.bounds !== undefined) return namespace.bounds;
  throw new LiftError("NOT_FOUND", { message: "The namespace keeps no history" });
}

/** @throws {LiftError} NOT_FOUND */
export function assertPresence({ namespace }: Channel): void {
  if (!namespace.presence) throw new LiftError("NOT_FOUND", { message: "The namespace has no presence" });
}

/** @throws {LiftError} NOT_FOUND */
export function assertLive({ namespace }: Channel): void {
  if (namespace.live === undefined)
    throw new LiftError("NOT_FOUND", { message: "The namespace has no streams" });
}

function readNamespace(name: string, options: NamespaceOptions, now: () => number): Namespace {
  const where = `channels.${name}.`;
  checkOptions(options, CHECKS, where);
  const { delivery = "at-least-once", history, presence = false, live = false, maxBytes = 16_384 } = options;
  const { schema, stateSchema } = options;
  if (history !== undefined && delivery === "at-most-once") {
    throw new LiftError("INVALID_OPTION", { message: `${where}history: at-most-once keeps none` });
  }
  if (stateSchema !== undefined && !presence) {
    throw new LiftError("INVALID_OPTION", {
      message: `${where}stateSchema: nobody shows anything without presence`,
    });
  }
  if (isRecord(history)) checkOptions(history, HISTORY_CHECKS, `${where}history.`);
  if (isRecord(live)) checkOptions(live, LIVE_CHECKS, `${where}live.`);
  return {
    bounds:
      delivery === "at-most-once"
        ? undefined
        : { size: history?.size ?? 100, ageMs: history?.ageMs ?? 5 * 60_000 },
    presence,
    live: live === false ? undefined : { graceMs: live === true ? GRACE_MS : (live.graceMs ?? GRACE_MS) },
    subscribe: [...listed(OWN_RULES.get(name)), ...listed(options.subscribe)],
    publish: listed(options.publish),
    maxBytes,
    maxBlobBytes: options.maxBlobBytes ?? 0,
    rate: options.rate && readRate(`${where}rate`, options.rate, now),
    schema,
    stateSchema,
  };
}

function readRate(where: string, rate: Rate, now: () => number): RateCounter {
  try {
    return new RateCounter("streamer", rate, "open", now);
  } catch (thrown) {
    throw invalid(`${where}: ${(thrown as Error).message}`);
  }
}

function listed(rule: Rule | undefined): Rule[] {
  return rule === undefined ? [] : [rule];
}
