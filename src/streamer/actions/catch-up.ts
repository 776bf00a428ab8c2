import {
  type ChannelRequest,
  LIMITS,
  type LiveStream,
  type Refused,
  type Subscribed,
} from "../../protocol/index.ts";
import type { ClientRequest } from "../call-context.ts";
import type { Channel } from "../channels.ts";
import { awaitStore, toErrorBody } from "../errors.ts";
import type { LiveStreams } from "../live-streams/live-streams.ts";
import type { StreamOwners } from "../live-streams/stream-owners.ts";
import type { SubscribeAttempt } from "../membership/join.ts";
import { toChannelMessages } from "../messages.ts";
import type { ReadableHistory } from "../readable-history.ts";
import { ByteBudget, createResponse } from "../responses.ts";
import type { HistoryReader } from "./history-reader.ts";

/** Histories read at the same time: each may take megabytes of memory. */
const CONCURRENCY = 8;

/** Bytes reserved per channel beside its name and messages: a position with an epoch of 128 bytes. */
const BYTES_PER_CHANNEL = 320;
const PADDING = " ".repeat(BYTES_PER_CHANNEL);

interface CatchUpOptions {
  readonly history: ReadableHistory;
  readonly reader: HistoryReader;
  readonly liveStreams: LiveStreams;
  readonly owners: StreamOwners;
}

/** Builds the response of a `subscribe`: missed messages and live streams, as much as one frame holds. */
export class CatchUp {
  readonly #history: ReadableHistory;
  readonly #reader: HistoryReader;
  readonly #liveStreams: LiveStreams;
  readonly #owners: StreamOwners;

  constructor({ history, reader, liveStreams, owners }: CatchUpOptions) {
    this.#history = history;
    this.#reader = reader;
    this.#liveStreams = liveStreams;
    this.#owners = owners;
  }

  /** Returns one result for each attempt, in the same order. */
  async read(
    attempts: readonly SubscribeAttempt[],
    request: ClientRequest,
  ): Promise<(Subscribed | Refused)[]> {
    const envelope = attempts.map(
      ({ subscription: { channel }, refusal }) => refusal ?? { channel, _: PADDING },
    );
    const bytes = new ByteBudget(createResponse(request.requestId, { channels: envelope as never }));
    const results: (Subscribed | Refused)[] = [];
    for (let start = 0; start < attempts.length; start += CONCURRENCY) {
      // When no message fits, one is enough to tell whether there are more.
      const limit = bytes.isSpent ? 1 : LIMITS.messages;
      const reads = attempts
        .slice(start, start + CONCURRENCY)
        .map((attempt) => this.#readChannel(attempt, request, limit));
      for (const result of await Promise.all(reads)) results.push(fitResult(result, bytes));
    }
    return results;
  }

  async #readChannel(
    { subscription, channel, refusal }: SubscribeAttempt,
    request: ClientRequest,
    limit: number,
  ): Promise<Subscribed | Refused> {
    if (channel === undefined || refusal !== undefined) return refusal!;
    try {
      const [subscribed, live] = await Promise.all([
        this.#readMessages(subscription, channel, request, limit),
        this.#readLive(channel, request),
      ]);
      return live === undefined ? subscribed : { ...subscribed, live };
    } catch (thrown) {
      return { channel: channel.name, error: toErrorBody(thrown, request.logger) };
    }
  }

  /** Adds the connection to the owner's connections when the stream belongs to its user. */
  async #readLive(channel: Channel, request: ClientRequest): Promise<LiveStream | undefined> {
    const live = await this.#liveStreams.get(channel, request.budget);
    if (live !== undefined && live.user === request.identity.userId) {
      await this.#owners.addOwner(channel.key, live.user, request);
    }
    return live;
  }

  async #readMessages(
    { position: after, recent = 0 }: ChannelRequest,
    channel: Channel,
    { budget }: ClientRequest,
    limit: number,
  ): Promise<Subscribed> {
    const { name, key, namespace } = channel;
    if (namespace.retention === undefined) {
      return { channel: name, ...(after === undefined ? {} : { recovered: false, messages: [] }) };
    }
    if (after !== undefined) {
      const { position, recovered, messages, more } = await this.#reader.readAfter(
        channel,
        after,
        limit,
        budget,
      );
      const found = toChannelMessages(name, position.epoch, messages);
      return { channel: name, position, recovered, messages: found, more };
    }
    if (recent === 0) {
      return { channel: name, position: await awaitStore(this.#history.readHead(key, budget)) };
    }
    const page = await this.#reader.readPage(channel, { limit: Math.min(recent, limit) }, budget);
    // A later position would let the client drop the messages up to it, which it receives as a member.
    const position = { epoch: page.head.epoch, offset: page.messages.at(-1)?.offset ?? page.head.offset };
    return { channel: name, position, messages: toChannelMessages(name, position.epoch, page.messages) };
  }
}

/** Keeps the first missed messages that fit, because the client requests the rest after them, or the newest recent ones. */
function fitResult(result: Subscribed | Refused, bytes: ByteBudget): Subscribed | Refused {
  if ("error" in result) return result;
  const fitted = fitLive(result, bytes);
  if (fitted.messages === undefined) return fitted;
  if (fitted.recovered === undefined) return { ...fitted, messages: bytes.takeLast(fitted.messages) };
  const messages = bytes.takeFirst(fitted.messages);
  const more = fitted.more === true || messages.length < fitted.messages.length;
  const { more: _, ...rest } = fitted;
  return { ...rest, messages, ...(more ? { more } : {}) };
}

/** Drops the stream's data when it does not fit. */
function fitLive(result: Subscribed, bytes: ByteBudget): Subscribed {
  const { live } = result;
  if (live === undefined || bytes.takeFirst([live]).length > 0) return result;
  const { data: _, ...rest } = live;
  return { ...result, live: rest };
}
