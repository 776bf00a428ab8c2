import type { ChannelRequest, Json, Position, Refused, Subscribed } from "../../protocol/index.ts";
import type { Timer } from "../clock.ts";
import { backoffDelay } from "../connection/backoff.ts";
import type { Serializable, Session } from "../connection/session.ts";
import { ClientError, toClientError } from "../errors.ts";
import type { ResolvedOptions } from "../options.ts";
import { splitIntoFrames } from "../requests/chunking.ts";
import type { Channel } from "./channel.ts";

export interface SubscriptionSyncEvents {
  /** The channels that are to be subscribed, by name. */
  readonly desired: ReadonlyMap<string, Channel>;
  subscribed(channel: Channel, asked: Position | undefined, answer: Subscribed): void;
  /** For good. */
  refused(channel: Channel, error: ClientError): void;
}

interface Entry {
  readonly channel: Channel;
  phase: "joining" | "in" | "leaving";
  /** What the channel's user shows of themself, and its count, as far as the server has taken it. */
  state: Json | undefined;
  stateVersion: number;
  /** What the server is asked of it, one after the other. */
  lastRequest: Promise<unknown>;
}

/**
 * What one session is subscribed to, kept as it is wanted. Of one channel there is one request at a time, as requests
 * of a connection may overtake each other.
 */
export class SubscriptionSync {
  readonly #session: Session;
  readonly #settings: ResolvedOptions;
  readonly #events: SubscriptionSyncEvents;
  readonly #entries = new Map<string, Entry>();
  #failures = 0;
  #retry: Timer | undefined;
  #stopped = false;

  constructor(session: Session, settings: ResolvedOptions, events: SubscriptionSyncEvents) {
    this.#session = session;
    this.#settings = settings;
    this.#events = events;
  }

  /** Everything that is wanted is there. */
  get isComplete(): boolean {
    return [...this.#events.desired.values()].every((channel) => {
      const entry = this.#entries.get(channel.name);
      return entry?.channel === channel && entry.phase === "in";
    });
  }

  /** Asks for what is missing, and leaves what is not wanted any more. Resolves when there are answers. */
  async sync(): Promise<void> {
    if (this.#stopped) return;
    const missing = [...this.#events.desired.values()].filter(({ name }) => !this.#entries.has(name));
    const left = [...this.#entries.values()].filter(
      ({ phase, channel }) => phase === "in" && this.#events.desired.get(channel.name) !== channel,
    );
    await Promise.all([
      ...splitIntoFrames(missing, toChannelRequest).map((channels) => this.#join(channels)),
      ...splitIntoFrames(left, ({ channel }) => channel.name).map((entries) => this.#leave(entries)),
    ]);
  }

  /** Shows what the channel's user shows by now, once it is taken, unless that has gone with it, or for another call. */
  async sendState(channel: Channel): Promise<void> {
    await this.#goOn();
    const { name } = channel;
    const entry = this.#entries.get(name);
    if (!entry) throw noAnswer();
    const turn = entry.lastRequest
      .catch(() => {})
      .then(async () => {
        if (this.#entries.get(name)?.channel !== channel) throw noAnswer();
        const { state, stateVersion } = channel;
        if (entry.stateVersion === stateVersion) return;
        try {
          await this.#session.request("set_presence", { channel: name, state });
        } catch (error) {
          // The next session would have the channel refused for it.
          const isLast = channel.stateVersion === stateVersion && entry.lastRequest === turn;
          if (isLast && !(error as ClientError).retry) channel.state = entry.state;
          throw error;
        }
        Object.assign(entry, { state, stateVersion });
      });
    entry.lastRequest = turn;
    await turn;
  }

  stop(): void {
    this.#stopped = true;
    this.#retry?.cancel();
  }

  async #join(channels: readonly Channel[]): Promise<void> {
    const positions = channels.map((channel) => channel.startFetch());
    const asking = this.#session.request("subscribe", { channels: channels.map(toChannelRequest) });
    const entries = channels.map((channel) => {
      const { state } = channel;
      const stateVersion = state === undefined ? 0 : channel.stateVersion;
      const entry: Entry = { channel, phase: "joining", state, stateVersion, lastRequest: asking };
      this.#entries.set(channel.name, entry);
      return entry;
    });
    try {
      const answer = await asking;
      this.#failures = 0;
      // In the order asked: PROTOCOL.md, "subscribe".
      entries.forEach((entry, at) => {
        this.#joined(entry, positions[at], answer.channels[at]);
      });
    } catch (error) {
      for (const entry of entries) this.#notJoined(entry, error as ClientError);
    }
    await this.#goOn();
  }

  #joined(entry: Entry, asked: Position | undefined, answer: Subscribed | Refused | undefined): void {
    if (!answer || "error" in answer) {
      this.#notJoined(entry, answer ? toClientError(answer.error) : noAnswer());
    } else {
      entry.phase = "in";
      if (!this.#stopped) this.#events.subscribed(entry.channel, asked, answer);
      // What was shown meanwhile; who has said so is told by another call.
      if (entry.stateVersion !== entry.channel.stateVersion) this.sendState(entry.channel).catch(() => {});
    }
  }

  #notJoined(entry: Entry, error: ClientError): void {
    const { channel } = entry;
    channel.order.markStale();
    if (this.#stopped) return;
    if (channel.subscriptions.size > 0) this.#entries.delete(channel.name);
    // The server may have taken it all the same: it is left.
    else entry.phase = "in";
    if (error.retry) this.#retryLater();
    else this.#events.refused(channel, error);
  }

  async #leave(entries: readonly Entry[]): Promise<void> {
    for (const entry of entries) entry.phase = "leaving";
    const channels = entries.map(({ channel }) => channel.name);
    try {
      await this.#session.request("unsubscribe", { channels });
    } catch (error) {
      // What is still there is left again; a refusal says that it is not there.
      if ((error as ClientError).retry) {
        for (const entry of entries) entry.phase = "in";
        return this.#retryLater();
      }
    }
    for (const name of channels) this.#entries.delete(name);
    await this.#goOn();
  }

  /** What was wanted or left while an answer was awaited. What is to be tried again has its time. */
  async #goOn(): Promise<void> {
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

function noAnswer(): ClientError {
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
