import { hash } from "node:crypto";
import type { WebSocketEvent } from "../../apigw/index.ts";
import { Retry } from "../../aws/index.ts";
import { elapsed } from "../../internal/elapsed.ts";
import { logSafely } from "../../internal/log-safely.ts";
import { anyFunction, either, integer, type OptionChecks, withMethods } from "../../internal/options.ts";
import { jsonLogger, type Logger } from "../../lift/index.ts";
import { checkOptions } from "../errors.ts";
import type { FlagSource } from "./sources.ts";
import { type FlagStep, parseFlag, type Side, sideOf } from "./steps.ts";

/** The part of an event that is the same in every event of a connection. */
export type FlagContext = WebSocketEvent["requestContext"];

/** Options of `createFlag`. */
export interface FlagOptions {
  /** The place of the value. */
  readonly source: FlagSource;
  /**
   * The id that decides: all connections of a user, or of a tenant, are then on the same side. `user` and `tenant` come from the
   * authorizer's context: `sub` or `userId`, `tenant_id` or `tenantId`. A function returns an id of its own. The connection
   * decides when there is none. Must not change during a rollout. Default `connection`.
   */
  readonly by?: "connection" | "user" | "tenant" | ((context: FlagContext) => string | undefined);
  /** Mixed into the hash, so that flags with different texts pick different users. Must not change. Default empty. */
  readonly salt?: string;
  /** Time until the value is read again, in ms. Default 5,000; minimum 0. */
  readonly cacheMs?: number;
  /** Time limit of a read in ms. Default 1,000; minimum 1. */
  readonly timeoutMs?: number;
  /** Logs a source that fails and a malformed value. Default `jsonLogger()`. */
  readonly logger?: Logger;
}

/** Decides which side serves a connection. */
export interface Flag {
  /** Returns the side of an event's connection. Never rejects: the old side serves when nothing is known. */
  side(event: WebSocketEvent): Promise<Side>;
}

const OPTIONS: OptionChecks<FlagOptions> = {
  source: withMethods("read"),
  by: either(
    {
      test: (value) => ["connection", "user", "tenant"].includes(value as string),
      expected: "connection, user, tenant",
    },
    anyFunction,
  ),
  salt: { test: (value) => typeof value === "string", expected: "a string" },
  cacheMs: integer(0),
  timeoutMs: integer(1),
  logger: withMethods("warn", "error"),
};

/**
 * Creates a flag that splits connections between an old and a new handler. While the source does not answer, the last value
 * serves, or the old side when there is none. A malformed value is logged, and the old side serves.
 * @throws {RolloutError} INVALID_OPTION
 * @example
 * const flag = createFlag({ source: ssmFlag({ name: "/chat/lift-v2" }), by: "tenant" });
 */
export function createFlag(options: FlagOptions): Flag {
  checkOptions(options, OPTIONS, ["source"]);
  return new CachedFlag(options);
}

class CachedFlag implements Flag {
  readonly #source: FlagSource;
  readonly #keyOf: (context: FlagContext) => string | undefined;
  readonly #salt: string;
  readonly #cacheMs: number;
  readonly #timeoutMs: number;
  readonly #logger: Logger;
  #steps: readonly FlagStep[] = [];
  /** When to read again, by both clocks: one may be set back, the other stops while Lambda is frozen. */
  #expiry = { at: Number.NEGATIVE_INFINITY, elapsed: Number.NEGATIVE_INFINITY };
  #pending: Promise<void> | undefined;

  constructor({
    source,
    by = "connection",
    salt = "",
    cacheMs = 5_000,
    timeoutMs = 1_000,
    logger,
  }: FlagOptions) {
    this.#source = source;
    this.#keyOf = typeof by === "function" ? by : KEYS[by];
    this.#salt = salt;
    this.#cacheMs = cacheMs;
    this.#timeoutMs = timeoutMs;
    this.#logger = logger ?? jsonLogger();
  }

  async side(event: WebSocketEvent): Promise<Side> {
    if (Date.now() >= this.#expiry.at || elapsed() >= this.#expiry.elapsed) {
      this.#pending ??= this.#load();
      await this.#pending;
    }
    const { connectionId, connectedAt } = event.requestContext;
    try {
      const key = this.#keyOf(event.requestContext) || connectionId;
      return sideOf(this.#steps, placeOf(`${this.#salt}${key}`), connectedAt);
    } catch (error) {
      logSafely(this.#logger, "error", "The function `by` of the flag failed; the old side serves", {
        error,
      });
      return "old";
    }
  }

  /** Never rejects. A failure is not repeated before `cacheMs` either, so that an outage does not delay each event. */
  async #load(): Promise<void> {
    try {
      const value = await this.#read();
      this.#steps = this.#parse(value);
    } catch (error) {
      logSafely(this.#logger, "error", "The flag cannot be read; its last value serves", { error });
    } finally {
      this.#expiry = { at: Date.now() + this.#cacheMs, elapsed: elapsed() + this.#cacheMs };
      this.#pending = undefined;
    }
  }

  #read(): Promise<string | undefined> {
    const retry = new Retry({ deadline: elapsed() + this.#timeoutMs });
    return retry.run(async (signal) => this.#source.read(signal));
  }

  /** All processes must agree, those too that have never seen a valid value: so the old side, not the last value. */
  #parse(value: string | undefined): readonly FlagStep[] {
    try {
      return parseFlag(value);
    } catch (error) {
      logSafely(this.#logger, "error", "The flag is malformed; the old side serves", { error });
      return [];
    }
  }
}

const KEYS = {
  connection: ({ connectionId }: FlagContext) => connectionId,
  user: ({ authorizer }: FlagContext) => idOf(authorizer?.sub) ?? idOf(authorizer?.userId),
  tenant: ({ authorizer }: FlagContext) => idOf(authorizer?.tenant_id) ?? idOf(authorizer?.tenantId),
};

function idOf(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** Returns the place of an id from 0 up to 100, evenly distributed. */
export function placeOf(id: string): number {
  return (Number.parseInt(hash("sha256", id).slice(0, 8), 16) / 2 ** 32) * 100;
}
