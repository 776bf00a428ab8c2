// Makes reference logs, in which every promise is kept. The checker must find no violation in them.
import type { Position } from "../../src/protocol/index.ts";
import type { LogEntry, LogEvent, NamespaceRules, SeenMessage, TenantChannel } from "./log.ts";
import { Random } from "./random.ts";
import { referenceRequests } from "./reference-requests.ts";

export interface ReferenceLogOptions {
  readonly seed: number;
  readonly durable: boolean;
}

export const GRACE_MS = 500;
const NAMESPACES: { readonly [name: string]: NamespaceRules } = {
  room: { size: 1_000, ageMs: 3_600_000, presence: true },
  tight: { size: 4, ageMs: 400, presence: false },
  show: { size: 1_000, ageMs: 3_600_000, presence: false, graceMs: GRACE_MS },
};
const STAGE = "show:stage";
const CHANNELS = ["room:lobby", "tight:feed"];
const TENANTS = ["a", "b"];
const STEPS = 120;

interface Channel extends TenantChannel {
  epoch: string;
  readonly messages: SeenMessage[];
}

interface Listener {
  readonly client: string;
  readonly user: string;
  readonly subscriber: string;
  readonly channel: Channel;
  position: Position;
  connected: boolean;
}

export function referenceLog(options: ReferenceLogOptions): LogEntry[] {
  return new ReferenceRun(options).log;
}

class ReferenceRun {
  readonly log: LogEntry[] = [];
  readonly #random: Random;
  readonly #durable: boolean;
  readonly #channels: Channel[];
  readonly #listeners: Listener[] = [];
  /** Live streams at the end. */
  readonly #live: (TenantChannel & {
    readonly client: string;
    readonly user: string;
    readonly since: number;
  })[] = [];
  #now = 1_000_000;
  #processNumber = 1;
  #published = 0;

  constructor({ seed, durable }: ReferenceLogOptions) {
    this.#random = new Random(seed);
    this.#durable = durable;
    const users = { a: ["ada", "bob"], b: ["ada", "bea"] };
    this.#write({ kind: "run", seed, store: "model", durable, namespaces: NAMESPACES, users });
    this.#write({ kind: "started" });
    this.#channels = TENANTS.flatMap((tenant) =>
      CHANNELS.map((channel) => ({ tenant, channel, epoch: `${tenant}-${channel}-1`, messages: [] })),
    );
    for (const channel of this.#channels) {
      const names = channel.tenant === "a" ? users.a : users.b;
      for (const user of names) this.#join(channel, user);
    }
    for (const tenant of TENANTS) this.#stream(tenant);
    for (let step = 0; step < STEPS; step++) this.#step();
    this.#end();
  }

  #step(): void {
    this.#now += this.#random.integer(1, 30);
    const listener = this.#random.pick(this.#listeners);
    const kind = this.#random.next();
    if (kind < 0.6) this.#publish(this.#random.pick(this.#channels));
    else if (kind < 0.75) listener.connected = false;
    else if (kind < 0.97) this.#reconnect(listener);
    else this.#restart();
  }

  #join(channel: Channel, user: string): void {
    const { tenant, channel: name } = channel;
    const client = `${tenant}-${user}`;
    const listening = { client, subscriber: `${client} ${name} 1`, tenant, channel: name };
    this.#write({ kind: "subscribed", ...listening });
    this.#write({ kind: "joins", client, user, tenant, channel: name });
    const position = headOf(channel);
    const answer = { kind: "answered", action: "subscribe", client, tenant, channel: name } as const;
    this.#write({ ...answer, asked: this.#now, position, more: false, messages: [] });
    this.#listeners.push({ ...listening, user, channel, position, connected: true });
  }

  #publish(channel: Channel): void {
    const { tenant, channel: name, epoch, messages } = channel;
    const uid = `${tenant}#${++this.#published}`;
    const position = { epoch, offset: messages.length + 1 };
    const target = { tenant, channel: name };
    const message: SeenMessage = { uid, origin: target, position, at: this.#now };
    this.#write({ kind: "asked", uid, by: "x", ...target });
    messages.push(message);
    this.#write({ kind: "accepted", uid, position, ...target });
    for (const listener of this.#listeners) {
      if (listener.channel !== channel || !listener.connected) continue;
      this.#write({ kind: "received", client: listener.client, ...target, ...message });
      this.#deliver(listener, message);
    }
  }

  #reconnect(listener: Listener): void {
    if (listener.connected) return;
    listener.connected = true;
    const { client, channel, position: after } = listener;
    const { tenant, channel: name } = channel;
    const position = headOf(channel);
    const rules = NAMESPACES[name.slice(0, name.indexOf(":"))]!;
    const missed = channel.messages.slice(after.offset);
    const isKept = ({ position: { offset }, at }: SeenMessage) =>
      offset > position.offset - rules.size && this.#now - at < rules.ageMs;
    const recovered = after.epoch === position.epoch && missed.every(isKept);
    const messages = recovered ? missed : [];
    const answer = { kind: "answered", action: "subscribe", client, tenant, channel: name } as const;
    this.#write({ ...answer, asked: this.#now, after, position, recovered, more: false, messages });
    if (!recovered) {
      const { subscriber } = listener;
      this.#write({ kind: "lost", client, subscriber, tenant, channel: name, position });
      listener.position = position;
    }
    for (const message of messages) this.#deliver(listener, message);
  }

  #deliver(listener: Listener, message: SeenMessage): void {
    const { client, subscriber, channel } = listener;
    const target = { tenant: channel.tenant, channel: channel.channel };
    this.#write({ kind: "delivered", client, subscriber, ...target, ...message });
    listener.position = message.position;
  }

  /** Three streams: the owner ends one, leaves another until it ends, and continues the last. */
  #stream(tenant: string): void {
    const owner = { client: `${tenant}-ada`, user: "ada", tenant, channel: STAGE };
    const viewer = { ...owner, client: `${tenant}-viewer` };
    const act = (act: "start" | "end") => {
      this.#write({ kind: "streams", ...owner, act, outcome: "asked" });
      const at = this.#now;
      const [stream, since] = [{ ...viewer, at }, at];
      if (act === "start") this.#write({ kind: "stream_started", ...stream, since });
      else this.#write({ kind: "stream_ended", ...stream, reason: "ended" });
      this.#write({ kind: "streams", ...owner, act, outcome: "done" });
    };
    const stay = () => {
      const from = this.#now;
      this.#now += this.#random.integer(2_000, 3_000);
      this.#write({ kind: "held", ...owner, from, until: this.#now });
    };
    act("start");
    stay();
    act("end");
    act("start");
    stay();
    this.#write({ kind: "away", ...owner });
    this.#now += GRACE_MS + this.#random.integer(0, 300);
    this.#write({ kind: "stream_ended", ...viewer, at: this.#now, reason: "owner_left" });
    this.#write({ kind: "back", ...owner, kept: false });
    act("start");
    this.#live.push({ ...viewer, since: this.#now });
  }

  /** Disconnects all clients. Histories that are not durable start again. */
  #restart(): void {
    this.#write({ kind: "started" });
    this.#processNumber++;
    for (const listener of this.#listeners) listener.connected = false;
    if (this.#durable) return;
    for (const channel of this.#channels) {
      channel.epoch = `${channel.tenant}-${channel.channel}-${this.#processNumber}`;
      channel.messages.length = 0;
    }
  }

  #end(): void {
    for (const listener of this.#listeners) this.#reconnect(listener);
    for (const tenant of TENANTS) {
      for (const event of referenceRequests(tenant, this.#now)) this.#write(event);
    }
    this.#write({ kind: "calm" });
    for (const channel of this.#channels) this.#publish(channel);
    for (const { client, channel } of this.#listeners) {
      const { tenant, channel: name } = channel;
      if (!name.startsWith("room:")) continue;
      const users = this.#listeners.filter((other) => other.channel === channel).map(({ user }) => user);
      this.#write({ kind: "present", client, source: "asked", tenant, channel: name, users });
    }
    for (const live of this.#live) {
      this.#write({ kind: "live", ...live, source: "live" });
      this.#write({ kind: "live", ...live, client: "server", source: "asked" });
    }
    this.#write({ kind: "end" });
  }

  #write(event: LogEvent): void {
    this.log.push({ t: this.#now, ...event });
  }
}

function headOf({ epoch, messages }: Channel): Position {
  return { epoch, offset: messages.length };
}
