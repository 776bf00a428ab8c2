// Streamer as bundled Lambda functions, with the table stream of the messages.
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, it, vi } from "vitest";
import type WebSocket from "ws";
import { mintDevelopmentToken } from "../../src/cli/index.ts";
import { bundle, bundleExample } from "../../tools/bundle.mjs";
import { type Command, Project } from "../process/project.ts";

const ROOT = join(import.meta.dirname, "../..");

let project: Project;
let lift: Command;

beforeAll(async () => {
  project = await Project.create({});
  const folder = join(project.directory, "functions");
  await bundleExample(ROOT, "streamer", folder);
  await bundle(join(import.meta.dirname, "crashing-publisher.ts"), join(folder, "router"));
  // New tables in the tests' DynamoDB Local.
  const tables = ["CONNECTIONS", "SCHEDULE", "MESSAGES", "MEMBERS", "REQUESTS"];
  await project.save(
    "functions.env",
    tables.map((name) => `${name}_TABLE=${name}-${randomUUID()}\n`).join(""),
  );
  const endpoint = ["--dynamodb-endpoint", inject("dynamoDBEndpoint")];
  lift = await project.dev(["--lambda", folder, "--env-file", "functions.env", "--tick", "1", ...endpoint]);
});

afterAll(() => project?.remove());

// biome-ignore lint/suspicious/noExplicitAny: what a test looks at in a frame, it says
type Frame = any;

class Person {
  readonly frames: Frame[] = [];
  readonly socket: WebSocket;

  constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on("message", (data) => this.frames.push(JSON.parse(data.toString())));
  }

  send(action: string, payload: object): void {
    this.socket.send(JSON.stringify({ id: action, action, payload }));
  }

  messages(): Frame[] {
    return this.frames.filter(({ type }) => type === "message");
  }

  async hears(check: (frames: Frame[]) => boolean): Promise<void> {
    await vi.waitFor(() => expect(check(this.frames)).toBe(true));
  }
}

async function arrive(sub: string, channel: string): Promise<Person> {
  const token = await mintDevelopmentToken({ sub, tenant: "acme" }, join(project.directory, ".lift-ws"));
  const person = new Person(await project.connect(`${lift.url}?token=${token}`));
  person.send("subscribe", { channels: [{ channel }] });
  await person.hears((frames) => frames.some(({ request_id }) => request_id === "subscribe"));
  return person;
}

const dataOf = (person: Person) => person.messages().map(({ data }) => data);

describe("the streamer example on Lambda bundles", () => {
  it("has a function for each task, and shared tables", () => {
    expect(lift.output).toMatch(
      /^Functions {2,}(?=.*connect)(?=.*disconnect)(?=.*router)(?=.*tick)(?=.*fanout)(?=.*dispatch)/m,
    );
    expect(lift.output).toMatch(
      /^DynamoDB .*\(CONNECTIONS-\S+ {2}SCHEDULE-\S+ {2}MESSAGES-\S+ {2}MEMBERS-\S+ {2}REQUESTS-\S+\)$/m,
    );
  });

  it("delivers a message, and the table stream does not deliver it again", async () => {
    const [ada, bob] = [await arrive("ada", "room:tea"), await arrive("bob", "room:tea")];
    ada.send("publish", { channel: "room:tea", data: "hello" });
    await Promise.all([ada, bob].map((person) => person.hears(() => person.messages().length === 1)));
    await lift.prints(/^fanout +REPORT/m);
    expect([dataOf(ada), dataOf(bob)]).toEqual([["hello"], ["hello"]]);
  });

  it("delivers a message whose publisher was killed after storing it", async () => {
    const [ada, bob] = [await arrive("ada", "room:crash"), await arrive("bob", "room:crash")];
    ada.send("publish", { channel: "room:crash", data: "die" });
    await Promise.all([ada, bob].map((person) => person.hears(() => person.messages().length === 1)));
    expect(lift.output).toMatch(/Runtime\.ExitError.*signal: SIGKILL/);
    expect(bob.messages()[0]).toMatchObject({
      channel: "room:crash",
      data: "die",
      user: "ada",
      position: { offset: 1 },
    });
    bob.send("publish", { channel: "room:crash", data: "alive" });
    await ada.hears(() => ada.messages().length === 2);
    expect(dataOf(ada)).toEqual(["die", "alive"]);
  });

  it("allows only the owner to draw", async () => {
    const [ada, bob] = [await arrive("ada", "ink:ada"), await arrive("bob", "ink:ada")];
    bob.send("publish", { channel: "ink:ada", data: "mine" });
    await bob.hears((frames) => frames.some(({ error }) => error?.code === "FORBIDDEN"));
    ada.send("publish", { channel: "ink:ada", data: "a stroke" });
    await bob.hears(() => bob.messages().length === 1);
    expect(dataOf(bob)).toEqual(["a stroke"]);
  });

  it("shows a live stream to all viewers until its owner does not return", async () => {
    const [ada, bob] = [await arrive("ada", "stage:tea"), await arrive("bob", "stage:tea")];
    ada.send("stream_start", { channel: "stage:tea", data: "Tea" });
    const live = { user: "ada", viewers: 2, data: "Tea" };
    await bob.hears((frames) => frames.some(({ type }) => type === "stream_started"));
    expect(bob.frames.find(({ type }) => type === "stream_started")).toMatchObject({ live });
    const late = await arrive("late", "stage:tea");
    const { channels } = late.frames.find(({ request_id }) => request_id === "subscribe").data;
    expect(channels[0].live).toMatchObject({ user: "ada", data: "Tea" });
    await bob.hears((frames) => frames.some(({ type, count }) => type === "viewers" && count === 3));
    ada.socket.close();
    await bob.hears((frames) => frames.some(({ type }) => type === "stream_ended"));
    expect(bob.frames.at(-1)).toMatchObject({ user: "ada", reason: "owner_left" });
  });

  it("ends the stream at once on request", async () => {
    lift.signal("SIGINT");
    expect(await lift.exited).toBe(0);
  });
});
