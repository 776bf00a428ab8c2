import { expect, it, onTestFinished } from "vitest";
import { Queue } from "../conformance/queue.ts";
import { Example } from "./example.ts";

async function startExample(which: number): Promise<Example> {
  const example = await Example.start("docs/channels.md", which);
  onTestFinished(() => example.end());
  return example;
}

async function person(example: Example, name: string) {
  const socket = await example.connect(name);
  const messages = new Queue<string>();
  socket.addEventListener("message", ({ data }) => messages.push(data));
  return {
    ask: (action: string, payload: object) => socket.send(JSON.stringify({ id: action, action, payload })),
    next: async () => JSON.parse(await messages.next()),
    leave: () => socket.close(),
  };
}

it("runs the example of docs/channels.md: history, presence, and who may publish", async () => {
  const example = await startExample(0);
  const ann = await person(example, "ann");
  ann.ask("subscribe", { channels: [{ channel: "room:announcements", recent: 10 }] });
  const { data } = await ann.next();
  expect(data.channels).toMatchObject([
    { channel: "room:announcements", messages: [{ data: { text: "We are open" }, position: { offset: 1 } }] },
  ]);
  expect(await ann.next()).toMatchObject({ type: "presence", event: "join", user: "ann" });

  const bob = await person(example, "bob");
  bob.ask("publish", { channel: "room:announcements", data: { text: "Closed" } });
  expect(await bob.next()).toMatchObject({ request_id: "publish", error: { code: "FORBIDDEN" } });
});

it("runs the example of a live stream: who is live, for how many, and an owner who does not come back", async () => {
  const example = await startExample(1);
  const bob = await person(example, "bob");
  bob.ask("subscribe", { channels: [{ channel: "show:ann" }] });
  expect((await bob.next()).data.channels[0]).not.toHaveProperty("live");
  bob.ask("stream_start", { channel: "show:ann" });
  expect(await bob.next()).toMatchObject({ error: { code: "FORBIDDEN" } });

  const ann = await person(example, "ann");
  ann.ask("stream_start", { channel: "show:ann", data: { title: "Bread" } });
  const live = { user: "ann", viewers: 1, data: { title: "Bread" } };
  expect(await bob.next()).toMatchObject({ type: "stream_started", live });
  ann.leave();
  expect(await bob.next()).toMatchObject({ type: "stream_ended", user: "ann", reason: "owner_left" });
});
