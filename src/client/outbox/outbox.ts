import {
  CLIENT_LIMITS,
  type Json,
  type PublishResult,
  parseChannelName,
  utf8Length,
} from "../../protocol/index.ts";
import { checkChannel } from "../channels/channels.ts";
import { stopwatch } from "../clock.ts";
import { notJson, serialize, tooLarge } from "../connection/session.ts";
import { ClientError } from "../errors.ts";
import type { ResolvedOptions } from "../options.ts";
import type { RequestQueue } from "../requests/request-queue.ts";
import { type RequestOptions, withTimeout } from "../requests/timeouts.ts";
import { type OutboxItem, persistItems, type RestorableItems, type StoredItems } from "./outbox-storage.ts";

/**
 * A key holds for 5 minutes: what was sent and not answered can be sent again as the same for so long, in ms; the rest
 * is for the way.
 */
const KEY_LIFETIME_MS = 270_000;
/** After these a publication may be stored: PROTOCOL.md, "Error codes". */
export const UNCERTAIN_CODES = ["STORE_FAILED", "TIMEOUT", "CONNECTION_CLOSED", "INTERNAL_ERROR"];

export interface PublishOptions extends RequestOptions {
  /** The same key within 5 minutes stores once; 1 to 128 bytes. Default: a random one. */
  readonly key?: string;
  /** Sent when those before it in the channel have their answers. Default: true. */
  readonly ordered?: boolean;
  /** To everyone but this connection. In channels that are at-most-once; others refuse it. Default: false. */
  readonly others?: boolean;
  /** Gives up waiting: it may be stored all the same. */
  readonly signal?: AbortSignal;
  /** Gives up waiting after so many ms. Default: never. */
  readonly timeoutMs?: number;
}

interface Item extends Omit<OutboxItem, "sentAt"> {
  readonly bytes: number;
  /** ms since it was first sent without an answer. */
  age?: () => number;
}

/** Holds every publication from when it is asked for until it is answered. */
export class Outbox implements RestorableItems {
  readonly #settings: ResolvedOptions;
  readonly #requests: RequestQueue;
  readonly #error: (error: ClientError) => void;
  readonly #items = new Set<Item>();
  /** By channel: ends with the last publication's turn. */
  readonly #lanes = new Map<string, Promise<unknown>>();
  /** Namespaces that keep no order. */
  readonly #unordered = new Set<string>();
  readonly #stored: StoredItems | undefined;
  #bytes = 0;

  constructor(settings: ResolvedOptions, requests: RequestQueue, error: (error: ClientError) => void) {
    this.#settings = settings;
    this.#requests = requests;
    this.#error = error;
    const { outboxStorage } = settings;
    if (outboxStorage) this.#stored = persistItems(this, outboxStorage, settings, requests, error);
  }

  /** As in `Items`. */
  list(): OutboxItem[] {
    const now = this.#settings.clock.now();
    return [...this.#items].map(({ bytes: _, age, ...item }) => ({
      ...item,
      ...(age && { sentAt: now - age() }),
    }));
  }

  /** As in `Items`. */
  restore(saved: OutboxItem): void {
    const { channel, key, sentAt } = saved;
    checkChannel(channel);
    if (!key || typeof key !== "string") throw new TypeError("key");
    const item = toItem(saved);
    const { clock } = this.#settings;
    const age = clock.now() - sentAt!;
    // Sent in the future: the clock was corrected since, so the age is not known.
    if (sentAt !== undefined) item.age = stopwatch(clock, age >= 0 ? age : KEY_LIFETIME_MS + 1);
    // The publisher is gone: `onError` gets the errors that `publish` would reject with.
    this.#deliver(item, true, {}).catch(this.#error);
  }

  /** @throws {ClientError} */
  async publish(
    channel: string,
    data: Json,
    // Not `randomUUID`, which pages that came by plain HTTP do not have.
    {
      key = crypto.getRandomValues(new Uint32Array(4)).join("-"),
      ordered = true,
      others,
      signal,
      timeoutMs,
    }: PublishOptions = {},
  ): Promise<PublishResult> {
    checkChannel(channel);
    const item = toItem({ channel, data, key, ...(others && { others }) });
    const { outboxMaxItems, outboxMaxBytes } = this.#settings;
    if (this.#items.size >= outboxMaxItems || this.#bytes + item.bytes > outboxMaxBytes) {
      throw new ClientError("OUTBOX_FULL", "The outbox is full", { retry: true });
    }
    return this.#deliver(
      item,
      ordered,
      { signal, timeoutMs },
      this.#stored?.loading?.catch(() => {}),
    );
  }

  async #deliver(
    item: Item,
    ordered: boolean,
    patience: RequestOptions,
    loading?: Promise<void>,
  ): Promise<PublishResult> {
    this.#items.add(item);
    this.#bytes += item.bytes;
    this.#stored?.save();
    try {
      return await withTimeout(this.#settings.clock, patience, async (signal) => {
        // What was kept from before goes first.
        await loading;
        return ordered && !this.#unordered.has(parseChannelName(item.channel)!.namespace)
          ? this.#inTurn(item, signal)
          : this.#send(item, signal);
      });
    } finally {
      this.#items.delete(item);
      this.#bytes -= item.bytes;
      this.#stored?.save();
    }
  }

  async #inTurn(item: Item, signal: AbortSignal): Promise<PublishResult> {
    const { channel } = item;
    // A publication that was given up waits for its turn too: those behind it come behind those before it.
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
      // Below 0 the clock went back, and nobody knows the age.
      if (!(age >= 0 && age <= KEY_LIFETIME_MS)) throw last;
      this.#stored?.save();
    };
    const failed = (error: ClientError) => {
      last = error;
      mayBeStored ||= UNCERTAIN_CODES.includes(error.code);
      if (!mayBeStored) delete item.age;
    };
    try {
      const result = await this.#requests.retry(
        { signal, waitWhileIdle: true, beforeAttempt: sending, onFailure: failed },
        (session) => session.request("publish", payload, { signal }),
      );
      if (!result.position) this.#unordered.add(parseChannelName(item.channel)!.namespace);
      return result;
    } catch (cause) {
      throw mayBeStored ? new ClientError("OUTCOME_UNKNOWN", "It may have been stored", { cause }) : cause;
    }
  }
}

/** As it is now, whatever the application does with it until it is sent. @throws {ClientError} NOT_JSON, TOO_LARGE */
function toItem({ sentAt: _, ...given }: OutboxItem): Item {
  const frame = serialize({ action: "publish", payload: given });
  const { payload } = JSON.parse(frame);
  if (payload.data === undefined) throw notJson();
  // 24 for the id.
  const bytes = utf8Length(frame) + 24;
  if (bytes > CLIENT_LIMITS.frameBytes) throw tooLarge();
  return { ...payload, bytes };
}
