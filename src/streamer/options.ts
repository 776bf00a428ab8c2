import { integer, isRecord, type OptionCheck, type OptionChecks, record } from "../internal/options.ts";
import type { AnyState, LiftOptions, Middleware } from "../lift/index.ts";
import type { WebSocketAuth } from "../lift/middleware/auth/index.ts";
import type {
  BlobStore,
  ChannelHistory,
  ChannelMembers,
  ChannelStore,
  MessageChunks,
  TimeBudget,
} from "../store/index.ts";
import { assertOptions, invalidOption } from "./errors.ts";
import type { ChannelsOptions, Namespace, NamespaceDescription } from "./namespaces.ts";
import type { RequestDescription, RequestsOptions } from "./requests/options.ts";

/** Schemas of any namespaces. */
interface AnySchemas {
  readonly [namespace: string]: unknown;
}

/**
 * Options of `createStreamer`. It also accepts Lift's options, except `actions` and `defaultHandler`, which Streamer
 * sets. `Data` and `State` are the types of the namespaces' schemas.
 */
export interface StreamerOptions<Data = AnySchemas, State = AnySchemas>
  extends Omit<LiftOptions<AnyState>, "actions" | "defaultHandler"> {
  /** The namespaces, by name; none (`{}`) in an application that only has long requests. Channels of other namespaces are refused with NOT_FOUND. */
  readonly channels: ChannelsOptions<Data, State>;
  /** Stores histories, members and message chunks. */
  readonly store: ChannelStore;
  /** Stores the blobs of namespaces with `maxBlobBytes`, and results over 300 KB of requests. Default: none. */
  readonly blobs?: BlobStore;
  /**
   * Authentication, made by `webSocketAuth`. It runs before all other middleware and handles the action `refresh`.
   * Default: none; an authorizer or a middleware on `$connect` sets the identity.
   */
  readonly auth?: WebSocketAuth;
  /**
   * Middleware around every event, and around every attempt of a stored request, where guards do not run; the first one is
   * outermost. Default: none.
   */
  readonly middleware?: readonly (Middleware | readonly Middleware[])[];
  /** Subscriptions per connection. Default 100, minimum 1. */
  readonly maxSubscriptions?: number;
  /**
   * The interval at which clients send a heartbeat, in ms; minimum 1,000. A connection that misses a heartbeat becomes
   * suspect, and is closed after a second interval without one. Each heartbeat writes to the schedule. Requires
   * `schedule`. Default: no heartbeats; a vanished client leaves when the service closes its idle connection, after 10
   * minutes.
   */
  readonly heartbeatMs?: number;
  /** The application's own actions that `streamer.request` registers: workers, leases and limits. */
  readonly requests?: RequestsOptions;
}

/** Options of a server-side call about one channel. */
export interface CallOptions {
  /** The tenant of the channel. Default: the scope of connections without a tenant. */
  readonly tenantId?: string | undefined;
  /** A Lambda context: the call ends before the function's time does. Default: 60 s for each step of the call. */
  readonly context?: TimeBudget | undefined;
}

/** Options of `streamer.publish`. */
export interface PublishOptions extends CallOptions {
  /** The user that the message is from. Default: none; the message is from the server. */
  readonly userId?: string | undefined;
  /**
   * Idempotency key, any text. In an at-least-once channel, a second call with the same key within 5 minutes publishes
   * nothing. Default: none.
   */
  readonly key?: string | undefined;
  /**
   * Sends to the others only: the ID of the connection that does not receive the message, such as `ctx.connectionId`.
   * At-most-once only. Default: all members receive it.
   */
  readonly others?: string | undefined;
}

/** Options of `streamer.resume`. */
export interface ResumeOptions {
  /** Resumes only messages stored before this time, in ms since the epoch. Default: all that this process is not sending. */
  readonly storedBefore?: number | undefined;
  /** A Lambda context: the call ends before the function's time does. Default: 60 s for each step of the call. */
  readonly context?: TimeBudget | undefined;
}

/** Describes a Streamer, for generated documentation. */
export interface StreamerDescription {
  /** The namespaces by name. */
  readonly namespaces: ReadonlyMap<string, NamespaceDescription>;
  /** The application's own actions by name. */
  readonly requests: ReadonlyMap<string, RequestDescription>;
  /** Whether clients connect with a token and can refresh it. */
  readonly auth: boolean;
}

/** Lift checks its own options. */
const checkedByLift: OptionCheck = { test: () => true, expected: "a value" };

const CHECKS: OptionChecks<StreamerOptions> = {
  channels: record,
  store: { test: isChannelStore, expected: "a channel store" },
  blobs: {
    test: (value) => hasMethods<BlobStore>(value, "createUpload", "createDownloadUrl"),
    expected: "a blob store",
  },
  auth: {
    test: (value) => typeof value === "function" && "refresh" in value && "identity" in value,
    expected: "the result of `webSocketAuth`",
  },
  middleware: { test: isMiddleware, expected: "an array of middleware" },
  maxSubscriptions: integer(1),
  heartbeatMs: integer(1_000),
  requests: record,
  connectionStore: checkedByLift,
  schedule: checkedByLift,
  scheduleRetry: checkedByLift,
  onScheduleFailure: checkedByLift,
  logger: checkedByLift,
  connections: checkedByLift,
  identity: checkedByLift,
  now: checkedByLift,
  lifetimeMs: checkedByLift,
  deadlineMarginMs: checkedByLift,
};

/** @throws {LiftError} INVALID_OPTION */
export function checkStreamerOptions(options: StreamerOptions): void {
  assertOptions(options, CHECKS, { required: ["channels", "store"] });
  if (options.heartbeatMs !== undefined && options.schedule === undefined) {
    throw invalidOption("`heartbeatMs` requires a `schedule`");
  }
}

/** Checks the options that some namespaces require. @throws {LiftError} INVALID_OPTION */
export function checkNamespaceStores(
  namespaces: ReadonlyMap<string, Namespace>,
  { schedule, blobs }: Pick<StreamerOptions, "schedule" | "blobs">,
): void {
  for (const [name, { live, maxBlobBytes }] of namespaces) {
    if (live !== undefined && schedule === undefined) {
      throw invalidOption(`\`channels.${name}.live\` requires a \`schedule\``);
    }
    if (maxBlobBytes > 0 && blobs === undefined) {
      throw invalidOption(`\`channels.${name}.maxBlobBytes\` requires \`blobs\``);
    }
  }
}

function hasMethods<Port>(value: unknown, ...names: readonly (keyof Port & string)[]): boolean {
  return isRecord(value) && names.every((name) => typeof value[name] === "function");
}

function isChannelStore(value: unknown): boolean {
  return (
    isRecord(value) &&
    hasMethods<ChannelHistory>(
      value.history,
      "append",
      "appendAfter",
      "read",
      "readHead",
      "markDelivered",
      "checkpoint",
      "listPendingFanOuts",
    ) &&
    hasMethods<ChannelMembers>(
      value.members,
      "add",
      "remove",
      "listChannels",
      "listMembers",
      "count",
      "listPresence",
      "setState",
    ) &&
    hasMethods<MessageChunks>(value.chunks, "add", "abort")
  );
}

function isMiddleware(value: unknown): boolean {
  return Array.isArray(value) && value.flat().every((item) => typeof item === "function");
}
