import type { AnyState, LiftOptions, Middleware } from "../lift/index.ts";
import type { WebSocketAuth } from "../lift/middleware/auth/index.ts";
import type { BlobStore, ChannelStore } from "../store/index.ts";
import { type Check, checkOptions, integer, invalid, isRecord, RECORD } from "./check-options.ts";
import type { ChannelsOptions } from "./namespaces.ts";

/** Of no namespace in particular. */
interface AnySchemas {
  readonly [namespace: string]: unknown;
}

/** `Data` and `State` are the namespaces' schemas. */
export interface StreamerOptions<Data = AnySchemas, State = AnySchemas>
  extends Omit<LiftOptions<AnyState>, "actions" | "defaultHandler"> {
  /** The namespaces there are; whatever is in no other is NOT_FOUND. At least one. */
  readonly channels: ChannelsOptions<Data, State>;
  /** Where histories and members are kept. */
  readonly store: ChannelStore;
  /** Where blobs are kept, in the namespaces with `maxBlobBytes`. */
  readonly blobs?: BlobStore;
  /**
   * What `webSocketAuth` made. It runs before all other middleware, and `refresh` is its own. Without it, the identity
   * is what an authorizer or a middleware on `$connect` says.
   */
  readonly auth?: WebSocketAuth;
  /** Around every event, the first outermost. */
  readonly middleware?: readonly (Middleware | readonly Middleware[])[];
  /** Of one connection. Default 100, minimum 1. */
  readonly maxSubscriptions?: number;
  /**
   * How often clients send a heartbeat, at the least, in ms. A tick suspects a connection that has sent none for so long,
   * and closes it when it sends none for as long again. Each is a write to the schedule. Default: none, and who has vanished leaves when the
   * service closes their connection, after 10 minutes; minimum 1,000. Takes a `schedule`.
   */
  readonly heartbeatMs?: number;
}

/** Lift checks those that it takes. */
const LIFTS: Check = { test: () => true, takes: "anything" };

const CHECKS: { readonly [Name in keyof Required<StreamerOptions>]: Check } = {
  channels: RECORD,
  store: { test: isChannelStore, takes: "a ChannelStore" },
  blobs: { test: (value) => has(value, "createUpload", "createDownloadUrl"), takes: "a BlobStore" },
  auth: {
    test: (value) => typeof value === "function" && "refresh" in value && "identity" in value,
    takes: "what webSocketAuth made",
  },
  middleware: { test: isMiddleware, takes: "an array of middleware" },
  maxSubscriptions: integer(1),
  heartbeatMs: integer(1_000),
  connectionStore: LIFTS,
  schedule: LIFTS,
  scheduleRetry: LIFTS,
  onScheduleFailure: LIFTS,
  logger: LIFTS,
  connections: LIFTS,
  identity: LIFTS,
  now: LIFTS,
  lifetimeMs: LIFTS,
  deadlineMarginMs: LIFTS,
};

/** @throws {LiftError} INVALID_OPTION */
export function checkStreamerOptions(options: StreamerOptions): void {
  // What must be there is, when it is missing, nothing that its check takes.
  checkOptions(Object.assign({ channels: null, store: null }, options), CHECKS);
  if (options.heartbeatMs !== undefined && options.schedule === undefined) {
    throw invalid("heartbeatMs needs a schedule");
  }
}

function has(part: unknown, ...names: string[]): boolean {
  return isRecord(part) && names.every((name) => typeof part[name] === "function");
}

function isChannelStore(value: unknown): boolean {
  return (
    isRecord(value) &&
    has(
      value.history,
      "append",
      "appendAfter",
      "read",
      "readHead",
      "markDelivered",
      "checkpoint",
      "listPendingFanOuts",
    ) &&
    has(value.members, "add", "remove", "listChannels", "listMembers", "count", "listPresence", "setState") &&
    has(value.chunks, "add", "abort")
  );
}

function isMiddleware(value: unknown): boolean {
  return Array.isArray(value) && value.flat().every((one) => typeof one === "function");
}
