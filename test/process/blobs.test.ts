import { expect, it, onTestFinished } from "vitest";
import { Queue } from "../conformance/queue.ts";
import { Example } from "./example.ts";

it("runs the example of docs/large-messages.md: a blob goes up, and comes down for another member", async () => {
  const example = await Example.start("docs/large-messages.md");
  onTestFinished(() => example.end());
  const person = async (name: string) => {
    const socket = await example.connect(name);
    const messages = new Queue<string>();
    socket.addEventListener("message", ({ data }) => messages.push(data));
    return async (action: string, payload: object) => {
      socket.send(JSON.stringify({ id: action, action, payload: { channel: "room:lobby", ...payload } }));
      return JSON.parse(await messages.next());
    };
  };
  const [ann, bob] = [await person("ann"), await person("bob")];
  const file = new Blob(["x".repeat(200_000)]);

  const tooLarge = await ann("upload", { bytes: 10_000_001 });
  expect(tooLarge.error.code).toBe("TOO_LARGE");
  const { blob, url, headers } = (await ann("upload", { bytes: file.size })).data;
  expect((await fetch(url, { method: "PUT", headers, body: file })).status).toBe(200);

  const download = (await bob("download", { blob })).data;
  const text = await (await fetch(download.url)).text();
  expect(text).toBe("x".repeat(200_000));
});
