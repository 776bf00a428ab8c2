import { afterAll, beforeAll, expect, it } from "vitest";
import { Queue } from "../conformance/queue.ts";
import { Example } from "./example.ts";

let example: Example;

beforeAll(async () => {
  example = await Example.start("docs/channels.md");
});

afterAll(() => example?.end());

async function person(name: string) {
  const socket = await example.connect(name);
  const messages = new Queue<string>();
  socket.addEventListener("message", ({ data }) => messages.push(data));
  return {
    ask: (action: string, payload: object) => socket.send(JSON.stringify({ id: action, action, payload })),
    next: async () => JSON.parse(await messages.next()),
  };
}

it("runs the example of docs/channels.md: history, presence, and who may publish", async () => {
  const ann = await person("ann");
  ann.ask("subscribe", { channels: [{ channel: "room:announcements", recent: 10 }] });
  const { data } = await ann.next();
  expect(data.channels).toMatchObject([
    { channel: "room:announcements", messages: [{ data: { text: "We are open" }, position: { offset: 1 } }] },
  ]);
  expect(await ann.next()).toMatchObject({ type: "presence", event: "join", user: "ann" });

  const bob = await person("bob");
  bob.ask("publish", { channel: "room:announcements", data: { text: "Closed" } });
  expect(await bob.next()).toMatchObject({ request_id: "publish", error: { code: "FORBIDDEN" } });
});
