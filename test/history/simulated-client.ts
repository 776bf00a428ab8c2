import { setTimeout as sleep } from "node:timers/promises";
import {
  type Client,
  ClientError,
  createClient,
  type Members,
  presence,
  requests,
  type Stream,
  type Subscription,
  streams,
} from "../../src/client/index.ts";
import { FastClock } from "./fast-clock.ts";
import { seenMessage } from "./frame-log.ts";
import type { LoadProfile } from "./load-profile.ts";
import type { LogEvent } from "./log.ts";
import { STAGE } from "./namespaces.ts";
import type { Network } from "./network.ts";
import type { Random } from "./random.ts";
import { RequestUser } from "./request-user.ts";
import { handlerWithBug } from "./seeded-bugs.ts";
import { WireRecorder } from "./wire-recorder.ts";

export interface SimulatedClientOptions {
  /** Same in both tenants, as are the idempotency keys made of it. */
  readonly name: string;
  readonly user: string;
  readonly tenant: string;
  readonly channels: readonly string[];
  /** Whether the client replaces its socket before the lifetime limit. */
  readonly rotates: boolean;
  readonly profile: LoadProfile;
  /** Name of a seeded bug. */
  readonly bug?: string | undefined;
}

/** After these errors the publication may be stored. */
const UNCERTAIN = ["STORE_FAILED", "TIMEOUT", "CONNECTION_CLOSED", "OUTCOME_UNKNOWN", "ABORTED"];

const POLL_MS = 20;
const RECONNECT_TIMEOUT_MS = 5_000;

/** Sizes of large messages, and of those that exceed a frame. */
const LARGER_BYTES = [0, 3_000] as const;
const CHUNKED_BYTES = [33_000, 80_000] as const;

interface ActiveSubscription {
  readonly subscription: Subscription;
  readonly members: Members | undefined;
  readonly stream: Stream | undefined;
  readonly subscriber: string;
}

/** Drives the product's client: subscribes, publishes, disconnects, and logs all that it receives. */
export class SimulatedClient {
  readonly options: SimulatedClientOptions;
  readonly network: Network;
  readonly client: string;
  /** Makes and watches long requests. */
  readonly requests: RequestUser;
  readonly #client: Client;
  readonly #wire: WireRecorder;
  readonly #clock: FastClock;
  readonly #random: Random;
  readonly #log: (fact: LogEvent) => void;
  readonly #subscriptions = new Map<string, ActiveSubscription>();
  readonly #stopped = new AbortController();
  /** Started and not stopped. */
  isPresent = false;
  /** Start time of its stream when it disconnected. */
  #streamedSince: number | undefined;
  #published = 0;
  #subscriptionCount = 0;

  constructor(
    options: SimulatedClientOptions,
    network: Network,
    port: number,
    random: Random,
    log: (fact: LogEvent) => void,
  ) {
    this.options = options;
    this.network = network;
    this.#random = random;
    this.#log = log;
    const { name, user, tenant, rotates, profile } = options;
    this.client = `${tenant}-${name}`;
    this.#wire = new WireRecorder({ client: this.client, tenant, user, log }, () => {
      // A socket that opens beside a connected one is a rotation.
      if (this.isConnected) log({ kind: "rotated", client: this.client });
    });
    this.#clock = new FastClock(1);
    this.#client = createClient({
      url: `ws://127.0.0.1:${port}/dev?${new URLSearchParams({ user, tenant })}`,
      use: [presence(), streams(), requests()],
      WebSocket: this.#wire.WebSocket,
      clock: this.#clock,
      random: random.next,
      heartbeatMs: profile.heartbeatMs,
      heartbeatTimeoutMs: 9_000,
      connectTimeoutMs: 12_000,
      requestTimeoutMs: 12_000,
      reconnectBaseMs: 200,
      reconnectMaxMs: 2_000,
      ...(rotates ? { maxConnectionMs: 10_000 } : {}),
    });
    this.requests = new RequestUser(this.#client, { client: this.client, tenant, user }, this.#wire, log);
    this.#client.onState(({ status }) => {
      if (status === "connected" || status === "reconnecting") log({ kind: status, client: this.client });
    });
  }

  get isConnected(): boolean {
    return this.#client.state.status === "connected";
  }

  /** Connected and subscribed to all of its channels. */
  get isReady(): boolean {
    return this.isConnected && this.#wire.isSubscribed(this.#subscriptions.keys());
  }

  start(): void {
    this.isPresent = true;
    this.#client.connect();
    for (const channel of this.options.channels) this.subscribe(channel);
  }

  /** Resolves when all subscriptions are active. */
  async ready(): Promise<void> {
    await Promise.all([...this.#subscriptions.values()].map(({ subscription }) => subscription.ready));
  }

  /** Disconnects for good. */
  stop(): void {
    this.isPresent = false;
    if (this.#stream !== undefined) this.#log({ kind: "away", ...this.#stage });
    for (const channel of [...this.#subscriptions.keys()]) this.#forget(channel);
    this.#client.disconnect();
    this.#stopped.abort();
  }

  subscribe(channel: string): void {
    const { client } = this;
    const { tenant, user } = this.options;
    const target = { tenant, channel };
    const subscriber = `${client} ${channel} ${++this.#subscriptionCount}`;
    const names = { client, subscriber, ...target };
    this.#log({ kind: "subscribed", ...names });
    const subscription = this.#client.subscribe(channel, {
      onMessage: handlerWithBug(
        (message) => this.#log({ kind: "delivered", ...names, ...seenMessage(message) }),
        this.options.bug,
      ),
      onLost: (position) => this.#log({ kind: "lost", ...names, position }),
      onError: ({ code }) => this.#log({ kind: "failed", ...names, code }),
    });
    const hasPresence = channel.startsWith("room:");
    if (hasPresence) this.#log({ kind: "joins", client, user, ...target });
    const members = hasPresence ? this.#client.members(channel) : undefined;
    const stream = channel === STAGE ? this.#client.stream(channel) : undefined;
    this.#subscriptions.set(channel, { subscription, members, stream, subscriber });
  }

  unsubscribe(channel: string): void {
    const listening = this.#subscriptions.get(channel);
    this.#forget(channel);
    listening?.members?.close();
    listening?.stream?.close();
    listening?.subscription.unsubscribe();
  }

  isSubscribed(channel: string): boolean {
    return this.#subscriptions.has(channel);
  }

  async publish(channel: string): Promise<void> {
    const { name, tenant } = this.options;
    const number = ++this.#published;
    const uid = `${this.client}#${number}`;
    const target = { tenant, channel };
    this.#log({ kind: "asked", uid, by: this.client, ...target });
    const chunked = this.#random.chance(this.options.profile.chunkedShare);
    const larger = this.#random.chance(0.1) ? this.#random.integer(...LARGER_BYTES) : 0;
    const filler = "x".repeat(chunked ? this.#random.integer(...CHUNKED_BYTES) : larger);
    try {
      const data = { uid, ...target, filler };
      const { position } = await this.#client.publish(channel, data, {
        key: `${name}#${number}`,
        signal: this.#stopped.signal,
      });
      this.#log({ kind: "accepted", uid, chunked, position: position!, ...target });
    } catch (error) {
      const code = error instanceof ClientError ? error.code : "";
      this.#log({ kind: "refused", uid, code, mayBeStored: UNCERTAIN.includes(code) });
    }
  }

  /** @returns whether the server confirmed it */
  startStream(): Promise<boolean> {
    return this.#callStream("start");
  }

  endStream(): Promise<boolean> {
    return this.#callStream("end");
  }

  /** Loses its connection until `reconnect`: by a closed socket, or without a sign. */
  vanish(how: "cut" | "silence"): void {
    this.network.blocked = true;
    this.#streamedSince = this.#stream?.live?.since;
    this.#log({ kind: "away", ...this.#stage });
    if (how === "cut") this.network.cut();
    else this.network.halfOpen("client");
  }

  async reconnect(): Promise<void> {
    this.network.blocked = false;
    const timeout = AbortSignal.timeout(RECONNECT_TIMEOUT_MS);
    do await sleep(POLL_MS);
    while (!this.isReady && !timeout.aborted);
    const kept = this.#streamedSince !== undefined && this.#stream?.live?.since === this.#streamedSince;
    this.#log({ kind: "back", ...this.#stage, kept });
  }

  async #callStream(act: "start" | "end"): Promise<boolean> {
    const doing = { kind: "streams", ...this.#stage, act } as const;
    this.#log({ ...doing, outcome: "asked" });
    try {
      await this.#stream?.[act]();
      this.#log({ ...doing, outcome: "done" });
      return true;
    } catch {
      this.#log({ ...doing, outcome: "failed" });
      return false;
    }
  }

  get #stream(): Stream | undefined {
    return this.#subscriptions.get(STAGE)?.stream;
  }

  get #stage() {
    const { tenant, user } = this.options;
    return { client: this.client, user, tenant, channel: STAGE };
  }

  /** Logs the members and live streams that it sees. */
  async observe(): Promise<void> {
    const { client } = this;
    const { tenant } = this.options;
    for (const [channel, { members, stream }] of this.#subscriptions) {
      if (stream !== undefined) {
        const { user, since } = stream.live ?? {};
        this.#log({ kind: "live", client, tenant, channel, source: "live", user, since });
      }
      if (members === undefined) continue;
      const entry = { kind: "present", client, tenant, channel } as const;
      const asked = await this.#client.presence(channel).catch(() => undefined);
      this.#log({ ...entry, source: "asked", users: asked?.users.map(({ user }) => user).sort() ?? [] });
      this.#log({ ...entry, source: "live", users: [...members.users.keys()].sort() });
    }
  }

  set speed(speed: number) {
    this.#clock.speed = speed;
  }

  close(): void {
    this.#client.disconnect();
    this.#wire.close();
    this.network.close();
  }

  #forget(channel: string): void {
    const listening = this.#subscriptions.get(channel);
    if (listening === undefined) return;
    this.#subscriptions.delete(channel);
    const { client } = this;
    const { tenant, user } = this.options;
    this.#log({ kind: "unsubscribed", client, subscriber: listening.subscriber, tenant, channel });
    if (listening.members !== undefined) this.#log({ kind: "leaves", client, user, tenant, channel });
  }
}
