import { join } from "node:path";
import {
  pollTableStream,
  type TableStreamEvent,
  type TableStreamPoller,
} from "../../src/lambda-emulator/index.ts";
import { LOAD_PROFILES, type LoadProfile } from "./load-profile.ts";
import type { LogEvent } from "./log.ts";
import { STAGE } from "./namespaces.ts";
import { Network } from "./network.ts";
import type { FromServer, ServerConfig, ServerPublication } from "./process-messages.ts";
import type { Random } from "./random.ts";
import { ServerProcess } from "./server-process.ts";
import { SimulatedClient, type SimulatedClientOptions } from "./simulated-client.ts";
import { type StoreConfig, tableStreamOf } from "./stores.ts";

const ALL = ["room:lobby", "room:side", "tight:feed", "brief:feed", "quiet:news"];
/** Nobody publishes present. */
export const SILENT_CHANNEL = "room:attic";

/** The tenants share names, users and channels where possible, so that a leak between them would show. */
export const TENANTS = ["a", "b"] as const;

interface Role {
  readonly name: string;
  /** Absent for a user that only one tenant has. */
  readonly user?: string;
  readonly channels: readonly string[];
  /** Channels in a reduced load profile. The client is left out when there are none. */
  readonly reducedChannels?: readonly string[];
  /** Makes long requests, and needs no channels. */
  readonly asks?: boolean;
  readonly rotates: boolean;
}

const ROLES: readonly Role[] = [
  // Two tabs of one user.
  { name: "ada1", user: "ada", channels: [...ALL, STAGE], rotates: true },
  {
    name: "ada2",
    user: "ada",
    channels: ["room:lobby", "tight:feed", "brief:feed"],
    reducedChannels: ["room:lobby"],
    rotates: false,
  },
  { name: "bob", user: "bob", channels: ALL, reducedChannels: [], rotates: false },
  {
    name: "only",
    channels: [...ALL, STAGE],
    reducedChannels: ["room:lobby", "tight:feed", "brief:feed", "quiet:news"],
    rotates: true,
  },
  { name: "owner", user: "sue", channels: [STAGE], rotates: true },
  // In a silent channel only the idle limit detects a lost connection.
  { name: "hermit", user: "hal", channels: [SILENT_CHANNEL], rotates: false },
  // Two devices of a user with long requests.
  { name: "asker1", user: "dot", channels: [], asks: true, rotates: true },
  { name: "asker2", user: "dot", channels: [], asks: true, rotates: false },
  { name: "leaver", user: "gus", channels: [SILENT_CHANNEL, "room:side"], rotates: false },
];

function userOf(tenant: string, user: string | undefined): string {
  return user ?? `only-${tenant}`;
}

export const USERS = Object.fromEntries(
  TENANTS.map((tenant) => [tenant, [...new Set(ROLES.map(({ user }) => userOf(tenant, user)))]]),
);

export interface SimulationOptions {
  readonly storeConfig: StoreConfig;
  readonly folder: string;
  readonly random: Random;
  readonly log: (event: LogEvent) => void;
  readonly bug?: string | undefined;
}

/** The server, its clients and the network between them. */
export class Simulation {
  readonly server: ServerProcess;
  readonly clients: SimulatedClient[] = [];
  readonly profile: LoadProfile;
  readonly #options: SimulationOptions;
  readonly #log: (event: LogEvent) => void;
  #poller: TableStreamPoller | undefined;
  readonly #pending = new Map<string, { readonly tenant: string; readonly channel: string }>();
  readonly #published = new Map<string, number>();
  /** Ticks that the server completed. */
  ticks = 0;
  /** Ends of streams that viewers received, by tenant. */
  readonly streamEnds = new Map<string, number>();
  /** The long requests that clients have made. */
  readonly requested: { readonly tenant: string; readonly id: string }[] = [];
  /** The name in the log for the next kill. */
  killReason = "killed";

  constructor(given: SimulationOptions) {
    const { storeConfig, folder, random, bug } = given;
    const options = { ...given, log: (event: LogEvent) => this.#record(event) };
    this.#log = given.log;
    this.#options = options;
    this.profile = LOAD_PROFILES[storeConfig.store];
    const config: ServerConfig = {
      storeConfig,
      blobFolder: join(folder, "blobs"),
      seed: random.integer(0, 2 ** 31),
      profile: this.profile,
      speed: 1,
      bug,
    };
    this.server = new ServerProcess(config, join(folder, "server.log"), {
      started: () => options.log({ kind: "started" }),
      listening: (port) => this.#onListening(port),
      message: (message) => this.#onMessage(message),
      ended: (signal) => this.#onExit(signal),
    });
  }

  async start(): Promise<void> {
    const { storeConfig, log, random, bug } = this.#options;
    for (const tenant of TENANTS) {
      for (const { user, reducedChannels, channels: all, asks, ...client } of ROLES) {
        const channels = this.profile.isReduced ? (reducedChannels ?? all) : all;
        if (channels.length === 0 && !asks) continue;
        const network = new Network((fault) => this.fault(fault));
        const port = await network.listen();
        const options: SimulatedClientOptions = {
          ...client,
          channels,
          user: userOf(tenant, user),
          tenant,
          profile: this.profile,
          bug,
        };
        this.clients.push(new SimulatedClient(options, network, port, random.fork(), log));
      }
    }
    await this.server.start();
    const stream = tableStreamOf(storeConfig);
    // The poller is the service's, so it outlives the killed process.
    const handler = (event: TableStreamEvent) => this.server.fanOut(event);
    if (stream !== undefined) this.#poller = await pollTableStream({ ...stream, handler });
    for (const client of this.clients) client.start();
    await Promise.all(this.clients.map((client) => client.ready()));
    // Starting is slow, so the fast clock begins after it.
    this.speed = this.profile.speed;
  }

  log(event: LogEvent): void {
    this.#options.log(event);
  }

  fault(fault: string): void {
    this.log({ kind: "fault", fault });
  }

  /** The clients that stream, one in each tenant. */
  get owners(): SimulatedClient[] {
    return this.clients.filter(({ options }) => options.name === "owner");
  }

  get connected(): SimulatedClient[] {
    return this.present.filter(({ isConnected }) => isConnected);
  }

  get present(): SimulatedClient[] {
    return this.clients.filter(({ isPresent }) => isPresent);
  }

  set speed(speed: number) {
    this.server.speed = speed;
    for (const client of this.clients) client.speed = speed;
  }

  /** Publishes from the server. */
  publish(tenant: string, channel: string): void {
    const number = (this.#published.get(tenant) ?? 0) + 1;
    this.#published.set(tenant, number);
    const uid = `${tenant}-server#${number}`;
    // The key is the same in both tenants.
    const publication: ServerPublication = { uid, tenant, channel, key: `server#${number}` };
    this.log({ kind: "asked", uid, by: "server", tenant, channel });
    this.#pending.set(uid, { tenant, channel });
    if (!this.server.send({ type: "publish", publication })) this.#refused(uid, "UNAVAILABLE", false);
  }

  /** Whether a publication of the server is unanswered. */
  get isPublishing(): boolean {
    return this.#pending.size > 0;
  }

  /** Asks the server for its live streams. */
  observe(): void {
    for (const tenant of TENANTS) this.server.send({ type: "get live stream", tenant, channel: STAGE });
  }

  async stop(): Promise<void> {
    for (const client of this.clients) client.close();
    await this.server.stop();
    await this.#poller?.stop();
  }

  #record(event: LogEvent): void {
    if (event.kind === "stream_ended") {
      this.streamEnds.set(event.tenant, (this.streamEnds.get(event.tenant) ?? 0) + 1);
    }
    this.#log(event);
  }

  #onListening(port: number): void {
    for (const { network } of this.clients) network.target = port;
  }

  #onMessage(message: FromServer): void {
    if (message.type === "fault") this.fault(message.fault);
    if (message.type === "stored") this.log({ kind: "request_stored", ...message.fact });
    if (message.type === "ticked") this.ticks++;
    if (message.type === "resumed" && message.count > 0) this.log({ kind: "resumed", count: message.count });
    if (message.type === "live stream") {
      const { type: _, ...stream } = message;
      this.log({ kind: "live", client: "server", source: "asked", ...stream });
    }
    if (message.type !== "published") return;
    const { uid, position } = message;
    const target = this.#pending.get(uid);
    this.#pending.delete(uid);
    if (target === undefined) return;
    if (position === undefined) this.#refused(uid, "STORE_FAILED", true);
    else this.log({ kind: "accepted", uid, position, ...target });
  }

  #onExit(signal: NodeJS.Signals | null): void {
    if (signal !== "SIGKILL") this.log({ kind: "crashed" });
    for (const { network } of this.clients) network.target = undefined;
    this.fault(this.killReason);
    this.killReason = "killed";
    for (const uid of [...this.#pending.keys()]) this.#refused(uid, "UNAVAILABLE", true);
  }

  #refused(uid: string, code: string, mayBeStored: boolean): void {
    this.#pending.delete(uid);
    this.log({ kind: "refused", uid, code, mayBeStored });
  }
}
