import { once } from "node:events";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Example } from "./example.ts";

let example: Example;

beforeAll(async () => {
  example = await Example.start("README.md");
});

afterAll(() => example?.end());

it("runs the README's example: what one says, everybody reads", async () => {
  const [ann, bob] = await Promise.all([example.connect("ann"), example.connect("bob")]);
  const heard = [ann, bob].map(async (socket) => {
    const [message] = (await once(socket, "message")) as [{ data: string }];
    return JSON.parse(message.data);
  });
  ann.send(JSON.stringify({ action: "say", text: "hello" }));
  const said = { from: "ann", text: "hello" };
  expect(await Promise.all(heard)).toEqual([said, said]);
});

it("refuses who gives no name", async () => {
  const socket = new WebSocket(example.address);
  const [event] = await Promise.race([once(socket, "error"), once(socket, "open")]);
  expect(event.type).toBe("error");
});

it("ends cleanly when it is told to", async () => {
  example.server.kill("SIGTERM");
  expect(await once(example.server, "exit")).toEqual([0, null]);
});
