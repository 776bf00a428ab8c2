import { CLIENT_LIMITS, type Json, type PublishResult, utf8Length } from "../protocol/index.ts";
import { checkChannel } from "./channels.ts";
import { ClientError } from "./errors.ts";
import type { Settings } from "./options.ts";
import type { Requests } from "./requests.ts";
import { notJson, tooLarge, written } from "./session.ts";
import { type Patience, within } from "./waiting.ts";

/**
 * A key holds for 5 minutes: what was sent and not answered can be sent again as the same for so long, in ms; the rest
 * is for the way.
 */
const KEY_MS = 270_000;
/** After these a publication may be stored: PROTOCOL.md, "Error codes". */
export const UNCERTAIN = ["STORE_FAILED", "TIMEOUT", "CONNECTION_CLOSED", "INTERNAL_ERROR"];

/** A publication that has no answer yet. */
export interface OutboxItem {
  readonly channel: string;
  readonly data: Json;
  readonly key: string;
  readonly others?: boolean;
  /** When it was first sent without an answer, in ms since the epoch. */
  readonly sentAt?: number;
}

/** Keeps the outbox: in localStorage, IndexedDB, a file. Who else publishes by the same storage is another client's. */
export interface OutboxStorage {
  /** What was saved last; an empty list if nothing ever was. */
  load(): readonly OutboxItem[] | Promise<readonly OutboxItem[]>;
  /** All of it, after every change; never while another `save` is under way. */
  save(items: readonly OutboxItem[]): void | Promise<void>;
}

export interface PublishOptions extends Patience {
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

interface Item extends OutboxItem {
  sentAt?: number;
  readonly bytes: number;
}

/** Holds every publication from when it is asked for until it is answered. */
export class Outbox {
  readonly #settings: Settings;
  readonly #requests: Requests;
  readonly #error: (error: ClientError) => void;
  readonly #items = new Set<Item>();
  /** By channel: whose turn it is when this is over. */
  readonly #lanes = new Map<string, Promise<void>>();
  /** Namespaces that keep no order. */
  readonly #unordered = new Set<string>();
  #loading: Promise<void> | undefined;
  #bytes = 0;
  #saving = false;
  #changed = false;

  constructor(settings: Settings, requests: Requests, error: (error: ClientError) => void) {
    this.#settings = settings;
    this.#requests = requests;
    this.#error = error;
    if (settings.outboxStorage !== undefined) this.#loading = this.#load(settings.outboxStorage);
  }

  /** @throws {ClientError} */
  async publish(
    channel: string,
    data: Json,
    { key = randomKey(), ordered = true, others, signal, timeoutMs }: PublishOptions = {},
  ): Promise<PublishResult> {
    checkChannel(channel);
    const item = itemOf({ channel, data, key, ...(others && { others }) });
    const { outboxMaxItems, outboxMaxBytes } = this.#settings;
    if (this.#items.size >= outboxMaxItems || this.#bytes + item.bytes > outboxMaxBytes) {
      throw new ClientError("OUTBOX_FULL", "Too much is waiting", { retry: true });
    }
    return this.#deliver(item, ordered, { signal, timeoutMs }, this.#loading);
  }

  async #deliver(
    item: Item,
    ordered: boolean,
    patience: Patience,
    loading?: Promise<void>,
  ): Promise<PublishResult> {
    this.#items.add(item);
    this.#bytes += item.bytes;
    this.#save();
    try {
      return await within(this.#settings.clock, patience, async (signal) => {
        // What was kept from before goes first.
        await loading;
        return ordered && !this.#unordered.has(namespaceOf(item.channel))
          ? this.#inTurn(item, signal)
          : this.#send(item, signal);
      });
    } finally {
      this.#items.delete(item);
      this.#bytes -= item.bytes;
      this.#save();
    }
  }

  async #inTurn(item: Item, signal: AbortSignal): Promise<PublishResult> {
    const { channel } = item;
    const before = this.#lanes.get(channel);
    const { promise: lane, resolve: finish } = Promise.withResolvers<void>();
    this.#lanes.set(channel, lane);
    try {
      // Who has given up waits as well: those behind it come behind those before it.
      if (before !== undefined) await before;
      return await this.#send(item, signal);
    } finally {
      finish();
      if (this.#lanes.get(channel) === lane) this.#lanes.delete(channel);
    }
  }

  async #send(item: Item, signal: AbortSignal): Promise<PublishResult> {
    const { bytes: _, sentAt: before, ...payload } = item;
    const { clock } = this.#settings;
    let mayBeStored = before !== undefined;
    let last: ClientError | undefined;
    const sending = () => {
      const now = clock.now();
      item.sentAt ??= now;
      if (now - item.sentAt > KEY_MS) throw last;
      this.#save();
    };
    const failed = (error: ClientError) => {
      last = error;
      mayBeStored ||= UNCERTAIN.includes(error.code);
      if (!mayBeStored) delete item.sentAt;
    };
    try {
      const result = await this.#requests.again({ signal, orIdle: true, sending, failed }, (session) =>
        session.request("publish", payload, { signal }),
      );
      if (result.position === undefined) this.#unordered.add(namespaceOf(item.channel));
      return result;
    } catch (cause) {
      throw mayBeStored ? new ClientError("OUTCOME_UNKNOWN", "It may have been stored", { cause }) : cause;
    }
  }

  async #load(storage: OutboxStorage): Promise<void> {
    // Until then nobody can be told of a failure.
    await undefined;
    try {
      for (const item of await storage.load()) {
        // Nobody waits for it any more who could be told.
        this.#deliver(itemOf(item), true, {}).catch(this.#error);
      }
    } catch (error) {
      this.#error(storageFailed(error));
    }
    this.#loading = undefined;
    if (this.#items.size > 0) this.#save();
  }

  #save(): void {
    const { outboxStorage: storage } = this.#settings;
    this.#changed = true;
    if (storage === undefined || this.#saving || this.#loading !== undefined) return;
    this.#saving = true;
    void this.#saveAll(storage);
  }

  async #saveAll(storage: OutboxStorage): Promise<void> {
    // What changes at the same time is saved together.
    await undefined;
    while (this.#changed) {
      this.#changed = false;
      try {
        await storage.save([...this.#items].map(({ bytes: _, ...item }) => item));
      } catch (error) {
        this.#error(storageFailed(error));
      }
    }
    this.#saving = false;
  }
}

/** As it is now, whatever the application does with it until it is sent. @throws {ClientError} NOT_JSON, TOO_LARGE */
function itemOf({ sentAt, ...given }: OutboxItem): Item {
  const frame = written({ action: "publish", payload: given });
  const { payload } = JSON.parse(frame);
  if (payload.data === undefined) throw notJson();
  // 24 for the id.
  const bytes = utf8Length(frame) + 24;
  if (bytes > CLIENT_LIMITS.frameBytes) throw tooLarge();
  return { ...payload, bytes, ...(sentAt && { sentAt }) };
}

/** Not `randomUUID`, which pages that came by plain HTTP do not have. */
function randomKey(): string {
  return crypto.getRandomValues(new Uint32Array(4)).join("-");
}

function namespaceOf(channel: string): string {
  return channel.slice(0, channel.indexOf(":"));
}

function storageFailed(cause: unknown): ClientError {
  return new ClientError("STORAGE_FAILED", "The outbox was not kept", { cause });
}
