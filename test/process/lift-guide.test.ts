import { once } from "node:events";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Example } from "./example.ts";

let example: Example;

beforeAll(async () => {
  example = await Example.start("docs/guide/lift.md");
});

afterAll(() => example?.end());

it("docs/guide/lift.md has a chat that sends each message to everybody", async () => {
  const [ann, bob] = await Promise.all([example.connect("ann"), example.connect("bob")]);
  const received = [ann, bob].map(async (socket) => {
    const [message] = (await once(socket, "message")) as [{ data: string }];
    return JSON.parse(message.data);
  });
  ann.send(JSON.stringify({ action: "say", text: "hello" }));
  const said = { from: "ann", text: "hello" };
  expect(await Promise.all(received)).toEqual([said, said]);
});

it("refuses a connection without a name", async () => {
  const socket = new WebSocket(example.address);
  const [event] = await Promise.race([once(socket, "error"), once(socket, "open")]);
  expect(event.type).toBe("error");
});

it("ends cleanly on SIGTERM", async () => {
  example.server.kill("SIGTERM");
  expect(await once(example.server, "exit")).toEqual([0, null]);
});
