import type { ChannelRequest, Json, Position, Refused, Subscribed } from "../../protocol/index.ts";
import type { Timer } from "../clock.ts";
import { backoffDelay } from "../connection/backoff.ts";
import type { Serializable, Session } from "../connection/session.ts";
import { ClientError, toClientError } from "../errors.ts";
import type { ResolvedOptions } from "../options.ts";
import { splitIntoFrames } from "../requests/chunking.ts";
import type { Channel } from "./channel.ts";

export interface SubscriptionSyncEvents {
  /** The channels to subscribe to, by name. */
  readonly desired: ReadonlyMap<string, Channel>;
  subscribed(channel: Channel, from: Position | undefined, result: Subscribed): void;
  /** Called when the server refuses the channel and a retry would not help. */
  refused(channel: Channel, error: ClientError): void;
}

export interface Entry {
  readonly channel: Channel;
  phase: "joining" | "in" | "leaving";
  /** The user's state and its version, as last confirmed by the server. */
  state: Json | undefined;
  version: number;
  /** Requests about the channel are sent one after the other; this is the last. */
  last: Promise<unknown>;
}

/**
 * Keeps the subscriptions of one session equal to the desired ones. Sends one request per channel at a time: the server may
 * handle a connection's requests out of order.
 */
export class SubscriptionSync {
  readonly session: Session;
  readonly #settings: ResolvedOptions;
  readonly #events: SubscriptionSyncEvents;
  readonly entries = new Map<string, Entry>();
  #failures = 0;
  #retry: Timer | undefined;
  #stopped = false;

  constructor(session: Session, settings: ResolvedOptions, events: SubscriptionSyncEvents) {
    this.session = session;
    this.#settings = settings;
    this.#events = events;
  }

  /** Whether the session has every desired subscription. */
  get complete(): boolean {
    return [...this.#events.desired.values()].every((channel) => {
      const entry = this.entries.get(channel.name);
      return entry?.channel === channel && entry.phase === "in";
    });
  }

  /** Subscribes to missing channels and leaves undesired ones. Resolves with the responses. */
  async sync(): Promise<void> {
    if (this.#stopped) return;
    const missing = [...this.#events.desired.values()].filter(({ name }) => !this.entries.has(name));
    const undesired = [...this.entries.values()].filter(
      ({ phase, channel }) => phase === "in" && this.#events.desired.get(channel.name) !== channel,
    );
    await Promise.all([
      ...splitIntoFrames(missing, toChannelRequest).map((channels) => this.#subscribe(channels)),
      ...splitIntoFrames(undesired, ({ channel }) => channel.name).map((entries) =>
        this.#unsubscribe(entries),
      ),
    ]);
  }

  stop(): void {
    this.#stopped = true;
    this.#retry?.cancel();
  }

  async #subscribe(channels: readonly Channel[]): Promise<void> {
    const positions = channels.map((channel) => channel.startFetch());
    const request = this.session.request("subscribe", { channels: channels.map(toChannelRequest) });
    const entries = channels.map((channel) => {
      const { state } = channel;
      const version = state === undefined ? 0 : channel.version;
      const entry: Entry = { channel, phase: "joining", state, version, last: request };
      this.entries.set(channel.name, entry);
      return entry;
    });
    try {
      const result = await request;
      this.#failures = 0;
      // In the order of the request: PROTOCOL.md, "subscribe".
      entries.forEach((entry, at) => {
        this.#onSubscribed(entry, positions[at], result.channels[at]);
      });
    } catch (error) {
      for (const entry of entries) this.#onFailed(entry, error as ClientError);
    }
    await this.syncAgain();
  }

  #onSubscribed(entry: Entry, from: Position | undefined, result: Subscribed | Refused | undefined): void {
    if (!result || "error" in result) {
      this.#onFailed(entry, result ? toClientError(result.error) : noAnswer());
    } else {
      entry.phase = "in";
      if (!this.#stopped) this.#events.subscribed(entry.channel, from, result);
    }
  }

  #onFailed(entry: Entry, error: ClientError): void {
    const { channel } = entry;
    channel.order.markStale();
    if (this.#stopped) return;
    if (channel.isRead) this.entries.delete(channel.name);
    // The server may have subscribed it anyway, so the next sync leaves it.
    else entry.phase = "in";
    if (error.retry) this.#retryLater();
    else this.#events.refused(channel, error);
  }

  async #unsubscribe(entries: readonly Entry[]): Promise<void> {
    for (const entry of entries) entry.phase = "leaving";
    const channels = entries.map(({ channel }) => channel.name);
    try {
      await this.session.request("unsubscribe", { channels });
    } catch (error) {
      // Leaves again after an error that may pass. Any other error means that there is no subscription.
      if ((error as ClientError).retry) {
        for (const entry of entries) entry.phase = "in";
        return this.#retryLater();
      }
    }
    for (const name of channels) this.entries.delete(name);
    await this.syncAgain();
  }

  /** Sends changes that arrived during a request. A scheduled retry sends them itself. */
  async syncAgain(): Promise<void> {
    if (!this.#retry) await this.sync();
  }

  #retryLater(): void {
    if (this.#stopped || this.#retry) return;
    const ms = backoffDelay(this.#settings, ++this.#failures);
    this.#retry = this.#settings.clock.setTimeout(() => {
      this.#retry = undefined;
      void this.sync();
    }, ms);
  }
}

export function noAnswer(): ClientError {
  return new ClientError("INTERNAL_ERROR", "No answer", { retry: true });
}

function toChannelRequest({
  name,
  order,
  recent,
  state,
  isSubscribed,
}: Channel): Serializable<ChannelRequest> {
  const { position } = order;
  return { channel: name, position, recent: (!position && !isSubscribed && recent) || undefined, state };
}
