// @vitest-environment happy-dom
import { expect, it } from "vitest";
import { connected, FEATURES } from "../../test/client/setup.ts";
import { mount } from "../../test/react/mount.ts";
import { createClient } from "../client/index.ts";
import { type MembersState, useMembers } from "./index.ts";

const seen = ({ status, users, error }: MembersState) => [status, users.map(({ user }) => user), error?.code];

/** The members of a channel, as ada sees them. */
async function mounted(channel = "room:a") {
  const setup = await connected({ url: "ws://model/?user=ada" });
  return mount(useMembers, channel, { setup });
}

it("is loading, then lists all users, then follows joins and leaves", async () => {
  const shown = await mounted();
  const { server, clock } = shown;
  const other = createClient({
    url: "ws://model/?user=bob",
    WebSocket: server.WebSocket,
    clock,
    use: FEATURES,
  });
  other.subscribe("room:a");
  other.connect();
  await shown.pass(10);
  await shown.does(() => other.disconnect());
  await shown.pass(10);
  const different = shown.renders.map(seen).filter((one, at, all) => `${one}` !== `${all[at - 1]}`);
  expect(different).toEqual([
    ["loading", [], undefined],
    ["live", ["ada", "bob"], undefined],
    ["live", ["ada"], undefined],
  ]);
});

it("returns the same object until something changes", async () => {
  const shown = await mounted();
  await shown.pass(10);
  const before = shown.now;
  await shown.render("room:a");
  expect(shown.now).toBe(before);
  await shown.does(() => void shown.client.setPresence("room:a", { typing: true }));
  await shown.pass(10);
  expect(shown.now.users).toMatchObject([{ user: "ada", state: { typing: true } }]);
});

it("shows no users of the previous channel, and leaves it", async () => {
  const shown = await mounted();
  await shown.pass(10);
  const before = shown.renders.length;
  await shown.render("topic:b");
  expect(shown.renders.slice(before).map(seen)).toContainEqual(["loading", [], undefined]);
  expect(shown.renders.slice(before).map(seen)).not.toContainEqual(["live", ["ada"], undefined]);
  await shown.pass(10);
  const [socket] = shown.server.sockets;
  expect([...socket!.channels]).toEqual(["topic:b"]);
  await shown.unmount();
  await shown.pass(10);
  expect([...socket!.channels]).toEqual([]);
});

it("leaves the channel while hidden, and starts afresh when shown", async () => {
  const shown = await mounted();
  await shown.hide(true);
  await shown.pass(10);
  const [socket] = shown.server.sockets;
  expect([...socket!.channels]).toEqual([]);
  await shown.hide(false);
  await shown.pass(10);
  const different = shown.renders.map(seen).filter((one, at, all) => `${one}` !== `${all[at - 1]}`);
  expect(different).toEqual([
    ["loading", [], undefined],
    ["live", ["ada"], undefined],
  ]);
});

it.each([
  ["secret:a", "FORBIDDEN"],
  ["lobby", "INVALID_CHANNEL"],
])("says why %s is refused: %s", async (channel, code) => {
  const shown = await mounted(channel);
  await shown.pass(10);
  expect(seen(shown.now)).toEqual(["refused", [], code]);
});

it("is live when the server responds after all", async () => {
  const shown = await mounted();
  let closed = true;
  shown.server.intercept = ({ action }) => (closed && action === "presence" ? "NOT_FOUND" : undefined);
  await shown.pass(10);
  expect(seen(shown.now)).toEqual(["refused", [], "NOT_FOUND"]);
  closed = false;
  for (const socket of shown.server.sockets) socket.cut();
  await shown.pass(1_000);
  expect(seen(shown.now)).toEqual(["live", ["ada"], undefined]);
});
