// On any network, the client delivers every message once and in order, or reports a loss exactly when there is one.
import fc from "fast-check";
import { expect, it } from "vitest";
import { type Client, createClient, type Position } from "../../src/client/index.ts";
import { ModelServer } from "./model-server.ts";
import { TestClock } from "./test-clock.ts";

const CHANNELS = ["room:a", "room:b", "topic:c"] as const;
type Name = (typeof CHANNELS)[number];

type Event =
  | { readonly kind: "publish"; readonly channel: Name }
  | { readonly kind: "burst"; readonly channel: Name; readonly count: number }
  | { readonly kind: "send"; readonly channel: Name }
  | { readonly kind: "cut" | "stall" | "refuse" | "wipe" | "rotate" }
  | { readonly kind: "pass"; readonly ms: number };

const channel = fc.constantFrom(...CHANNELS);
const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("publish"), channel }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("burst"), channel, count: fc.integer({ min: 5, max: 30 }) }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("send"), channel }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("pass"), ms: fc.integer({ min: 1, max: 2_000 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom("cut", "stall", "refuse", "wipe", "rotate") }) },
) as fc.Arbitrary<Event>;

const EVENTS = fc.array(event, { minLength: 30, maxLength: 120 });

/** Checks the delivered messages against the server's history. */
class Checker {
  readonly server: ModelServer;
  readonly violations: string[] = [];
  readonly delivered = new Map<string, number>();
  readonly last = new Map<string, Position>();
  lost = 0;
  readonly #ids = new Set<string>();

  constructor(server: ModelServer) {
    this.server = server;
  }

  watch(client: Client, name: Name): void {
    client.subscribe(name, {
      onMessage: ({ id, position }) => {
        if (this.#ids.has(id)) this.violations.push(`${name} twice: ${id}`);
        this.#ids.add(id);
        this.delivered.set(name, (this.delivered.get(name) ?? 0) + 1);
        if (position === undefined) return;
        const last = this.last.get(name) ?? { epoch: position.epoch, offset: position.offset - 1 };
        if (position.epoch !== last.epoch || position.offset !== last.offset + 1) {
          this.violations.push(`${name}: ${JSON.stringify(position)} after ${JSON.stringify(last)}`);
        }
        this.last.set(name, position);
      },
      onLost: (position) => {
        this.lost++;
        const last = this.last.get(name) ?? { epoch: "e1", offset: 0 };
        if (this.server.channel(name).covers(last)) {
          this.violations.push(`${name}: history reaches ${JSON.stringify(last)}`);
        }
        this.last.set(name, position);
      },
    });
  }
}

/** A seeded random number generator. */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

interface Run {
  readonly clock: TestClock;
  readonly server: ModelServer;
  readonly client: Client;
  readonly checker: Checker;
  readonly sent: { readonly text: string; readonly answer: Promise<unknown> }[];
}

async function play({ clock, server, client, sent }: Run, one: Event, at: number): Promise<void> {
  switch (one.kind) {
    case "publish":
      server.publish(one.channel, at);
      break;
    case "burst":
      for (let count = 0; count < one.count; count++) server.publish(one.channel, `${at}.${count}`);
      break;
    case "send": {
      const text = `sent ${at}`;
      sent.push({ text, answer: client.publish(one.channel, text) });
      break;
    }
    case "cut":
      for (const socket of server.sockets) socket.cut();
      break;
    case "stall":
      for (const socket of server.sockets) socket.stalled = true;
      break;
    case "refuse":
      server.upgrade = () => false;
      for (const socket of server.sockets) socket.cut();
      await clock.pass(3_000);
      server.upgrade = () => true;
      break;
    case "wipe":
      server.loseHistory("room:b");
      break;
    case "rotate":
      await clock.pass(60_000);
      break;
    case "pass":
      await clock.pass(one.ms);
  }
}

async function run(seed: number, rotates: boolean, events: readonly Event[]): Promise<Run> {
  const clock = new TestClock();
  const random = seeded(seed);
  const server = new ModelServer(clock, random);
  server.historySize = 20;
  server.pageSize = 7;
  const checker = new Checker(server);
  const client = createClient({
    url: "ws://model/?user=ada",
    WebSocket: server.WebSocket,
    clock,
    random,
    heartbeatMs: 20_000,
    // Replacing sockets repairs much, so it is off: the other mechanisms must suffice.
    maxConnectionMs: rotates ? 55_000 : 7_200_000,
  });
  const result: Run = { clock, server, client, checker, sent: [] };
  client.connect();
  for (const name of CHANNELS) checker.watch(client, name);
  await clock.pass(100);
  Object.assign(server.faults, { latency: [1, 400], drop: 0.1, duplicate: 0.1 });
  for (const [at, one] of events.entries()) await play(result, one, at);
  Object.assign(server.faults, { latency: [1, 1], drop: 0, duplicate: 0 });
  // A heartbeat, its timeout, and the longest reconnect.
  await clock.pass(90_000);
  return result;
}

it("delivers every message once and in order, or reports a loss exactly when there is one", async () => {
  const counts = { delivered: 0, lost: 0, sockets: 0, sent: 0 };
  await fc.assert(
    fc.asyncProperty(fc.integer(), fc.boolean(), EVENTS, async (seed, rotates, events) => {
      const { server, client, checker, sent, clock } = await run(seed, rotates, events);
      expect(checker.violations).toEqual([]);
      for (const name of ["room:a", "room:b"] as const) {
        const { epoch, offset } = checker.last.get(name) ?? server.channel(name).head;
        expect([name, epoch, offset]).toEqual([name, ...Object.values(server.channel(name).head)]);
      }
      await Promise.all(sent.map(({ answer }) => answer));
      expect(server.stored.filter((data) => typeof data === "string" && data.startsWith("sent"))).toEqual(
        expect.arrayContaining(sent.map(({ text }) => text)),
      );
      expect(new Set(server.stored).size).toBe(server.stored.length);
      client.disconnect();
      await clock.pass(20_000);
      expect(clock.pending).toBe(0);
      counts.lost += checker.lost;
      counts.sockets += server.opened.length;
      counts.sent += sent.length;
      for (const delivered of checker.delivered.values()) counts.delivered += delivered;
    }),
    { numRuns: 150 },
  );
  // A run in which nothing happened would prove nothing.
  expect(counts.delivered).toBeGreaterThan(1_000);
  expect(counts.lost).toBeGreaterThan(10);
  expect(counts.sockets).toBeGreaterThan(100);
  expect(counts.sent).toBeGreaterThan(100);
});
