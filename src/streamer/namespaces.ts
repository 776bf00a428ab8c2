import type { StandardSchemaV1 } from "@standard-schema/spec";
import {
  anyFunction,
  boolean,
  integer,
  isRecord,
  type OptionChecks,
  record,
  standardSchema,
} from "../internal/options.ts";
import { type Rate, RateCounter } from "../lift/middleware/rate-limit/index.ts";
import { LIMITS, parseChannelName } from "../protocol/index.ts";
import type { Retention } from "../store/index.ts";
import { RESERVED_RULES, type Rule } from "./access.ts";
import { REQUEST_NAMESPACE } from "./channel-keys.ts";
import { assertOptions, invalidOption } from "./errors.ts";

/** Options of a namespace; they hold for all of its channels. `Data` and `State` are the types of its schemas. */
export interface NamespaceOptions<Data = unknown, State = unknown> {
  /**
   * Delivery guarantee. `at-least-once` stores messages and gives each one a position, so that clients recover missed
   * messages. `at-most-once` only sends them. Default `at-least-once`.
   */
  readonly delivery?: "at-most-once" | "at-least-once";
  /**
   * Stored messages per channel: `size` in messages (default 100, minimum 0) and `ageMs` in ms (default 300,000,
   * minimum 0). Requires `delivery: "at-least-once"`.
   */
  readonly history?: Partial<Retention>;
  /** Shows members which users are in the channel. Default false. */
  readonly presence?: boolean;
  /**
   * Decides who may subscribe and read history and presence. Default: nobody. In the reserved namespaces `user` and
   * `tenant`, the channel's user and the tenant's members may by default; a rule can only restrict them further.
   */
  readonly subscribe?: Rule;
  /** Decides which clients may publish. Default: none. Server-side calls are always allowed. */
  readonly publish?: Rule;
  /**
   * Allows live streams: users whom `publish` allows may send `stream_start`. `graceMs` is the time in ms that a stream
   * continues after its owner's last connection has ended; default 30,000, minimum 0. Default false. Requires the
   * option `schedule`.
   */
  readonly live?: boolean | { readonly graceMs?: number };
  /** The largest `data`, in bytes of JSON. Default 16,384; from 1 to 98,304. */
  readonly maxBytes?: number;
  /** The largest blob that a publisher may upload, in bytes. Default 0: no uploads. Requires the option `blobs`. */
  readonly maxBlobBytes?: number;
  /**
   * Rate limit per channel and publisher (a user, or an anonymous connection). Either `limit` requests in `windowMs` ms,
   * counted in this process, or a shared `limiter`. It counts each of `publish`, `set_presence`, `stream_start`,
   * `upload` and a first `subscribe` with a state on its own. Server-side calls are not counted. Default: no limit.
   */
  readonly rate?: Rate;
  /**
   * Any Standard Schema for `data`, applied to clients' and server-side messages. Its output is stored and sent.
   * Default: any JSON. The type parameter is intersected so that TypeScript infers it from the schema.
   */
  readonly schema?: Data & StandardSchemaV1;
  /** Any Standard Schema for users' presence states. Its output is stored. Requires `presence`. Default: any JSON. */
  readonly stateSchema?: State & StandardSchemaV1;
}

/** Options by namespace. */
export type ChannelsOptions<Data, State> = {
  readonly [Name in keyof Data]: NamespaceOptions<Data[Name]>;
} & {
  readonly [Name in keyof State]: NamespaceOptions<unknown, State[Name]>;
};

/** The options of a namespace with their defaults. */
export interface Namespace {
  /** `undefined`: at-most-once. */
  readonly retention: Retention | undefined;
  readonly presence: boolean;
  /** `undefined`: the namespace has no live streams. `graceMs` is in ms. */
  readonly live: { readonly graceMs: number } | undefined;
  /** A client may subscribe when all of these rules allow it. An empty list allows nobody. */
  readonly subscribe: readonly Rule[];
  /** A client may publish when all of these rules allow it. An empty list allows nobody. */
  readonly publish: readonly Rule[];
  /** The largest `data`, in bytes of JSON. */
  readonly maxBytes: number;
  /** The largest blob, in bytes; 0: no uploads. */
  readonly maxBlobBytes: number;
  readonly rate: RateCounter | undefined;
  readonly schema: StandardSchemaV1 | undefined;
  readonly stateSchema: StandardSchemaV1 | undefined;
}

/** A namespace as `streamer.describe()` returns it. */
export type NamespaceDescription = Omit<Namespace, "rate">;

/** Leaves 32 KiB of a frame for the other fields of a message. */
const MAX_DATA_BYTES = LIMITS.messageBytes - 32_768;

/** Default of `live.graceMs`. */
const GRACE_MS = 30_000;

const CHECKS: OptionChecks<NamespaceOptions> = {
  delivery: {
    test: (value) => value === "at-most-once" || value === "at-least-once",
    expected: "`at-most-once` or `at-least-once`",
  },
  history: record,
  presence: boolean,
  live: {
    test: (value) => typeof value === "boolean" || isRecord(value),
    expected: "true, false or an object",
  },
  subscribe: anyFunction,
  publish: anyFunction,
  maxBytes: integer(1, MAX_DATA_BYTES),
  maxBlobBytes: integer(0),
  rate: record,
  schema: standardSchema,
  stateSchema: standardSchema,
};

const HISTORY_CHECKS: OptionChecks<Retention> = { size: integer(0), ageMs: integer(0) };
const LIVE_CHECKS = { graceMs: integer(0) };

/**
 * Checks the option `channels` and applies the defaults.
 * @throws {LiftError} INVALID_OPTION
 */
export function readNamespaces(
  options: { readonly [namespace: string]: NamespaceOptions },
  now: () => number,
): ReadonlyMap<string, Namespace> {
  const names = Object.keys(options);
  if (names.includes(REQUEST_NAMESPACE)) {
    throw invalidOption(`\`channels\`: the namespace \`${REQUEST_NAMESPACE}\` is reserved for long requests`);
  }
  const invalidName = names.find((name) => parseChannelName(`${name}:x`)?.namespace !== name);
  if (invalidName !== undefined) throw invalidOption(`\`channels\`: invalid namespace \`${invalidName}\``);
  return new Map(
    Object.entries(options).map(([name, namespace]) => [name, readNamespace(name, namespace, now)]),
  );
}

function readNamespace(name: string, options: NamespaceOptions, now: () => number): Namespace {
  const prefix = `channels.${name}.`;
  checkNamespace(options, prefix);
  const { delivery, history, live = false } = options;
  const reserved = RESERVED_RULES.get(name);
  return {
    retention:
      delivery === "at-most-once"
        ? undefined
        : { size: history?.size ?? 100, ageMs: history?.ageMs ?? 5 * 60_000 },
    presence: options.presence ?? false,
    live: live === false ? undefined : { graceMs: live === true ? GRACE_MS : (live.graceMs ?? GRACE_MS) },
    subscribe: [reserved, options.subscribe].filter((rule) => rule !== undefined),
    publish: options.publish === undefined ? [] : [options.publish],
    maxBytes: options.maxBytes ?? 16_384,
    maxBlobBytes: options.maxBlobBytes ?? 0,
    rate: options.rate && readRate(`${prefix}rate`, options.rate, now),
    schema: options.schema,
    stateSchema: options.stateSchema,
  };
}

function checkNamespace(options: NamespaceOptions, prefix: string): void {
  assertOptions(options, CHECKS, { prefix });
  const { delivery, history, presence, live, stateSchema } = options;
  if (history !== undefined && delivery === "at-most-once") {
    throw invalidOption(`\`${prefix}history\` requires \`delivery: "at-least-once"\``);
  }
  if (stateSchema !== undefined && presence !== true) {
    throw invalidOption(`\`${prefix}stateSchema\` requires \`presence: true\``);
  }
  if (history !== undefined) assertOptions(history, HISTORY_CHECKS, { prefix: `${prefix}history.` });
  if (isRecord(live)) assertOptions(live, LIVE_CHECKS, { prefix: `${prefix}live.` });
}

function readRate(option: string, rate: Rate, now: () => number): RateCounter {
  try {
    return new RateCounter("streamer", rate, "open", now);
  } catch (thrown) {
    throw invalidOption(`\`${option}\`: ${(thrown as Error).message}`);
  }
}
