import type { StandardSchemaV1 } from "@standard-schema/spec";
import {
  atLeast,
  boolean,
  integer,
  type OptionChecks,
  record,
  standardSchema,
  text,
} from "../../internal/options.ts";
import type { Logger } from "../../lift/index.ts";
import { type Json, REQUESTS, type Serialized } from "../../protocol/index.ts";
import { type BlobStore, MAX_RESULT_BYTES, type RequestStore } from "../../store/index.ts";
import type { Identity } from "../access.ts";
import { assertOptions, invalidOption } from "../errors.ts";
import type { RequestOutput } from "./output/writer.ts";

/** How often a request is tried, and how long it waits in between. */
export interface RequestRetry {
  /** Attempts in all, those whose process died included. Default 4; minimum 1. */
  readonly attempts?: number;
  /**
   * The longest delay before the second attempt, in ms; it doubles with each further one. The actual delay is random, from
   * 0 to that. Default 1,000; minimum 0.
   */
  readonly firstMs?: number;
  /** The longest delay before any attempt, in ms. Default 60,000; minimum `firstMs`. */
  readonly longestMs?: number;
}

/** Options of `streamer.request`. `Input`, `Result` and `Progress` are the types of its schemas. */
export interface RequestOptions<Input = unknown, Result = unknown, Progress = unknown> {
  /** Any Standard Schema for the client's payload. The handler gets its output. Default: any JSON. */
  readonly input?: Input & StandardSchemaV1;
  /** Any Standard Schema for the handler's result. The client gets its output. Default: any JSON. */
  readonly output?: Result & StandardSchemaV1;
  /** Any Standard Schema for the details of `progress`. Default: any JSON. */
  readonly progress?: Progress & StandardSchemaV1;
  /**
   * How long the handler takes, in ms. Up to the streamer's `requests.inPlaceMs`, 5,000 by default, the request is answered in
   * place and nothing is stored. A longer one is stored and survives its connection and its process. Default 0.
   */
  readonly estimatedMs?: number;
  /**
   * The longest time of one attempt, in ms; then its `signal` aborts, and it fails with TIMEOUT. Default 900,000 for stored
   * requests; in place at most 25,000, before API Gateway gives up. Minimum 1.
   */
  readonly timeoutMs?: number;
  /** Retries of stored requests. A `LiftError` with `retry: false` is final at once; other errors are retried. */
  readonly retry?: RequestRetry;
  /**
   * Stored requests only: attempts of this action at the same time in one process. Does not apply in place or in worker
   * functions. Default: no limit of its own; minimum 1.
   */
  readonly concurrency?: number;
  /** A permission that the client's token must have. Default: none is needed. */
  readonly permission?: string;
  /** Stored requests with a larger number start first. An integer; default 0. */
  readonly priority?: number;
  /**
   * Whether a request in place may run twice: a client whose connection ended before the answer then sends it again, and
   * otherwise gets OUTCOME_UNKNOWN. Default false.
   */
  readonly idempotent?: boolean;
  /**
   * Whether a stored request is cancelled when the connection that made it ends: for work that is of no use to others.
   * Default false: it goes on.
   */
  readonly cancelOnDisconnect?: boolean;
}

/** The last checkpoint of a request, and how to save the next one. */
export interface Checkpoint {
  /** The value that an earlier attempt saved last. `undefined`: none. */
  readonly value: Json | undefined;
  /**
   * Saves where the next attempt begins: any JSON of at most 307,200 bytes. In place it only sets `value`.
   * @throws {LiftError} NOT_JSON, TOO_LARGE, STORE_FAILED; CANCELLED when the request is not this handler's any more
   */
  save(value: unknown): Promise<void>;
}

/** The second argument of a request's handler. */
export interface RequestContext {
  /** The request's id. */
  readonly id: string;
  /** The user who made the request. */
  readonly identity: Identity;
  /** From 1; grows with each retry. */
  readonly attempt: number;
  /**
   * Aborts when the request is cancelled, or runs out of time, or another process has taken it over. Its output and
   * result are then neither stored nor sent.
   */
  readonly signal: AbortSignal;
  /** Writes log lines with the request's id and action. */
  readonly logger: Logger;
  /** The output: a stream of texts or JSON values, which clients read as it grows, or later. */
  readonly output: RequestOutput;
  /** Where the last attempt had got to. */
  readonly checkpoint: Checkpoint;
  /**
   * Tells the client how far the request is. Never waits and never throws. At most ten a second are sent, and the last one
   * always.
   * @param percentage 0 to 100
   * @param details any JSON of at most 8,192 bytes
   */
  progress(percentage: number, message?: string, details?: unknown): void;
}

/**
 * Handles a request. It may run again after a failure, so what it does elsewhere should be idempotent.
 * @returns the result: any JSON of at most 307,200 bytes. In place, its response has at most 131,072 bytes; a larger one
 * fails with TOO_LARGE
 */
export type RequestHandler<Input = Json, Result = unknown> = (
  input: Input,
  context: RequestContext,
) => Result | Promise<Result>;

/** The type of the value that a schema accepts, as JSON. */
export type SchemaInput<Schema> = Serialized<
  Schema extends StandardSchemaV1 ? StandardSchemaV1.InferInput<Schema> : unknown
>;
/** The type of the value that a schema returns, as JSON. */
export type SchemaOutput<Schema> = Serialized<
  Schema extends StandardSchemaV1 ? StandardSchemaV1.InferOutput<Schema> : unknown
>;
/** The type that a handler gets for its input: the schema's own output, not turned into JSON. */
export type HandlerInput<Schema> = Schema extends StandardSchemaV1
  ? StandardSchemaV1.InferOutput<Schema>
  : Json;
/** The type that a handler may return. */
export type HandlerResult<Schema> = Schema extends StandardSchemaV1
  ? StandardSchemaV1.InferInput<Schema>
  : unknown;

/** An action of the application with its options and their defaults. */
export interface RequestDefinition
  extends Required<Pick<RequestOptions, "estimatedMs" | "priority" | "idempotent" | "cancelOnDisconnect">> {
  readonly name: string;
  readonly handler: RequestHandler;
  readonly input: StandardSchemaV1 | undefined;
  readonly output: StandardSchemaV1 | undefined;
  readonly progress: StandardSchemaV1 | undefined;
  readonly timeoutMs: number | undefined;
  readonly retry: Required<RequestRetry>;
  readonly concurrency: number;
  readonly permission: string | undefined;
}

/** One of the application's own actions, for generated documentation. */
export interface RequestDescription extends Pick<RequestDefinition, "input" | "output" | "progress"> {
  /** Whether it is stored; otherwise it is answered in place, unless its client asks for the background. */
  readonly isStored: boolean;
}

/** Limits of a user's, or a tenant's, stored requests. */
export interface RequestLimits {
  /** A user's requests that wait or run. All anonymous clients of a tenant count as one. Default 100; minimum 1. */
  readonly user?: number;
  /** A tenant's requests that wait or run. Default 10,000; minimum 1. */
  readonly tenant?: number;
  /** Bytes of JSON of the chunks that all attempts of one request write. Default 16 MiB; minimum 1. */
  readonly outputBytes?: number;
}

/** Options of `createStreamer` about requests. */
export interface RequestsOptions {
  /**
   * Stored requests that run in this process at the same time. 0: none, because functions of their own run them, as on AWS.
   * Default: 0 in Lambda with a store that processes share, and 16 otherwise.
   */
  readonly workers?: number;
  /** Requests that are estimated longer than this are stored, in ms. Default 5,000; from 0 to 25,000. */
  readonly inPlaceMs?: number;
  /**
   * How long a worker that has died keeps its request, in ms. A live worker extends it three times as often. Default
   * 30,000; minimum 1,000.
   */
  readonly leaseMs?: number;
  /** How long results, failures and outputs are kept after the end, in ms. Default one day; minimum 0. */
  readonly keepMs?: number;
  /** How long chunks of output are gathered before they are stored and sent, in ms. Default 200; from 0 to 10,000. */
  readonly gatherMs?: number;
  /**
   * The largest result of a stored request, in bytes of JSON. Results over 307,200 bytes are in the blob store: without
   * `blobs` they fail with TOO_LARGE. Default 16 MiB with `blobs`, otherwise 307,200; minimum 1.
   */
  readonly maxResultBytes?: number;
  /** Requests beyond these limits are refused with RATE_LIMITED. */
  readonly limits?: RequestLimits;
}

/** The options about requests with their defaults. */
export interface RequestSettings extends Required<Omit<RequestsOptions, "limits">> {
  readonly limits: Required<RequestLimits>;
}

const NAME = /^[A-Za-z0-9_.-]{1,128}$/;

const CHECKS: OptionChecks<RequestOptions> = {
  input: standardSchema,
  output: standardSchema,
  progress: standardSchema,
  estimatedMs: atLeast(0),
  timeoutMs: atLeast(1),
  retry: record,
  concurrency: integer(1),
  permission: text,
  priority: integer(-(2 ** 31), 2 ** 31),
  idempotent: boolean,
  cancelOnDisconnect: boolean,
};

const RETRY_CHECKS: OptionChecks<RequestRetry> = {
  attempts: integer(1),
  firstMs: atLeast(0),
  longestMs: atLeast(0),
};

const SETTINGS_CHECKS: OptionChecks<RequestsOptions> = {
  workers: integer(0),
  inPlaceMs: integer(0, 25_000),
  leaseMs: integer(1_000),
  keepMs: integer(0),
  gatherMs: integer(0, 10_000),
  maxResultBytes: integer(1),
  limits: record,
};

const LIMITS_CHECKS: OptionChecks<RequestLimits> = {
  user: integer(1),
  tenant: integer(1),
  outputBytes: integer(1),
};

/** @throws {LiftError} INVALID_OPTION */
export function defineRequest(
  name: string,
  options: RequestOptions,
  handler: RequestHandler,
): RequestDefinition {
  const where = `request \`${name}\``;
  if (typeof name !== "string" || !NAME.test(name)) {
    throw invalidOption("The name of a request has 1 to 128 characters: letters, digits, `_`, `-` and `.`");
  }
  if (Object.hasOwn(REQUESTS, name) || name === "message") {
    throw invalidOption(`The ${where} has the name of one of the protocol's actions: choose another`);
  }
  if (typeof handler !== "function") throw invalidOption(`The ${where} has no handler`);
  assertOptions(options, CHECKS, { prefix: `${name}.` });
  const { attempts = 4, firstMs = 1_000, longestMs = Math.max(60_000, firstMs) } = options.retry ?? {};
  if (options.retry !== undefined) assertOptions(options.retry, RETRY_CHECKS, { prefix: `${name}.retry.` });
  if (!(longestMs >= firstMs && Number.isFinite(longestMs))) {
    throw invalidOption(`\`${name}.retry.longestMs\` must be finite and at least \`firstMs\``);
  }
  return {
    name,
    handler,
    input: options.input,
    output: options.output,
    progress: options.progress,
    estimatedMs: options.estimatedMs ?? 0,
    timeoutMs: options.timeoutMs,
    retry: { attempts, firstMs, longestMs },
    concurrency: options.concurrency ?? Number.POSITIVE_INFINITY,
    permission: options.permission,
    priority: options.priority ?? 0,
    idempotent: options.idempotent ?? false,
    cancelOnDisconnect: options.cancelOnDisconnect ?? false,
  };
}

const DAY_MS = 24 * 60 * 60_000;

/**
 * @param store a store that one process has for itself has no functions that run its requests, so the process does
 * @throws {LiftError} INVALID_OPTION
 */
export function readRequestSettings(
  options: RequestsOptions = {},
  store: RequestStore | undefined,
  blobs: BlobStore | undefined,
): RequestSettings {
  assertOptions(options, SETTINGS_CHECKS, { prefix: "requests." });
  const { limits = {}, maxResultBytes = blobs === undefined ? MAX_RESULT_BYTES : 16 * 1_024 * 1_024 } =
    options;
  if (maxResultBytes > MAX_RESULT_BYTES && blobs === undefined) {
    throw invalidOption(`\`requests.maxResultBytes\` over ${MAX_RESULT_BYTES} requires \`blobs\``);
  }
  assertOptions(limits, LIMITS_CHECKS, { prefix: "requests.limits." });
  // `lift-ws dev` has the other variables of Lambda too, but its process is not frozen after an event.
  const isFrozen = process.env.AWS_LAMBDA_RUNTIME_API !== undefined && store?.listOpen === undefined;
  return {
    workers: options.workers ?? (isFrozen ? 0 : 16),
    inPlaceMs: options.inPlaceMs ?? 5_000,
    leaseMs: options.leaseMs ?? 30_000,
    keepMs: options.keepMs ?? DAY_MS,
    gatherMs: options.gatherMs ?? 200,
    maxResultBytes,
    limits: {
      user: limits.user ?? 100,
      tenant: limits.tenant ?? 10_000,
      outputBytes: limits.outputBytes ?? 16 * 1_024 * 1_024,
    },
  };
}
