import { expect } from "vitest";
import { lambdaContext } from "../../src/lift/testing/index.ts";
import type { ChannelStore } from "../../src/store/index.ts";
import { toChannelKey } from "../../src/streamer/channel-keys.ts";
import { checkLog } from "../history/checker.ts";
import type { LogEntry, LogEvent, NamespaceRules } from "../history/log.ts";
import { collect } from "../streamer/simulation.ts";
import { type OrderOptions, type Overlap, runInEveryOrder, type Step } from "../support/interleaving.ts";
import type { Backend, SharedStores } from "./backend.ts";
import { Container, type ContainerSettings } from "./container.ts";
import { NAMESPACES } from "./namespaces.ts";
import { SimulatedClient, TENANT } from "./simulated-client.ts";
import { SimulatedConnections } from "./simulated-connections.ts";

/** The stores, containers and clients of one order, and the log of everything that the clients saw. */
export class Simulation {
  /** Differs in each order, because the orders share tables and files. */
  readonly name: string;
  readonly connections = new SimulatedConnections();
  readonly clients: SimulatedClient[] = [];
  readonly backend: Backend;
  readonly log: LogEntry[] = [];
  readonly #stores: SharedStores;
  readonly #startedAt: number;

  constructor(name: string, backend: Backend) {
    this.name = name;
    this.backend = backend;
    this.#stores = backend.share(name);
    this.#startedAt = backend.now();
    const users = { [TENANT]: ["ada", "bob", "eve"] };
    this.write({ kind: "run", seed: 0, store: "", durable: true, namespaces: NAMESPACES, users });
    this.write({ kind: "started" });
  }

  /** Returns a new process. @param step absent: its calls are no steps */
  container(step?: Step, options: ContainerSettings = {}): Container {
    return new Container({
      ...options,
      stores: this.#stores.open(step),
      connections: this.connections,
      now: this.backend.now,
      startedAt: this.#startedAt,
    });
  }

  client(name: string, user: string): SimulatedClient {
    const client = new SimulatedClient(
      `${name}-${this.name}`,
      user,
      (event) => this.write(event),
      this.backend.now,
    );
    this.clients.push(client);
    return client;
  }

  /** Connects a client, and subscribes it to a channel. */
  async member(name: string, user: string, channel: string): Promise<SimulatedClient> {
    const client = this.client(name, user);
    const container = this.container();
    await client.connect(container);
    await client.subscribe(container, channel);
    if (channel.startsWith("room:")) await client.listMembers(container, channel);
    return client;
  }

  /** A client loses its connection for good, and a container handles its `$disconnect`. */
  async leave(client: SimulatedClient, step: Step, settings?: ContainerSettings): Promise<void> {
    await this.vanish(client, step);
    await this.container(step, settings).disconnected(client);
  }

  /** A client loses its connection for good, and the service has not sent its `$disconnect` yet. */
  vanish(client: SimulatedClient, step: Step = (call) => call()): Promise<void> {
    return step(async () => {
      client.leave();
      this.connections.gone(client.connectionId);
    });
  }

  /** A client loses its connection, and its `$disconnect` has been handled. It can connect again. */
  async lose(client: SimulatedClient): Promise<void> {
    client.disconnect();
    this.connections.gone(client.connectionId);
    await this.container().disconnected(client);
  }

  /** A process stores a message, and dies before it sends the message to anyone. */
  async storeOnly(channel: string, uid: string): Promise<void> {
    const target = { tenant: TENANT, channel };
    this.write({ kind: "asked", uid, by: "server", ...target });
    const message = { id: uid, data: { uid, ...target }, at: this.backend.now() };
    const { history } = this.#stores.open().store;
    await history.append(toChannelKey({ tenantId: TENANT }, channel), message, namespaceOf(channel));
    this.write({ kind: "refused", uid, code: "CONNECTION_CLOSED", mayBeStored: true });
  }

  /** A process resumes the fan-outs that others did not complete. */
  async recover(step?: Step): Promise<void> {
    const { streamer } = this.container(step);
    if (this.#stores.readTableStream === undefined) return void (await streamer.resume());
    const read = this.#stores.readTableStream;
    const event = await (step === undefined ? read() : step(read));
    await streamer.fanOutHandler({ graceMs: 0 })(event, lambdaContext());
  }

  /** Whether the server has closed the connection of a client. */
  isClosed({ connectionId }: SimulatedClient): boolean {
    return this.connections.disconnected.includes(connectionId);
  }

  /** Checks the presence events about a user that a client has received. */
  expectEvents({ name }: SimulatedClient, events: readonly string[], user: string): void {
    const seen = this.log.flatMap((entry) =>
      entry.kind === "presence" && entry.client === name && entry.user === user ? [entry.event] : [],
    );
    expect(seen).toEqual(events);
  }

  write(event: LogEvent): void {
    this.log.push({ t: this.backend.now(), ...event });
  }

  /** Checks the log, and that the store lists exactly the connected subscribers of a channel. */
  async check(channel: string): Promise<void> {
    const container = this.container();
    const { streamer } = container;
    const members = this.clients.filter((client) => client.isSubscribed(channel));
    for (const client of this.clients) if (client.isConnected) await client.observe(container, channel);
    if (channel.startsWith("show:")) {
      const { user, since } = (await streamer.stream(channel, { tenantId: TENANT })) ?? {};
      const seen = { client: "server", tenant: TENANT, channel, user, since };
      this.write({ kind: "live", ...seen, source: "asked" });
    }
    this.write({ kind: "end" });
    expect(checkLog(this.log)).toEqual([]);
    await this.#checkMembers(container.stores.store, channel, members);
  }

  async #checkMembers(
    { members, history }: ChannelStore,
    channel: string,
    expected: readonly SimulatedClient[],
  ): Promise<void> {
    const key = toChannelKey({ tenantId: TENANT }, channel);
    const pages = await collect(members.listMembers(key, this.backend.now()));
    const listed = pages.flatMap((page) => page.members.map(({ connectionId }) => connectionId));
    expect(listed.sort()).toEqual(expected.map(({ connectionId }) => connectionId).sort());
    for (const { connectionId } of this.clients.filter(({ isConnected }) => !isConnected)) {
      expect(await collect(members.listChannels(connectionId))).toEqual([]);
    }
    const pending = await collect(history.listPendingFanOuts(Number.MAX_SAFE_INTEGER));
    expect(pending.filter((one) => one.channel.includes(this.name))).toEqual([]);
  }
}

/** Concurrent sides, in a simulation of their own. Resolves when the sides can start. */
export type Scenario = (simulation: Simulation) => Promise<Overlap<unknown>>;

/** Scenarios by title. */
export interface Scenarios {
  readonly [title: string]: Scenario;
}

function namespaceOf(channel: string): NamespaceRules {
  return NAMESPACES[channel.slice(0, channel.indexOf(":"))]!;
}

let orders = 0;

/** Plays a scenario in many orders. @returns the number of orders */
export function play(backend: Backend, options: OrderOptions, scenario: Scenario): Promise<number> {
  return runInEveryOrder(options, () => scenario(new Simulation(`order${++orders}.`, backend)));
}
