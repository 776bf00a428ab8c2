import { join } from "node:path";
import type { FromServer, ServerConfig, ServerPublication } from "./control.ts";
import type { Fact } from "./log.ts";
import { Network } from "./network.ts";
import { Person, type PersonOptions } from "./person.ts";
import type { Random } from "./random.ts";
import { ServerProcess } from "./server-process.ts";
import type { Backing } from "./stores.ts";

/** How much faster than the day the limits of the service, and the clients' timers, go while there are faults. */
const SPEED = 6;
/** DynamoDB Local would not answer in the time that a faster clock leaves. */
const DYNAMODB_SPEED = 1;
const DYNAMODB_SLOWNESS = 6;
/** As 10 minutes and 2 hours are to each other, roughly; the client's shortest rotation is 10 s. */
const LIMITS = { idleMs: 3_000, lifetimeMs: 12_000 };

const ALL = ["room:lobby", "room:side", "tight:feed", "brief:feed", "quiet:news"];
/** Nothing is said there. */
export const ATTIC = "room:attic";

/** Names, users and channels are the same in both tenants, as far as they can be: nothing may cross all the same. */
export const TENANTS = ["a", "b"] as const;

const PEOPLE = [
  // Two tabs of one user.
  { name: "ada1", user: "ada", channels: ALL, rotates: true },
  { name: "ada2", user: "ada", channels: ["room:lobby", "tight:feed", "brief:feed"], rotates: false },
  { name: "bob", user: "bob", channels: ALL, rotates: false },
  { name: "own", user: undefined, channels: ALL, rotates: true },
  // Where it is silent only the idle limit finds out that somebody has vanished.
  { name: "hermit", user: "hal", channels: [ATTIC], rotates: false },
  { name: "gone", user: "gus", channels: [ATTIC, "room:side"], rotates: false },
] as const;

export function userOf(tenant: string, user: string | undefined): string {
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
  readonly #options: WorldOptions;
  readonly #asked = new Map<string, { readonly tenant: string; readonly channel: string }>();
  readonly #published = new Map<string, number>();
  /** Why the process ends, when it does. */
  dying = "killed";

  constructor(options: WorldOptions) {
    const { backing, folder, random, plant } = options;
    this.#options = options;
    const config: ServerConfig = {
      backing,
      seed: random.integer(0, 2 ** 31),
      speed: this.#speed,
      limits: LIMITS,
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
    const { log, random, plant } = this.#options;
    for (const tenant of TENANTS) {
      for (const { user, ...person } of PEOPLE) {
        const network = new Network((fault) => this.fault(fault));
        const port = await network.listen();
        const options: PersonOptions = {
          ...person,
          user: userOf(tenant, user),
          tenant,
          speed: this.#speed,
          plant,
        };
        this.people.push(new Person(options, network, port, random.fork(), log));
      }
    }
    await this.server.start();
    for (const person of this.people) person.come();
    await Promise.all(this.people.map((person) => person.ready()));
  }

  log(fact: Fact): void {
    this.#options.log(fact);
  }

  fault(fault: string): void {
    this.log({ kind: "fault", fault });
  }

  get keepsMembers(): boolean {
    return this.#options.backing.store === "dynamodb";
  }

  /** What a publication takes, against other stores. */
  get slowness(): number {
    return this.#options.backing.store === "dynamodb" ? DYNAMODB_SLOWNESS : 1;
  }

  get #speed(): number {
    return this.#options.backing.store === "dynamodb" ? DYNAMODB_SPEED : SPEED;
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

  async stop(): Promise<void> {
    for (const person of this.people) person.close();
    await this.server.stop();
  }

  #at(port: number): void {
    for (const { network } of this.people) network.target = port;
  }

  #heard(message: FromServer): void {
    if (message.type === "fault") this.fault(message.fault);
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
