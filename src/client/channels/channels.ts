import {
  type ChannelMessage,
  CLIENT_LIMITS,
  type Json,
  type Position,
  parseChannel,
  type Subscribed,
} from "../../protocol/index.ts";
import type { Link, LinkEvents } from "../connection/connection-manager.ts";
import { connectionClosed, type PushedMessage, type Session, written } from "../connection/session.ts";
import { ClientError } from "../errors.ts";
import { checkInteger, type Settings } from "../options.ts";
import { frames } from "../requests/chunking.ts";
import type { Requests } from "../requests/request-queue.ts";
import type { Patience } from "../requests/timeouts.ts";
import { Channel } from "./channel.ts";
import { type RepairEvents, repair } from "./gap-repair.ts";
import { OpenSubscription, type SubscribeOptions } from "./subscription.ts";
import { Roster, type RosterEvents } from "./subscription-sync.ts";

/** All channels, over whatever sessions there are. */
export class Channels implements LinkEvents, RosterEvents, RepairEvents {
  /** By name: all that somebody subscribes to. */
  readonly wanted = new Map<string, Channel>();
  readonly #settings: Settings;
  readonly #link: Link;
  readonly #requests: Requests;
  readonly #error: (error: ClientError) => void;
  readonly #rosters = new Map<Session, Roster>();
  #syncing = false;

  /** @param error told what no subscription takes */
  constructor(settings: Settings, link: Link, requests: Requests, error: (error: ClientError) => void) {
    this.#settings = settings;
    this.#link = link;
    this.#requests = requests;
    this.#error = error;
  }

  session(): Session | undefined {
    return this.#link.session;
  }

  /** @throws {ClientError} INVALID_CHANNEL, INVALID_OPTION, NOT_JSON */
  subscribe(name: string, options: SubscribeOptions = {}): OpenSubscription {
    check(name, options);
    const { recent = 0, state, signal } = options;
    const known = this.wanted.get(name);
    const channel = known ?? new Channel(name, recent, this.#error);
    this.wanted.set(name, channel);
    const subscription = new OpenSubscription(name, options, (ended) => {
      channel.subscriptions.delete(ended);
      this.#sync();
    });
    channel.subscriptions.add(subscription);
    if (known && recent > 0) {
      subscription.wait(() => void this.#past(channel, subscription, recent));
    }
    if (channel.taken) subscription.taken();
    if (state !== undefined) {
      if (channel.taken) this.setPresence(name, state).catch(this.#error);
      else channel.show(state);
    }
    if (signal?.aborted) subscription.unsubscribe();
    this.#sync();
    return subscription;
  }

  /** @throws {ClientError} NOT_JSON */
  setPresence(name: string, state: Json | undefined, patience?: Patience): Promise<unknown> {
    written({ state });
    this.wanted.get(name)?.show(state);
    return this.#requests.within(patience, async (session, signal) => {
      const channel = this.wanted.get(name);
      // Where the user is not, the server says so.
      if (!channel) return session.request("set_presence", { channel: name, state }, { signal });
      const roster = this.#rosters.get(session);
      if (!roster) throw connectionClosed();
      return roster.show(channel);
    });
  }

  message(message: PushedMessage): void {
    const channel = this.wanted.get(message.channel);
    if (!channel) return;
    channel.take(message);
    // Most of what comes out of order is put right by what comes next.
    this.#repair(channel, this.#settings.gapMs);
  }

  async attach(session: Session): Promise<boolean> {
    const roster = new Roster(session, this.#settings, this);
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
    const known = [...this.wanted.values()].flatMap(({ name, sequence: { position } }) =>
      position ? [[name, position] as const] : [],
    );
    return frames(known, (entry) => entry).map((entries) => Object.fromEntries(entries));
  }

  heads(heads: { readonly [channel: string]: Position }): void {
    for (const [name, head] of Object.entries(heads)) {
      const channel = this.wanted.get(name);
      if (!channel) continue;
      channel.sequence.note(head);
      this.#repair(channel, 0);
    }
  }

  beat(): void {
    for (const { name: channel, taken, stale, live } of this.wanted.values()) {
      if (!taken) continue;
      stale.emit();
      // A start or an end that was lost on its way is not told again. What fails is asked with the next heartbeat.
      if (live.changes.size > 0) {
        this.#requests.ask("stream", { channel }).then(live.asking(), () => {});
      }
    }
  }

  answered(channel: Channel, asked: Position | undefined, answer: Subscribed): void {
    // With another session beside this one it was never away.
    channel.answered(asked, answer, this.#rosters.size === 1);
    this.#repair(channel, 0);
  }

  refused(channel: Channel, error: ClientError): void {
    if (this.wanted.get(channel.name) === channel) this.wanted.delete(channel.name);
    const heard = [...channel.subscriptions].map((subscription) => subscription.end(error));
    if (heard.includes(false)) this.#error(error);
  }

  #repair(channel: Channel, waitMs: number): void {
    if (channel.sequence.behind) void repair(channel, waitMs, this.#settings, this);
  }

  /** A second subscription's past: the first one's has been asked for with the channel. */
  async #past(channel: Channel, subscription: OpenSubscription, limit: number): Promise<void> {
    // Without a connection it waits, as the subscription does.
    const ending = new AbortController();
    subscription.ready.catch(() => ending.abort());
    let past: readonly ChannelMessage[] = [];
    try {
      if (channel.sequence.position) {
        const asked = { channel: channel.name, limit };
        const sending = { signal: ending.signal, orIdle: true };
        past = (await this.#requests.again(sending, (session) => session.request("history", asked))).messages;
      }
    } catch (error) {
      if (!subscription.ended) this.#error(error as ClientError);
    }
    subscription.begin(past);
  }

  /** What is wanted has changed. What changes at the same time goes in one frame. */
  #sync(): void {
    if (this.#syncing) return;
    this.#syncing = true;
    queueMicrotask(() => {
      this.#syncing = false;
      for (const [name, { subscriptions }] of this.wanted) {
        if (subscriptions.size === 0) this.wanted.delete(name);
      }
      for (const roster of this.#rosters.values()) void roster.sync();
    });
  }
}

function check(name: string, { recent = 0, bufferSize = 1, state }: SubscribeOptions): void {
  checkChannel(name);
  checkInteger("recent", recent, 0, CLIENT_LIMITS.messages);
  checkInteger("bufferSize", bufferSize, 1);
  written({ state });
}

/** @throws {ClientError} INVALID_CHANNEL */
export function checkChannel(name: string): void {
  if (typeof name === "string" && parseChannel(name)) return;
  throw new ClientError("INVALID_CHANNEL", "A channel is namespace:name");
}
