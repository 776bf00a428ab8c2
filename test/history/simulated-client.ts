import { setTimeout as sleep } from "node:timers/promises";
import {
  type Client,
  ClientError,
  createClient,
  type Members,
  type Stream,
  type Subscription,
} from "../../src/client/index.ts";
import { FastClock } from "./fast-clock.ts";
import type { Pace } from "./load-profile.ts";
import type { Fact } from "./log.ts";
import { STAGE } from "./namespaces.ts";
import type { Network } from "./network.ts";
import type { Random } from "./random.ts";
import { plantedHand } from "./seeded-bugs.ts";
import { sightingOf, Wire } from "./wire.ts";

export interface PersonOptions {
  /** The same in both tenants: its idempotency keys are too. */
  readonly name: string;
  readonly user: string;
  readonly tenant: string;
  readonly channels: readonly string[];
  /** Whether it takes a new socket before the limit ends the old one. */
  readonly rotates: boolean;
  readonly pace: Pace;
  /** A bug that is put in. */
  readonly plant?: string | undefined;
}

/** After these a publication may be stored. */
const UNCERTAIN = ["STORE_FAILED", "TIMEOUT", "CONNECTION_CLOSED", "OUTCOME_UNKNOWN", "ABORTED"];

const LOOK_MS = 20;
const BACK_MS = 5_000;

/** Some messages are larger than others, and a few larger than a frame. */
const LARGER_BYTES = [0, 3_000] as const;
const IN_PARTS_BYTES = [33_000, 80_000] as const;

interface Listening {
  readonly subscription: Subscription;
  readonly members: Members | undefined;
  readonly stream: Stream | undefined;
  readonly subscriber: string;
}

/** A client of the product's own, who listens, publishes, comes and goes; all that it is told is written down. */
export class Person {
  readonly options: PersonOptions;
  readonly network: Network;
  readonly client: string;
  readonly #client: Client;
  readonly #wire: Wire;
  readonly #clock: FastClock;
  readonly #random: Random;
  readonly #log: (fact: Fact) => void;
  readonly #listening = new Map<string, Listening>();
  readonly #gone = new AbortController();
  /** It has come, and not gone for good. */
  isHere = false;
  /** Since when it streamed when it went away. */
  #since: number | undefined;
  #published = 0;
  #subscribed = 0;

  constructor(
    options: PersonOptions,
    network: Network,
    port: number,
    random: Random,
    log: (fact: Fact) => void,
  ) {
    this.options = options;
    this.network = network;
    this.#random = random;
    this.#log = log;
    const { name, user, tenant, rotates, pace } = options;
    this.client = `${tenant}-${name}`;
    this.#wire = new Wire({ client: this.client, tenant, user }, log, () => {
      // Beside one that is up.
      if (this.isConnected) log({ kind: "rotated", client: this.client });
    });
    this.#clock = new FastClock(1);
    this.#client = createClient({
      url: `ws://127.0.0.1:${port}/dev?${new URLSearchParams({ user, tenant })}`,
      WebSocket: this.#wire.WebSocket,
      clock: this.#clock,
      random: random.next,
      heartbeatMs: pace.heartbeatMs,
      heartbeatTimeoutMs: 9_000,
      connectTimeoutMs: 12_000,
      requestTimeoutMs: 12_000,
      reconnectBaseMs: 200,
      reconnectMaxMs: 2_000,
      ...(rotates ? { maxConnectionMs: 10_000 } : {}),
    });
    this.#client.onState(({ status }) => {
      if (status === "connected" || status === "reconnecting") log({ kind: status, client: this.client });
    });
  }

  get isConnected(): boolean {
    return this.#client.state.status === "connected";
  }

  /** Connected, and in all of its channels. */
  get isBack(): boolean {
    return this.isConnected && this.#wire.isIn(this.#listening.keys());
  }

  come(): void {
    this.isHere = true;
    this.#client.connect();
    for (const channel of this.options.channels) this.listen(channel);
  }

  /** Everything that it is subscribed to has been taken. */
  async ready(): Promise<void> {
    await Promise.all([...this.#listening.values()].map(({ subscription }) => subscription.ready));
  }

  /** For good. */
  go(): void {
    this.isHere = false;
    if (this.#stream !== undefined) this.#log({ kind: "away", ...this.#stage });
    for (const channel of [...this.#listening.keys()]) this.#forget(channel);
    this.#client.disconnect();
    this.#gone.abort();
  }

  listen(channel: string): void {
    const { client } = this;
    const { tenant, user } = this.options;
    const place = { tenant, channel };
    const subscriber = `${client} ${channel} ${++this.#subscribed}`;
    const listening = { client, subscriber, ...place };
    this.#log({ kind: "subscribed", ...listening });
    const subscription = this.#client.subscribe(channel, {
      onMessage: plantedHand(
        (message) => this.#log({ kind: "handed", ...listening, ...sightingOf(message) }),
        this.options.plant,
      ),
      onLost: (position) => this.#log({ kind: "lost", ...listening, position }),
      onError: ({ code }) => this.#log({ kind: "failed", ...listening, code }),
    });
    const hasPresence = channel.startsWith("room:");
    if (hasPresence) this.#log({ kind: "joins", client, user, ...place });
    const members = hasPresence ? this.#client.members(channel) : undefined;
    const stream = channel === STAGE ? this.#client.stream(channel) : undefined;
    this.#listening.set(channel, { subscription, members, stream, subscriber });
  }

  leave(channel: string): void {
    const listening = this.#listening.get(channel);
    this.#forget(channel);
    listening?.members?.close();
    listening?.stream?.close();
    listening?.subscription.unsubscribe();
  }

  listensTo(channel: string): boolean {
    return this.#listening.has(channel);
  }

  async publish(channel: string): Promise<void> {
    const { name, tenant } = this.options;
    const number = ++this.#published;
    const uid = `${this.client}#${number}`;
    const place = { tenant, channel };
    this.#log({ kind: "asked", uid, by: this.client, ...place });
    const inParts = this.#random.chance(this.options.pace.inParts);
    const larger = this.#random.chance(0.1) ? this.#random.integer(...LARGER_BYTES) : 0;
    const filler = "x".repeat(inParts ? this.#random.integer(...IN_PARTS_BYTES) : larger);
    try {
      const data = { uid, ...place, filler };
      const { position } = await this.#client.publish(channel, data, {
        key: `${name}#${number}`,
        signal: this.#gone.signal,
      });
      this.#log({ kind: "accepted", uid, inParts, position: position!, ...place });
    } catch (error) {
      const code = error instanceof ClientError ? error.code : "";
      this.#log({ kind: "refused", uid, code, mayBeStored: UNCERTAIN.includes(code) });
    }
  }

  /** @returns whether it streams now, as far as it was answered */
  startStream(): Promise<boolean> {
    return this.#act("start");
  }

  endStream(): Promise<boolean> {
    return this.#act("end");
  }

  /** Is not there any more, until it comes back. */
  vanish(how: "cut" | "silence"): void {
    this.network.blocked = true;
    this.#since = this.#stream?.live?.since;
    this.#log({ kind: "away", ...this.#stage });
    if (how === "cut") this.network.cut();
    else this.network.halfOpen("client");
  }

  async comeBack(): Promise<void> {
    this.network.blocked = false;
    const patience = AbortSignal.timeout(BACK_MS);
    do await sleep(LOOK_MS);
    while (!this.isBack && !patience.aborted);
    const kept = this.#since !== undefined && this.#stream?.live?.since === this.#since;
    this.#log({ kind: "back", ...this.#stage, kept });
  }

  async #act(act: "start" | "end"): Promise<boolean> {
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
    return this.#listening.get(STAGE)?.stream;
  }

  get #stage() {
    const { tenant, user } = this.options;
    return { client: this.client, user, tenant, channel: STAGE };
  }

  /** Writes down whom it sees where. */
  async lookAround(): Promise<void> {
    const { client } = this;
    const { tenant } = this.options;
    for (const [channel, { members, stream }] of this.#listening) {
      if (stream !== undefined) {
        const { user, since } = stream.live ?? {};
        this.#log({ kind: "live", client, tenant, channel, source: "live", user, since });
      }
      if (members === undefined) continue;
      const where = { kind: "present", client, tenant, channel } as const;
      const asked = await this.#client.presence(channel).catch(() => undefined);
      this.#log({ ...where, source: "asked", users: asked?.users.map(({ user }) => user).sort() ?? [] });
      this.#log({ ...where, source: "live", users: [...members.users.keys()].sort() });
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
    const listening = this.#listening.get(channel);
    if (listening === undefined) return;
    this.#listening.delete(channel);
    const { client } = this;
    const { tenant, user } = this.options;
    this.#log({ kind: "unsubscribed", client, subscriber: listening.subscriber, tenant, channel });
    if (listening.members !== undefined) this.#log({ kind: "leaves", client, user, tenant, channel });
  }
}
