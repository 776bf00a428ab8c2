// @vitest-environment happy-dom
import { createElement } from "react";
import { renderToString } from "react-dom/server";
import { expect, it, vi } from "vitest";
import { connected, setup } from "../../test/client/setup.ts";
import { mount, providing } from "../../test/react/mount.ts";
import { useChannel, useClient, useConnectionState, useMembers } from "./index.ts";

it("returns the state of the connection", async () => {
  const shown = await mount(useConnectionState, undefined, { setup: setup(), strict: false });
  await shown.does(() => shown.client.connect());
  await shown.pass(10);
  await shown.does(() => {
    for (const socket of shown.server.sockets) socket.cut();
  });
  await shown.pass(1);
  expect(shown.now).toBe(shown.client.state);
  expect(shown.renders.map(({ status }) => status)).toEqual([
    "idle",
    "connecting",
    "connected",
    "reconnecting",
  ]);
});

it("returns the client, and throws without a provider", async () => {
  const shown = await mount(useClient, undefined);
  expect(shown.now).toBe(shown.client);
  const Lonely = () => void useClient();
  expect(() => renderToString(createElement(Lonely))).toThrow(
    "There is no ClientProvider above this component",
  );
});

it("switches to another client", async () => {
  const [one, other] = [await connected(), await connected()];
  one.server.publish("room:a", "one");
  other.server.publish("room:a", "other");
  const everything = () => [useConnectionState(), useChannel("room:a", { recent: 1 })] as const;
  const shown = await mount(everything, undefined, { setup: one });
  await shown.pass(10);
  await shown.render(undefined, other);
  expect(shown.now[1].messages).toEqual([]);
  await shown.does(() => Promise.all([one.clock.pass(10), other.clock.pass(10)]));
  expect(shown.now[1].messages).toMatchObject([{ data: "other" }]);
  expect(one.server.actions).toEqual(["subscribe", "unsubscribe"]);
  await shown.does(() => one.client.disconnect());
  expect(shown.now[0].status).toBe("connected");
  await shown.does(() => other.client.disconnect());
  expect(shown.now[0].status).toBe("idle");
});

it("renders the initial state on a server, and hydrates from it", async () => {
  const all = await connected();
  all.server.publish("room:a", 1);
  const everything = () => ({
    state: useConnectionState(),
    channel: useChannel("room:a", { recent: 1 }),
    members: useMembers("room:a"),
  });
  const error = vi.spyOn(console, "error");
  const html = renderToString(providing(all.client, everything, undefined, () => {}));
  await all.clock.pass(10);
  expect(all.server.actions).toEqual([]);
  const shown = await mount(everything, undefined, { setup: all, html });
  const [first] = shown.renders;
  expect(JSON.stringify(first)).toBe(html.replaceAll("&quot;", '"'));
  expect([first?.state.status, first?.channel.status, first?.members.status]).toEqual([
    "idle",
    "loading",
    "loading",
  ]);
  await shown.pass(10);
  const { state, channel, members } = shown.now;
  expect([state.status, channel.messages.length, members.status]).toEqual(["connected", 1, "live"]);
  expect(error).not.toHaveBeenCalled();
});
