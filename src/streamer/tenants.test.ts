import fc from "fast-check";
import { expect, it } from "vitest";
import { type SimulatedClient, simulateStreamer } from "../../test/streamer/simulation.ts";
import type { Position } from "../protocol/index.ts";
import { channelFromKey, toChannelKey } from "./channel-keys.ts";
import type { NamespaceOptions } from "./index.ts";

const open: NamespaceOptions = { presence: true, subscribe: () => true, publish: () => true };
const CHANNELS = {
  room: open,
  tenant: open,
  user: open,
  flash: { ...open, delivery: "at-most-once" } as const,
};

/** A missing tenant, and names that would collide if keys were joined without escaping. */
const TENANTS = [undefined, "null", "acme", '"acme"', "acme:room", '["acme"', 'acme","room:a'];
const NAMES = ["room:a", 'room:a"]', "room:acme", "tenant:acme", "tenant:null", "flash:a"];
const USERS_PER_TENANT = 2;

interface Step {
  readonly who: number;
  readonly action:
    | "subscribe"
    | "unsubscribe"
    | "publish"
    | "history"
    | "presence"
    | "set_presence"
    | "heartbeat"
    | "leave";
  readonly channel: string;
  readonly position: number;
  readonly key: boolean;
}

const step: fc.Arbitrary<Step> = fc.record({
  who: fc.nat(2 * USERS_PER_TENANT - 1),
  action: fc.constantFrom(
    "subscribe",
    "subscribe",
    "publish",
    "publish",
    "unsubscribe",
    "history",
    "presence",
    "set_presence",
    "heartbeat",
    "leave",
  ),
  channel: fc.constantFrom(...NAMES),
  position: fc.nat(),
  key: fc.boolean(),
});

/** Marks every name and text of a tenant. Only the tenant's own clients may receive it. */
const mark = (tenant: number) => `<of tenant ${tenant}>`;

async function play(client: SimulatedClient, tenant: number, one: Step, positions: readonly Position[]) {
  const { action, channel, key } = one;
  // The position may belong to either tenant.
  const position = positions[one.position % Math.max(positions.length, 1)];
  const at = position === undefined ? {} : { position };
  const metadata = { user_id: mark(1 - tenant), tenant_id: "acme", tenantId: "acme" };
  const payloads = {
    subscribe: { channels: [{ channel, ...at, recent: 100, state: mark(tenant) }] },
    unsubscribe: { channels: [channel] },
    publish: { channel, data: mark(tenant), ...(key && { key: "the same" }) },
    history: { channel, ...(position && key && { after: position }) },
    presence: { channel },
    set_presence: { channel, state: mark(tenant) },
    heartbeat: { positions: position === undefined ? {} : { [channel]: position } },
  };
  if (action === "leave") await client.leave();
  else
    await client.send({ id: mark(tenant), action, payload: { ...payloads[action], ...metadata }, metadata });
}

/** Finds all positions in the messages sent to a client. */
function positionsIn(text: string): Position[] {
  return [...text.matchAll(/\{"epoch":"([^"]+)","offset":(\d+)\}/g)].map(([, epoch, offset]) => ({
    epoch: epoch!,
    offset: Number(offset),
  }));
}

it("tenants never receive each other's data", async () => {
  let read = 0;
  const run = async (tenants: readonly (string | undefined)[], steps: readonly Step[]) => {
    const simulation = simulateStreamer({ channels: CHANNELS });
    const clients: { client: SimulatedClient; tenant: number }[] = [];
    for (const [tenant, name] of tenants.entries()) {
      for (let n = 0; n < USERS_PER_TENANT; n++) {
        const person = { user: `${n}${mark(tenant)}`, ...(name !== undefined && { tenant: name }) };
        clients.push({ client: await simulation.client(`${tenant}-${n}`, person), tenant });
      }
    }
    const sent = () => simulation.connections.sent.map(({ data }) => data).join();
    for (const one of steps) {
      const { client, tenant } = clients[one.who]!;
      await play(client, tenant, one, positionsIn(sent()));
    }
    const seen = [0, 1].map((tenant) =>
      simulation.connections.sent
        .filter(({ connectionId }) => connectionId.startsWith(`${tenant}-`))
        .map(({ data }) => data)
        .join(),
    );
    for (const [tenant, text] of seen.entries()) {
      expect(text).not.toContain(mark(1 - tenant));
      read += text.split(mark(tenant)).length;
    }
    const [first, second] = seen.map((text) => positionsIn(text).map(({ epoch }) => epoch));
    expect(first?.filter((epoch) => second?.includes(epoch))).toEqual([]);
  };
  const pair = fc.uniqueArray(fc.constantFrom(...TENANTS), { minLength: 2, maxLength: 2 });
  await fc.assert(
    fc.asyncProperty(pair, fc.array(step, { minLength: 10, maxLength: 60, size: "max" }), run),
    { numRuns: 60 },
  );
  expect(read).toBeGreaterThan(1_000);
});

it("store keys are unique for each tenant and channel, and name their channel", () => {
  // fast-check's own "binary" unit takes seconds to build on a busy machine.
  const code = fc.oneof(fc.nat(0x7f), fc.nat(0xd7ff), fc.integer({ min: 0xe000, max: 0x10ffff }));
  const unit = code.map((point) => String.fromCodePoint(point));
  const tenant = fc.option(fc.string({ unit, maxLength: 60 }), { nil: undefined });
  const name = fc.string({ unit, maxLength: 60 });
  fc.assert(
    fc.property(tenant, name, tenant, name, (a, x, b, y) => {
      expect(toChannelKey({ tenantId: a }, x) === toChannelKey({ tenantId: b }, y)).toBe(a === b && x === y);
      expect(channelFromKey(toChannelKey({ tenantId: a }, x))).toBe(x);
    }),
  );
});

it("a message after its connection's end is refused instead of losing its tenant", async () => {
  const { client, streamer, connections } = simulateStreamer({ channels: CHANNELS });
  const nobody = await client("nobody");
  await nobody.ask("subscribe", { channels: [{ channel: "room:a" }] });
  const ada = await client("ada-1", { user: "ada", tenant: "acme" });
  await ada.leave();
  expect(await ada.ask("publish", { channel: "room:a", data: "secret" })).toMatchObject({
    error: { code: "CONNECTION_CLOSED", retry: true },
  });
  expect(nobody.pushed("message")).toEqual([]);
  expect((await streamer.history("room:a")).messages).toEqual([]);
  expect(connections.sentTo("nobody").join()).not.toContain("secret");
});
