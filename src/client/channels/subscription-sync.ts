import type { ChannelRequest, Json, Position, Refused, Subscribed } from "../../protocol/index.ts";
import type { Timer } from "../clock.ts";
import { delayOf } from "../connection/backoff.ts";
import type { Session, Unwritten } from "../connection/session.ts";
import { ClientError, serverError } from "../errors.ts";
import type { Settings } from "../options.ts";
import { frames } from "../requests/chunking.ts";
import type { Channel } from "./channel.ts";

export interface RosterEvents {
  /** The channels that are to be subscribed, by name. */
  readonly wanted: ReadonlyMap<string, Channel>;
  answered(channel: Channel, asked: Position | undefined, answer: Subscribed): void;
  /** For good. */
  refused(channel: Channel, error: ClientError): void;
}

interface Entry {
  readonly channel: Channel;
  phase: "joining" | "in" | "leaving";
  /** What the channel's user shows of themself, and its count, as far as the server has taken it. */
  state: Json | undefined;
  shows: number;
  /** What the server is asked of it, one after the other. */
  turn: Promise<unknown>;
}

/**
 * What one session is subscribed to, kept as it is wanted. Of one channel there is one request at a time, as requests
 * of a connection may overtake each other.
 */
export class Roster {
  readonly #session: Session;
  readonly #settings: Settings;
  readonly #events: RosterEvents;
  readonly #entries = new Map<string, Entry>();
  #failures = 0;
  #retry: Timer | undefined;
  #stopped = false;

  constructor(session: Session, settings: Settings, events: RosterEvents) {
    this.#session = session;
    this.#settings = settings;
    this.#events = events;
  }

  /** Everything that is wanted is there. */
  get complete(): boolean {
    return [...this.#events.wanted.values()].every((channel) => {
      const entry = this.#entries.get(channel.name);
      return entry?.channel === channel && entry.phase === "in";
    });
  }

  /** Asks for what is missing, and leaves what is not wanted any more. Resolves when there are answers. */
  async sync(): Promise<void> {
    if (this.#stopped) return;
    const missing = [...this.#events.wanted.values()].filter(({ name }) => !this.#entries.has(name));
    const left = [...this.#entries.values()].filter(
      ({ phase, channel }) => phase === "in" && this.#events.wanted.get(channel.name) !== channel,
    );
    await Promise.all([
      ...frames(missing, requestOf).map((channels) => this.#join(channels)),
      ...frames(left, ({ channel }) => channel.name).map((entries) => this.#leave(entries)),
    ]);
  }

  /** Shows what the channel's user shows by now, once it is taken, unless that has gone with it, or for another call. */
  async show(channel: Channel): Promise<void> {
    await this.#goOn();
    const { name } = channel;
    const entry = this.#entries.get(name);
    if (!entry) throw notTaken();
    const turn = entry.turn
      .catch(() => {})
      .then(async () => {
        if (this.#entries.get(name)?.channel !== channel) throw notTaken();
        const { state, shows } = channel;
        if (entry.shows === shows) return;
        try {
          await this.#session.request("set_presence", { channel: name, state });
        } catch (error) {
          // The next session would have the channel refused for it.
          const isLast = channel.shows === shows && entry.turn === turn;
          if (isLast && !(error as ClientError).retry) channel.state = entry.state;
          throw error;
        }
        Object.assign(entry, { state, shows });
      });
    entry.turn = turn;
    await turn;
  }

  stop(): void {
    this.#stopped = true;
    this.#retry?.cancel();
  }

  async #join(channels: readonly Channel[]): Promise<void> {
    const positions = channels.map((channel) => channel.asking());
    const asking = this.#session.request("subscribe", { channels: channels.map(requestOf) });
    const entries = channels.map((channel) => {
      const { state } = channel;
      const shows = state === undefined ? 0 : channel.shows;
      const entry: Entry = { channel, phase: "joining", state, shows, turn: asking };
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
      this.#notJoined(entry, answer ? serverError(answer.error) : notTaken());
    } else {
      entry.phase = "in";
      if (!this.#stopped) this.#events.answered(entry.channel, asked, answer);
      // What was shown meanwhile; who has said so is told by another call.
      if (entry.shows !== entry.channel.shows) this.show(entry.channel).catch(() => {});
    }
  }

  #notJoined(entry: Entry, error: ClientError): void {
    const { channel } = entry;
    channel.sequence.doubt();
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
    const ms = delayOf(this.#settings, ++this.#failures);
    this.#retry = this.#settings.clock.setTimeout(() => {
      this.#retry = undefined;
      void this.sync();
    }, ms);
  }
}

function notTaken(): ClientError {
  return new ClientError("INTERNAL_ERROR", "No answer", { retry: true });
}

function requestOf({ name, sequence, recent, state, taken }: Channel): Unwritten<ChannelRequest> {
  const { position } = sequence;
  return { channel: name, position, recent: (!position && !taken && recent) || undefined, state };
}
