import {
  type Json,
  MAX_MESSAGE_BYTES,
  type PublishResult,
  parseChannelName,
  utf8Length,
} from "../../protocol/index.ts";
import { checkChannel } from "../channels/channels.ts";
import { stopwatch } from "../clock.ts";
import { notJson, randomId, serialize, tooLarge } from "../connection/session.ts";
import { ClientError, outcomeUnknown, UNCERTAIN_CODES } from "../errors.ts";
import type { ResolvedOptions } from "../options.ts";
import type { RequestQueue } from "../requests/request-queue.ts";
import { type RequestOptions, withTimeout } from "../requests/timeouts.ts";
import type { OutboxItem, StoredItems } from "./outbox-storage.ts";

/**
 * How long an unacknowledged message may be resent under its key, in ms. The server remembers keys for 5 minutes; the
 * rest is for the time on the network.
 */
export const KEY_LIFETIME_MS = 270_000;

/** Options of `publish`. */
export interface PublishOptions extends RequestOptions {
  /** Messages with the same key within 5 minutes are stored once; 1 to 128 bytes. Default: a random key. */
  readonly key?: string;
  /** Whether to wait until the channel's earlier messages are acknowledged. Default: true. */
  readonly ordered?: boolean;
  /** Whether to skip this connection. Only at-most-once channels accept it. Default: false. */
  readonly others?: boolean;
  /** Stops waiting when aborted; the message may still be stored. Default: none. */
  readonly signal?: AbortSignal;
  /** Stops waiting after this many ms; the message may still be stored. Default: waits without limit. */
  readonly timeoutMs?: number;
}

export interface Item extends Omit<OutboxItem, "sentAt"> {
  readonly bytes: number;
  /** ms since the item was first sent without a response. */
  age?: () => number;
}

/** Holds each published message until its `publish` settles. */
export class Outbox {
  readonly #settings: ResolvedOptions;
  readonly #requests: RequestQueue;
  readonly items = new Set<Item>();
  /** By channel: settles when the last message in order has its response. */
  readonly #lanes = new Map<string, Promise<unknown>>();
  /** Namespaces without message order. */
  readonly #unordered = new Set<string>();
  /** Set by the feature `outbox`. */
  stored: StoredItems | undefined;
  #bytes = 0;

  constructor(settings: ResolvedOptions, requests: RequestQueue) {
    this.#settings = settings;
    this.#requests = requests;
  }

  /** @throws {ClientError} */
  async publish(
    channel: string,
    data: Json,
    { key = randomId(), ordered = true, others, signal, timeoutMs }: PublishOptions = {},
  ): Promise<PublishResult> {
    checkChannel(channel);
    const item = toItem({ channel, data, key, ...(others && { others }) });
    const { outboxMaxItems, outboxMaxBytes } = this.#settings;
    if (this.items.size >= outboxMaxItems || this.#bytes + item.bytes > outboxMaxBytes) {
      throw new ClientError("OUTBOX_FULL", "The outbox is full", { retry: true });
    }
    return this.deliver(
      item,
      ordered,
      { signal, timeoutMs },
      this.stored?.loading?.catch(() => {}),
    );
  }

  async deliver(
    item: Item,
    ordered: boolean,
    patience: RequestOptions,
    loading?: Promise<void>,
  ): Promise<PublishResult> {
    this.items.add(item);
    this.#bytes += item.bytes;
    this.stored?.save();
    try {
      return await withTimeout(this.#settings.clock, patience, async (signal) => {
        // Restored messages go first.
        await loading;
        return ordered && !this.#unordered.has(parseChannelName(item.channel)!.namespace)
          ? this.#sendInOrder(item, signal)
          : this.#send(item, signal);
      });
    } finally {
      this.items.delete(item);
      this.#bytes -= item.bytes;
      this.stored?.save();
    }
  }

  async #sendInOrder(item: Item, signal: AbortSignal): Promise<PublishResult> {
    const { channel } = item;
    // An abandoned message keeps its turn, so that later messages stay behind earlier ones.
    const turn = this.#lanes.get(channel)?.then(() => this.#send(item, signal)) ?? this.#send(item, signal);
    const lane = turn.catch(() => {});
    this.#lanes.set(channel, lane);
    await lane;
    if (this.#lanes.get(channel) === lane) this.#lanes.delete(channel);
    return turn;
  }

  async #send(item: Item, signal: AbortSignal): Promise<PublishResult> {
    const { bytes: _, age: before, ...payload } = item;
    let mayBeStored = !!before;
    let last: ClientError | undefined;
    const sending = () => {
      item.age ??= stopwatch(this.#settings.clock);
      const age = item.age();
      // A negative age means that the clock went back, so the age is unknown.
      if (!(age >= 0 && age <= KEY_LIFETIME_MS)) throw last;
      this.stored?.save();
    };
    const failed = (error: ClientError) => {
      last = error;
      mayBeStored ||= UNCERTAIN_CODES.includes(error.code);
      if (!mayBeStored) delete item.age;
    };
    try {
      const result = await this.#requests.retry(
        { signal, whileIdle: true, onAttempt: sending, onFailure: failed },
        (session) => session.request("publish", payload, { signal }),
      );
      if (!result.position) this.#unordered.add(parseChannelName(item.channel)!.namespace);
      return result;
    } catch (cause) {
      throw mayBeStored ? outcomeUnknown(cause) : cause;
    }
  }
}

/** Copies the item, so that later changes by the application do not reach it. @throws {ClientError} NOT_JSON, TOO_LARGE */
export function toItem(given: Omit<OutboxItem, "sentAt">): Item {
  const frame = serialize({ action: "publish", payload: given });
  const { payload } = JSON.parse(frame);
  if (payload.data === undefined) throw notJson();
  // 24 bytes for the request's id.
  const bytes = utf8Length(frame) + 24;
  if (bytes > MAX_MESSAGE_BYTES) throw tooLarge();
  return { ...payload, bytes };
}
