import { join } from "node:path";
import {
  pollTableStream,
  type TableStreamEvent,
  type TableStreamPoller,
} from "../../src/lambda-emulator/index.ts";
import type { FromServer, ServerConfig, ServerPublication } from "./control.ts";
import { PACES, type Pace } from "./load-profile.ts";
import type { Fact } from "./log.ts";
import { STAGE } from "./namespaces.ts";
import { Network } from "./network.ts";
import type { Random } from "./random.ts";
import { ServerProcess } from "./server-process.ts";
import { Person, type PersonOptions } from "./simulated-client.ts";
import { type Backing, streamOf } from "./stores.ts";

const ALL = ["room:lobby", "room:side", "tight:feed", "brief:feed", "quiet:news"];
/** Nothing is said there. */
export const ATTIC = "room:attic";

/** Names, users and channels are the same in both tenants, as far as they can be: nothing may cross all the same. */
export const TENANTS = ["a", "b"] as const;

interface Role {
  readonly name: string;
  /** Absent: one whom only this tenant has. */
  readonly user?: string;
  readonly channels: readonly string[];
  /** Where few are meant to be; none: it does not come. */
  readonly fewer?: readonly string[];
  readonly rotates: boolean;
}

const PEOPLE: readonly Role[] = [
  // Two tabs of one user.
  { name: "ada1", user: "ada", channels: [...ALL, STAGE], rotates: true },
  {
    name: "ada2",
    user: "ada",
    channels: ["room:lobby", "tight:feed", "brief:feed"],
    fewer: ["room:lobby"],
    rotates: false,
  },
  { name: "bob", user: "bob", channels: ALL, fewer: [], rotates: false },
  {
    name: "own",
    channels: [...ALL, STAGE],
    fewer: ["room:lobby", "tight:feed", "brief:feed", "quiet:news"],
    rotates: true,
  },
  { name: "star", user: "sue", channels: [STAGE], rotates: true },
  // Where it is silent only the idle limit finds out that somebody has vanished.
  { name: "hermit", user: "hal", channels: [ATTIC], rotates: false },
  { name: "gone", user: "gus", channels: [ATTIC, "room:side"], rotates: false },
];

function userOf(tenant: string, user: string | undefined): string {
  return user ?? `only-${tenant}`;
}

export const USERS = Object.fromEntries(
  TENANTS.map((tenant) => [tenant, [...new Set(PEOPLE.map(({ user }) => userOf(tenant, user)))]]),
);

export interface WorldOptions {
  readonly backing: Backing;
  readonly folder: string;
  readonly random: Random;
  readonly log: (fact: Fact) => void;
  readonly plant?: string | undefined;
}

/** The server, its clients and the network between them. */
export class World {
  readonly server: ServerProcess;
  readonly people: Person[] = [];
  readonly pace: Pace;
  readonly #options: WorldOptions;
  readonly #log: (fact: Fact) => void;
  #poller: TableStreamPoller | undefined;
  readonly #asked = new Map<string, { readonly tenant: string; readonly channel: string }>();
  readonly #published = new Map<string, number>();
  /** Ticks that the server has finished. */
  ticks = 0;
  /** Times that a viewer was told of a stream's end, by tenant. */
  readonly streamEnds = new Map<string, number>();
  /** Why the process ends, when it does. */
  dying = "killed";

  constructor(given: WorldOptions) {
    const { backing, folder, random, plant } = given;
    const options = { ...given, log: (fact: Fact) => this.#note(fact) };
    this.#log = given.log;
    this.#options = options;
    this.pace = PACES[backing.store];
    const config: ServerConfig = {
      backing,
      seed: random.integer(0, 2 ** 31),
      pace: this.pace,
      speed: 1,
      plant,
    };
    this.server = new ServerProcess(config, join(folder, "server.log"), {
      started: () => options.log({ kind: "started" }),
      listening: (port) => this.#at(port),
      message: (message) => this.#heard(message),
      ended: (signal) => this.#died(signal),
    });
  }

  async start(): Promise<void> {
    const { backing, log, random, plant } = this.#options;
    for (const tenant of TENANTS) {
      for (const { user, fewer, channels: all, ...person } of PEOPLE) {
        const channels = this.pace.fewer ? (fewer ?? all) : all;
        if (channels.length === 0) continue;
        const network = new Network((fault) => this.fault(fault));
        const port = await network.listen();
        const options: PersonOptions = {
          ...person,
          channels,
          user: userOf(tenant, user),
          tenant,
          pace: this.pace,
          plant,
        };
        this.people.push(new Person(options, network, port, random.fork(), log));
      }
    }
    await this.server.start();
    const stream = streamOf(backing);
    // It is no part of the process that is killed, as it is the service's.
    const handler = (event: TableStreamEvent) => this.server.fanOut(event);
    if (stream !== undefined) this.#poller = await pollTableStream({ ...stream, handler });
    for (const person of this.people) person.come();
    await Promise.all(this.people.map((person) => person.ready()));
    // Not before: what begins is slow.
    this.speed = this.pace.speed;
  }

  log(fact: Fact): void {
    this.#options.log(fact);
  }

  fault(fault: string): void {
    this.log({ kind: "fault", fault });
  }

  /** Who streams: one in each tenant. */
  get owners(): Person[] {
    return this.people.filter(({ options }) => options.name === "star");
  }

  get connected(): Person[] {
    return this.here.filter(({ isConnected }) => isConnected);
  }

  get here(): Person[] {
    return this.people.filter(({ isHere }) => isHere);
  }

  set speed(speed: number) {
    this.server.speed = speed;
    for (const person of this.people) person.speed = speed;
  }

  /** By the server itself. */
  publish(tenant: string, channel: string): void {
    const number = (this.#published.get(tenant) ?? 0) + 1;
    this.#published.set(tenant, number);
    const uid = `${tenant}-server#${number}`;
    // The key is the same in both tenants.
    const publication: ServerPublication = { uid, tenant, channel, key: `server#${number}` };
    this.log({ kind: "asked", uid, by: "server", tenant, channel });
    this.#asked.set(uid, { tenant, channel });
    if (!this.server.send({ type: "publish", publication })) this.#refused(uid, "UNAVAILABLE", false);
  }

  /** The server has not answered yet what it was to publish. */
  get waits(): boolean {
    return this.#asked.size > 0;
  }

  /** Has the server say who streams. */
  lookAround(): void {
    for (const tenant of TENANTS) this.server.send({ type: "who streams", tenant, channel: STAGE });
  }

  async stop(): Promise<void> {
    for (const person of this.people) person.close();
    await this.server.stop();
    await this.#poller?.stop();
  }

  #note(fact: Fact): void {
    if (fact.kind === "stream_ended") {
      this.streamEnds.set(fact.tenant, (this.streamEnds.get(fact.tenant) ?? 0) + 1);
    }
    this.#log(fact);
  }

  #at(port: number): void {
    for (const { network } of this.people) network.target = port;
  }

  #heard(message: FromServer): void {
    if (message.type === "fault") this.fault(message.fault);
    if (message.type === "ticked") this.ticks++;
    if (message.type === "finished" && message.count > 0)
      this.log({ kind: "finished", count: message.count });
    if (message.type === "streams") {
      const { type: _, ...what } = message;
      this.log({ kind: "live", client: "server", source: "asked", ...what });
    }
    if (message.type !== "published") return;
    const { uid, position } = message;
    const place = this.#asked.get(uid);
    this.#asked.delete(uid);
    if (place === undefined) return;
    if (position === undefined) this.#refused(uid, "STORE_FAILED", true);
    else this.log({ kind: "accepted", uid, position, ...place });
  }

  #died(signal: NodeJS.Signals | null): void {
    if (signal !== "SIGKILL") this.log({ kind: "crashed" });
    for (const { network } of this.people) network.target = undefined;
    this.fault(this.dying);
    this.dying = "killed";
    for (const uid of [...this.#asked.keys()]) this.#refused(uid, "UNAVAILABLE", true);
  }

  #refused(uid: string, code: string, mayBeStored: boolean): void {
    this.#asked.delete(uid);
    this.log({ kind: "refused", uid, code, mayBeStored });
  }
}
