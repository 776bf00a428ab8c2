import { CLIENT_LIMITS, type Json, type Position, parseChannel, type Subscribed } from "../protocol/index.ts";
import { Channel } from "./channel.ts";
import { ClientError } from "./errors.ts";
import { frames } from "./frames.ts";
import { checkInteger, type Settings } from "./options.ts";
import { Repair } from "./repair.ts";
import type { Requests } from "./requests.ts";
import { Roster } from "./roster.ts";
import type { PushedMessage, Session } from "./session.ts";
import { OpenSubscription, type SubscribeOptions } from "./subscription.ts";

export interface ChannelsEvents {
  /** The session to ask on. */
  session(): Session | undefined;
  /** What no subscription takes. */
  error(error: ClientError): void;
}

/** All channels, over whatever sessions there are. */
export class Channels {
  readonly #settings: Settings;
  readonly #requests: Requests;
  readonly #events: ChannelsEvents;
  readonly #repair: Repair;
  readonly #channels = new Map<string, Channel>();
  readonly #rosters = new Map<Session, Roster>();
  #syncing = false;

  constructor(settings: Settings, requests: Requests, events: ChannelsEvents) {
    this.#settings = settings;
    this.#requests = requests;
    this.#events = events;
    const refused = (channel: Channel, error: ClientError) => this.#refused(channel, error);
    this.#repair = new Repair(settings, { session: events.session, refused });
  }

  get(name: string): Channel | undefined {
    return this.#channels.get(name);
  }

  /** @throws {ClientError} INVALID_CHANNEL, INVALID_OPTION */
  subscribe(name: string, options: SubscribeOptions): OpenSubscription {
    check(name, options);
    const { recent = 0, state, signal } = options;
    const known = this.#channels.get(name);
    const channel = known ?? new Channel(name, recent, this.#events.error);
    this.#channels.set(name, channel);
    const subscription = new OpenSubscription(name, options, (ended) => {
      channel.subscriptions.delete(ended);
      this.#sync();
    });
    channel.subscriptions.add(subscription);
    if (known !== undefined && recent > 0) {
      subscription.wait(() => void this.#past(channel, subscription, recent));
    }
    if (channel.taken) subscription.taken();
    if (state !== undefined) this.#show(channel, state);
    if (signal?.aborted) subscription.unsubscribe();
    this.#sync();
    return subscription;
  }

  message(message: PushedMessage): void {
    const channel = this.#channels.get(message.channel);
    if (channel === undefined) return;
    channel.take(message);
    // Most of what comes out of order is put right by what comes next.
    if (channel.sequence.behind) this.#repair.start(channel, this.#settings.gapMs);
  }

  async attach(session: Session): Promise<boolean> {
    const roster = new Roster(session, this.#settings, {
      wanted: this.#channels,
      answered: (channel, asked, answer) => this.#answered(channel, asked, answer),
      refused: (channel, error) => this.#refused(channel, error),
    });
    this.#rosters.set(session, roster);
    await roster.sync();
    return roster.complete;
  }

  detach(session: Session): void {
    this.#rosters.get(session)?.stop();
    this.#rosters.delete(session);
  }

  /** Where the channels are, in frames. */
  positions(): { readonly [channel: string]: Position }[] {
    const known = [...this.#channels.values()].flatMap(({ name, sequence: { position } }) =>
      position === undefined ? [] : [[name, position] as const],
    );
    return frames(known, (entry) => entry).map((entries) => Object.fromEntries(entries));
  }

  heads(heads: { readonly [channel: string]: Position }): void {
    for (const [name, head] of Object.entries(heads)) {
      const channel = this.#channels.get(name);
      channel?.sequence.note(head);
      if (channel?.sequence.behind) this.#repair.start(channel, 0);
    }
  }

  beat(): void {
    for (const channel of this.#channels.values()) if (channel.taken) channel.stale.emit();
  }

  #answered(channel: Channel, asked: Position | undefined, answer: Subscribed): void {
    // With another session beside this one it was never away.
    channel.answered(asked, answer, this.#rosters.size === 1);
    if (channel.sequence.behind) this.#repair.start(channel, 0);
  }

  #refused(channel: Channel, error: ClientError): void {
    if (this.#channels.get(channel.name) === channel) this.#channels.delete(channel.name);
    const heard = [...channel.subscriptions].map((subscription) => subscription.end(error));
    if (heard.includes(false)) this.#events.error(error);
  }

  /** A second subscription's past: the first one's has been asked for with the channel. */
  async #past(channel: Channel, subscription: OpenSubscription, limit: number): Promise<void> {
    try {
      if (channel.sequence.position === undefined) return subscription.begin([]);
      const { messages } = await this.#requests.ask("history", { channel: channel.name, limit });
      subscription.begin(messages);
    } catch (error) {
      if (!subscription.ended) this.#events.error(error as ClientError);
      subscription.begin([]);
    }
  }

  #show(channel: Channel, state: Json): void {
    channel.state = state;
    if (!channel.taken) return;
    this.#requests.ask("set_presence", { channel: channel.name, state }).catch(this.#events.error);
  }

  /** What is wanted has changed. What changes at the same time goes in one frame. */
  #sync(): void {
    if (this.#syncing) return;
    this.#syncing = true;
    queueMicrotask(() => {
      this.#syncing = false;
      for (const [name, { subscriptions }] of this.#channels) {
        if (subscriptions.size === 0) this.#channels.delete(name);
      }
      for (const roster of this.#rosters.values()) void roster.sync();
    });
  }
}

function check(name: string, { recent = 0, bufferSize = 1 }: SubscribeOptions): void {
  checkChannel(name);
  checkInteger("recent", recent, 0, CLIENT_LIMITS.messages);
  checkInteger("bufferSize", bufferSize, 1);
}

/** @throws {ClientError} INVALID_CHANNEL */
export function checkChannel(name: string): void {
  if (typeof name === "string" && parseChannel(name) !== undefined) return;
  throw new ClientError("INVALID_CHANNEL", "A channel is namespace:name");
}
