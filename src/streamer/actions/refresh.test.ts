import { expect, it } from "vitest";
import { OPEN, START, simulateStreamer } from "../../../test/streamer/simulation.ts";
import { webSocketAuth } from "../../lift/middleware/auth/index.ts";

/** Tokens hold the user and the minute of expiry. */
function simulate() {
  let now = () => START;
  const auth = webSocketAuth({
    validateToken: (token) => {
      const [userId = "", minutes] = token.split(".");
      return { userId, tenantId: "acme", expiresAt: START + Number(minutes) * 60_000 };
    },
    now: () => now(),
  });
  const made = simulateStreamer({ channels: { room: OPEN }, middleware: [], auth });
  now = made.now;
  return made;
}

it("refresh replaces the token and returns its expiry", async () => {
  const { client, advance } = simulate();
  const ada = await client("ada-1", { token: "ada.1" });
  expect(await ada.ask("refresh", { token: "ada.3" })).toEqual({
    type: "response",
    request_id: "ada-1-1",
    success: true,
    data: { expiresAt: START + 180_000 },
  });
  advance(120_000);
  expect(await ada.ask("history", { channel: "room:a" })).toMatchObject({ success: true });
  advance(120_000);
  expect(await ada.ask("history", { channel: "room:a" })).toMatchObject({ error: { code: "TOKEN_EXPIRED" } });
});

it("refresh closes the connection for another user's token", async () => {
  const { client, connections } = simulate();
  const ada = await client("ada-1", { token: "ada.1" });
  expect(await ada.ask("refresh", { token: "eve.9" })).toMatchObject({ error: { code: "FORBIDDEN" } });
  expect(connections.disconnected).toEqual(["ada-1"]);
});

it("refresh is NOT_FOUND without authentication", async () => {
  const ada = await simulateStreamer().client("ada-1", { user: "ada" });
  expect(await ada.ask("refresh", { token: "ada.3" })).toMatchObject({ error: { code: "NOT_FOUND" } });
});
