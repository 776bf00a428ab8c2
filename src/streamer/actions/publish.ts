import { hash, randomUUID } from "node:crypto";
import { logSafely } from "../../internal/log-safely.ts";
import { LiftError } from "../../lift/index.ts";
import type { ChannelMessage, PublishPayload, PublishResult } from "../../protocol/index.ts";
import type { ChannelHistory, Json, NewMessage, Retention } from "../../store/index.ts";
import { authorize } from "../access.ts";
import type { CallContext, ClientRequest } from "../call-context.ts";
import type { Channel, Channels } from "../channels.ts";
import { awaitStore } from "../errors.ts";
import type { FanOut } from "../fan-out/fan-out.ts";
import type { StoredFanOut } from "../fan-out/stored-fan-out.ts";
import type { MemberRemover } from "../membership/leave.ts";
import { enforceRate } from "../rates.ts";
import { sendResponse } from "../responses.ts";
import { validateData } from "../schemas.ts";

/** A message to publish, and its publisher. */
interface Publication {
  readonly data: Json;
  readonly userId?: string | undefined;
  /** The scope of `key`: the kind of publisher and its user ID. */
  readonly publisher: readonly ["client" | "server", string | null];
  readonly key?: string | undefined;
  /** The ID of a connection that does not receive the message. */
  readonly others?: string | undefined;
}

/** A published message: the result for its publisher, and the rest of its fan-out. */
interface Published {
  readonly result: PublishResult;
  /** Never rejects. */
  readonly fanOut: () => Promise<unknown>;
}

interface PublisherOptions {
  readonly history: ChannelHistory;
  readonly fanOut: FanOut;
  readonly storedFanOut: StoredFanOut;
  readonly remover: MemberRemover;
  /** ms since the epoch. */
  readonly now: () => number;
}

/** Publishes messages for clients and for server-side calls. */
export class Publisher {
  readonly #history: ChannelHistory;
  readonly #fanOut: FanOut;
  readonly #storedFanOut: StoredFanOut;
  readonly #remover: MemberRemover;
  readonly #now: () => number;

  constructor({ history, fanOut, storedFanOut, remover, now }: PublisherOptions) {
    this.#history = history;
    this.#fanOut = fanOut;
    this.#storedFanOut = storedFanOut;
    this.#remover = remover;
    this.#now = now;
  }

  /**
   * Stores a message; an at-most-once message is sent at once instead.
   * @throws {LiftError} TOO_LARGE; STORE_FAILED; VALIDATION_ERROR by the schema, and for `others` in an at-least-once
   * namespace
   */
  async publish(channel: Channel, publication: Publication, context: CallContext): Promise<Published> {
    const { userId, key, publisher, others } = publication;
    const data = await validateData(channel, publication.data);
    const message: NewMessage = {
      id: randomUUID(),
      data,
      at: this.#now(),
      ...(userId === undefined ? {} : { userId }),
      // Each publisher has keys of its own. The hash keeps any key within the length that stores accept.
      ...(key === undefined ? {} : { key: hashJson([...publisher, key]) }),
    };
    const { retention } = channel.namespace;
    if (retention === undefined) return this.#send(channel, message, others, context);
    if (others === undefined) return this.#store(channel, message, retention, context);
    throw new LiftError("VALIDATION_ERROR", {
      message: "`others` requires an at-most-once namespace: a skipped position is a gap to the client",
    });
  }

  async #store(
    { key }: Channel,
    message: NewMessage,
    retention: Retention,
    context: CallContext,
  ): Promise<Published> {
    const appended = await awaitStore(this.#history.append(key, message, retention, context.budget));
    const { epoch, duplicate } = appended;
    const { id, offset } = appended.message;
    return {
      result: { id, position: { epoch, offset } },
      // The call that stored the first message fans it out.
      fanOut: duplicate ? async () => {} : () => this.#storedFanOut.send(key, appended, context),
    };
  }

  async #send(
    { key, name }: Channel,
    publication: NewMessage,
    others: string | undefined,
    context: CallContext,
  ): Promise<Published> {
    const id = toMessageId(key, publication);
    const { data, at, userId } = publication;
    const user = userId === undefined ? {} : { user: userId };
    const message: ChannelMessage = { type: "message", id, channel: name, data, at, ...user };
    const frame = JSON.stringify(message);
    const { complete, gone } = await awaitStore(this.#fanOut.send(key, frame, context, { others }));
    if (!complete) logSafely(context.logger, "warn", "A fan-out ran out of time", { messageId: id });
    return { result: { id }, fanOut: () => this.#remover.removeGone(gone, context, [key]) };
  }
}

/** Handles `publish`. */
export class PublishAction {
  readonly #channels: Channels;
  readonly #publisher: Publisher;

  constructor(channels: Channels, publisher: Publisher) {
    this.#channels = channels;
    this.#publisher = publisher;
  }

  async run(payload: PublishPayload, request: ClientRequest): Promise<void> {
    const { identity } = request;
    const channel = this.#channels.get(payload.channel, identity);
    await authorize("publish", identity, channel);
    await enforceRate("publish", channel, request);
    const { data, key } = payload;
    const { userId } = identity;
    const others = payload.others === true ? request.ctx.connectionId : undefined;
    const publication: Publication = { data, key, userId, others, publisher: ["client", userId ?? null] };
    const { result, fanOut } = await this.#publisher.publish(channel, publication, request);
    // Respond and fan out in parallel, within the event: Lambda freezes the process after the handler returns.
    await Promise.all([sendResponse<"publish">(request, result), fanOut()]);
  }
}

/**
 * Returns the ID of an at-most-once message. With a key it is derived from the key: no store remembers these keys, so a
 * publisher that retries sends a second message, which clients drop by its ID.
 */
function toMessageId(channelKey: string, { id, key }: NewMessage): string {
  return key === undefined ? id : hashJson([channelKey, key]);
}

function hashJson(values: readonly (string | null)[]): string {
  return hash("sha256", JSON.stringify(values), "base64url");
}
