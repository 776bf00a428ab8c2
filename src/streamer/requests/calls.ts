import { logSafely } from "../../internal/log-safely.ts";
import { type AnyContext, LiftError, validate } from "../../lift/index.ts";
import {
  type AcknowledgmentMessage,
  type Call,
  type Json,
  LIMITS,
  parseChannelName,
  type ResendPayload,
  utf8Length,
} from "../../protocol/index.ts";
import type {
  ClaimedRequest,
  JsonObject,
  NewRequest,
  RequestStore,
  StoredRequest,
} from "../../store/index.ts";
import type { CallContext, ClientRequest } from "../call-context.ts";
import type { CustomRoutes } from "../custom-routes.ts";
import { awaitStore } from "../errors.ts";
import { sendAnswer } from "../responses.ts";
import { runInPlace } from "./in-place.ts";
import type { RequestDefinition, RequestSettings } from "./options.ts";
import type { Processor } from "./processor.ts";
import type { RequestRegistry } from "./registry.ts";
import type { RequestActions } from "./request-actions.ts";
import { toRequestChannel, toRequestKey, toTenantKey } from "./request-keys.ts";

/** How far a request's `startAt` may be ahead. */
const MAX_DELAY_MS = 90 * 24 * 60 * 60_000;

/** How far this process's clock may be behind that of the gateway. */
const MAX_CLOCK_DIFFERENCE_MS = 60_000;

/** The checkpoint and the output of a request before its first attempt. */
const NOTHING_DONE = { checkpoint: undefined, output: { offset: 0, chunks: 0, bytes: 0 } };

interface StoredCalls {
  readonly store: RequestStore;
  readonly processor: Processor;
  readonly actions: RequestActions;
}

export interface RequestCallsOptions {
  readonly registry: RequestRegistry;
  /** Absent: no request can be stored. */
  readonly stored: StoredCalls | undefined;
  readonly settings: RequestSettings;
  readonly customRoutes: CustomRoutes;
  /** Subscribes the connection of a call to a channel. */
  readonly watch: (channel: string, request: ClientRequest) => Promise<void>;
  /** ms since the epoch. */
  readonly now: () => number;
}

/** Takes the calls of the application's own actions: answers them in place, or stores them. */
export class RequestCalls {
  readonly #options: RequestCallsOptions;
  /** The users and tenants whose requests are being stored. */
  readonly #storing = new Tally();

  constructor(options: RequestCallsOptions) {
    this.#options = options;
  }

  /** Whether the application has registered this action. */
  has(action: unknown): boolean {
    return typeof action === "string" && this.#options.registry.get(action) !== undefined;
  }

  /** @throws {LiftError} before any answer is sent */
  async call(call: Call, request: ClientRequest): Promise<void> {
    const definition = this.#require(call.action);
    const input = await this.#admit(definition, call, request);
    if (this.#isStored(definition, call)) return this.#store(definition, call, request);
    await this.#answer(definition, input, request);
  }

  /** Takes a call whose connection ended before its answer. @throws {LiftError} also OUTCOME_UNKNOWN */
  async resend(call: ResendPayload, request: ClientRequest): Promise<void> {
    if (this.#options.customRoutes.has(call.action)) throw outcomeUnknown();
    const definition = this.#require(call.action);
    const input = await this.#admit(definition, call, request);
    if (this.#isStored(definition, call)) return this.#store(definition, call, request);
    if (!definition.idempotent) throw outcomeUnknown();
    await this.#answer(definition, input, request);
  }

  /** Cancels what a connection has asked for, where its end cancels it. @throws {LiftError} STORE_FAILED */
  async onDisconnect(context: CallContext & { readonly ctx: AnyContext }): Promise<void> {
    const { connectionId, userId, tenantId, event } = context.ctx;
    const { stored, registry } = this.#options;
    const ends = [...registry.definitions.values()].filter(({ cancelOnDisconnect }) => cancelOnDisconnect);
    if (stored === undefined || ends.length === 0) return;
    const actions = new Set(ends.map(({ name }) => name));
    const scope = { userId, tenantId };
    const since = event.requestContext.connectedAt - MAX_CLOCK_DIFFERENCE_MS;
    for await (const request of stored.actions.listOpen(scope, since, context.budget)) {
      const isIts = request.requester?.connectionId === connectionId && actions.has(request.action);
      if (isIts) await stored.actions.cancelRequest(scope, request.id, context);
    }
  }

  #require(action: string): RequestDefinition {
    const definition = this.#options.registry.get(action);
    if (definition !== undefined) return definition;
    throw new LiftError("NOT_FOUND", { message: "There is no such action" });
  }

  /** Returns the input for a handler in place. @throws {LiftError} FORBIDDEN, VALIDATION_ERROR */
  async #admit(
    { name, permission, input }: RequestDefinition,
    { payload = null }: Call,
    { identity }: ClientRequest,
  ): Promise<Json> {
    if (permission !== undefined && !identity.permissions.includes(permission)) {
      throw new LiftError("FORBIDDEN", {
        message: `The action \`${name}\` requires the permission \`${permission}\``,
      });
    }
    // A stored request is validated again when it runs, because the schema's output need not be JSON.
    return (input === undefined ? payload : await validate(input, payload, ["payload"])) as Json;
  }

  #isStored(definition: RequestDefinition, { background = false, startAt }: Call): boolean {
    return this.#options.registry.isLong(definition) || background || startAt !== undefined;
  }

  async #answer(definition: RequestDefinition, input: Json, request: ClientRequest): Promise<void> {
    const { settings, now } = this.#options;
    await sendAnswer(request, await runInPlace(definition, input, request, settings, now));
  }

  async #store(definition: RequestDefinition, call: Call, request: ClientRequest): Promise<void> {
    const { stored } = this.#options;
    if (stored === undefined) {
      throw new LiftError("NOT_FOUND", { message: "The server stores no requests: its `store` has none" });
    }
    const created = this.#toNewRequest(definition, call, request);
    const onStored = await this.#admitWithinLimits(created, stored.store, request);
    const found = await this.#create(created, stored, request, onStored).finally(onStored);
    const isSame = found?.requester?.connectionId === request.ctx.connectionId;
    if (found !== undefined && !isSame) await this.#watch(found, stored, request);
  }

  /**
   * Stores a request, answers its call and lets the processor run it.
   * @param onStored called when the store has answered
   * @returns `undefined` when it was stored before and has ended
   */
  async #create(
    created: NewRequest,
    { store, processor, actions }: StoredCalls,
    request: ClientRequest,
    onStored: () => void,
  ): Promise<StoredRequest | undefined> {
    const claim = processor.reserve(created);
    let claimed: ClaimedRequest | undefined;
    try {
      const result = await awaitStore(store.create(created, request.budget, claim));
      onStored();
      const { outcome, request: found, isClaimed } = result;
      if (outcome === "conflict") {
        throw new LiftError("CONFLICT", { status: 409, message: "The `id` belongs to another request" });
      }
      if (isClaimed) claimed = { request: found, ...NOTHING_DONE, input: created.input };
      // A client that gets the acknowledgment reads its end, so a failure to read it here refuses nothing.
      const end =
        outcome === "exists"
          ? await actions.readEnd(found, request.budget).catch(() => undefined)
          : undefined;
      await sendAnswer(request, end ?? acknowledgment(found));
      if (end !== undefined) return undefined;
      if (claim === undefined) processor.add(found);
      return found;
    } finally {
      // Also when the write has failed: it may have been done, and then nobody else would run the request.
      if (claim !== undefined) processor.start(created, claim, claimed);
    }
  }

  /**
   * Subscribes a connection that repeats another's call: legacy clients send a call again after a reconnect, and subscribe
   * to nothing. Sends the end if it came before. Never rejects, because the call is answered.
   */
  async #watch(found: StoredRequest, { store, actions }: StoredCalls, request: ClientRequest): Promise<void> {
    const { budget, logger } = request;
    try {
      await this.#options.watch(toRequestChannel(found.id), request);
      const latest = await awaitStore(store.get(found, budget));
      const end = latest && (await actions.readEnd(latest, budget));
      if (end !== undefined) await sendAnswer(request, end);
    } catch (error) {
      logSafely(logger, "warn", "A repeated call is not watched", { requestId: found.id, error });
    }
  }

  /** @throws {LiftError} VALIDATION_ERROR */
  #toNewRequest(
    { name, priority }: RequestDefinition,
    { payload = null, startAt }: Call,
    { ctx, identity, requestId: id }: ClientRequest,
  ): NewRequest {
    assertId(id, identity.userId);
    const createdAt = this.#options.now();
    assertStartAt(startAt, createdAt, identity.userId);
    const { endpoint } = ctx.asWebSocket();
    return {
      ...toRequestKey(identity, id),
      action: name,
      input: payload as Json,
      tenant: toTenantKey(identity),
      identity: { ...identity } as unknown as JsonObject,
      requester: { connectionId: ctx.connectionId, endpoint },
      priority,
      createdAt,
      dueAt: Math.max(createdAt, startAt ?? 0),
    };
  }

  /**
   * Counts a request that is about to be stored. The count of the store lacks those that this process stores at the same time.
   * A request that is stored already takes no place of its own.
   * @returns a function to call once it is stored, or is not: from then on, the store counts it
   * @throws {LiftError} RATE_LIMITED
   */
  async #admitWithinLimits(
    { owner, id, tenant }: NewRequest,
    store: RequestStore,
    { budget }: ClientRequest,
  ): Promise<() => void> {
    const { limits } = this.#options.settings;
    const [ofOwner, ofTenant] = await Promise.all([
      awaitStore(store.countOpen({ owner }, limits.user, budget)),
      awaitStore(store.countOpen({ tenant }, limits.tenant, budget)),
    ]);
    const [userKey, tenantKey] = [`user ${owner}`, `tenant ${tenant}`];
    const isUserFull = ofOwner + this.#storing.get(userKey) >= limits.user;
    if (!isUserFull && ofTenant + this.#storing.get(tenantKey) < limits.tenant) {
      return this.#storing.add([userKey, tenantKey]);
    }
    if ((await awaitStore(store.get({ owner, id }, budget))) !== undefined) return () => {};
    const [whose, limit] = isUserFull ? ["user", limits.user] : ["tenant", limits.tenant];
    throw new LiftError("RATE_LIMITED", { message: `The ${whose} has ${limit} requests that wait or run` });
  }
}

/** Counts what is under way, by key. */
class Tally {
  readonly #counts = new Map<string, number>();

  get(key: string): number {
    return this.#counts.get(key) ?? 0;
  }

  /** @returns a function that takes it off again, once */
  add(keys: readonly string[]): () => void {
    for (const key of keys) this.#counts.set(key, this.get(key) + 1);
    let isCounted = true;
    return () => {
      if (!isCounted) return;
      isCounted = false;
      for (const key of keys) {
        const left = this.get(key) - 1;
        if (left === 0) this.#counts.delete(key);
        else this.#counts.set(key, left);
      }
    };
  }
}

/** @throws {LiftError} VALIDATION_ERROR */
function assertId(id: string, userId: string | undefined): void {
  if (parseChannelName(toRequestChannel(id)) === undefined) {
    throw new LiftError("VALIDATION_ERROR", {
      message: "The `id` of a stored request is well-formed text without control characters",
    });
  }
  if (userId !== undefined || utf8Length(id) >= LIMITS.anonymousIdBytes) return;
  const message = `The \`id\` of an anonymous client's stored request has at least ${LIMITS.anonymousIdBytes} bytes`;
  throw new LiftError("VALIDATION_ERROR", { message });
}

/**
 * A delayed request counts against its user's limit until it has ended. Anonymous clients share one limit, which none of them
 * may use up for days.
 * @throws {LiftError} VALIDATION_ERROR, FORBIDDEN
 */
function assertStartAt(startAt: number | undefined, now: number, userId: string | undefined): void {
  if (startAt === undefined) return;
  if (userId === undefined) {
    throw new LiftError("FORBIDDEN", { message: "Anonymous clients cannot set `startAt`" });
  }
  if (startAt - now <= MAX_DELAY_MS) return;
  throw new LiftError("VALIDATION_ERROR", { message: "`startAt` is at most 90 days ahead" });
}

function acknowledgment({ id }: StoredRequest): AcknowledgmentMessage {
  return { type: "acknowledgment", request_id: id, status: "queued", message: "The request is stored" };
}

function outcomeUnknown(): LiftError {
  return new LiftError("OUTCOME_UNKNOWN", {
    status: 409,
    message: "The request may have been carried out, and is not run again",
  });
}
