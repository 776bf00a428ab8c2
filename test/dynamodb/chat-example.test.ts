// The chat example from end to end over real sockets: one suite for two environments.
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from "vitest";
import type WebSocket from "ws";
import { mintDevelopmentToken } from "../../src/cli/index.ts";
import { bundleExample } from "../../tools/bundle.mjs";
import { startServer } from "../browser/server.ts";
import { Project } from "../process/project.ts";

const ROOT = join(import.meta.dirname, "../..");

/** Runs the example in this process, on the gateway. */
async function inProcess(project: Project): Promise<string> {
  const server = await startServer({ directory: project.directory });
  stops.push(() => server.stop("SIGKILL"));
  return `ws://127.0.0.1:${server.port}/dev`;
}

/** Runs the bundles of `npm run bundle`, as `lift-ws dev --lambda` does. */
async function onBundles(project: Project): Promise<string> {
  const folder = join(project.directory, "functions");
  await bundleExample(ROOT, "chat", folder);
  // A new table in the tests' DynamoDB Local.
  const tables = `CONNECTIONS_TABLE=chat-${randomUUID()}\nSCHEDULE_TABLE=schedule-${randomUUID()}\n`;
  await project.save("functions.env", tables);
  const endpoint = ["--dynamodb-endpoint", inject("dynamoDBEndpoint")];
  const lift = await project.dev(["--lambda", folder, "--env-file", "functions.env", ...endpoint]);
  return lift.url;
}

const stops: (() => Promise<unknown>)[] = [];

describe.each([
  ["in the gateway's process", inProcess],
  ["on Lambda bundles and DynamoDB", onBundles],
])("the chat %s", (_where, startServer) => {
  let project: Project;
  let url: string;
  let team: string;
  const clients: ChatClient[] = [];

  beforeAll(async () => {
    project = await Project.create({});
    url = await startServer(project);
  });

  afterAll(async () => {
    for (const stop of stops.splice(0)) await stop();
    await project.remove();
  });

  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.leave()));
  });

  async function arrive(sub: string, tenant: string): Promise<ChatClient> {
    const token = await mintDevelopmentToken({ sub, tenant }, join(project.directory, ".lift-ws"));
    const client = new ChatClient(await project.connect(`${url}?token=${token}`));
    clients.push(client);
    return client;
  }

  /** Users in rooms of a new team, who have received all later joins. */
  async function gather(...rooms: readonly (readonly [name: string, room: string])[]): Promise<ChatClient[]> {
    team = randomUUID().slice(0, 8);
    const gathered: ChatClient[] = [];
    for (const [name, room] of rooms) {
      const client = await arrive(name, team);
      gathered.push(client);
      client.send({ action: "join", room });
      // Each user received their own join, and all later joins.
      await Promise.all(gathered.map((it, index) => it.hears("presence", gathered.length - index)));
    }
    for (const client of gathered) client.frames.splice(0);
    return gathered;
  }

  it.each(["", "?token=", "?token=eyJhbGciOiJub25lIn0.e30."])("refuses %j with 401", async (query) => {
    await expect(project.connect(url + query)).rejects.toThrow("refused with 401");
  });

  it("sends a new user their room, and everyone the members", async () => {
    team = randomUUID().slice(0, 8);
    const ada = await arrive("ada", team);
    ada.send({ action: "join", room: "tea" });
    await ada.hears("presence");
    const grace = await arrive("grace", team);
    grace.send({ action: "join", room: " tea " });
    await Promise.all([ada.hears("presence", 2), grace.hears("presence")]);
    const presence = (...names: string[]) => ({
      type: "presence",
      at: "a time",
      rooms: [{ room: "tea", people: expect.toSatisfy(sameNames(names)), count: names.length }],
    });
    const joined = { type: "joined", room: "tea", tenant: team };
    expect(ada.frames).toEqual([{ ...joined, you: "ada" }, presence("ada"), presence("ada", "grace")]);
    expect(grace.frames).toEqual([{ ...joined, you: "grace" }, presence("ada", "grace")]);
  });

  it("delivers a message to the room with its sender, and an announcement to the team", async () => {
    const [ada, grace, linus] = (await gather(["ada", "tea"], ["grace", "tea"], ["linus", "ideas"])) as Three;
    ada.send({ action: "say", id: "m1", text: "  grüß dich 👋 " });
    const message = {
      type: "message",
      room: "tea",
      from: "ada",
      at: "a time",
      id: "m1",
      text: "grüß dich 👋",
    };
    await Promise.all([ada.hears("message"), grace.hears("message")]);
    linus.send({ action: "announce", id: "a1", text: "cake" });
    const announcement = { type: "announcement", from: "linus", at: "a time", id: "a1", text: "cake" };
    await Promise.all([ada, grace, linus].map((client) => client.hears("announcement")));
    expect(ada.frames).toEqual([message, announcement]);
    expect(grace.frames).toEqual([message, announcement]);
    expect(linus.frames).toEqual([announcement]);
  });

  it("isolates teams", async () => {
    const [spy] = (await gather(["ada", "tea"])) as [ChatClient];
    const [ada] = (await gather(["ada", "tea"])) as [ChatClient];
    ada.send({ action: "announce", id: "a1", text: "secret" });
    await ada.hears("announcement");
    // A message of the other team would arrive before this one.
    spy.send({ action: "ping" });
    await spy.hears("pong");
    expect(spy.frames).toEqual([{ type: "pong" }]);
  });

  it("sends errors as frames to the sender only", async () => {
    const [ada, grace] = (await gather(["ada", "tea"], ["grace", "tea"])) as [ChatClient, ChatClient];
    ada.send({ action: "say", id: "m1", text: "x".repeat(4097) });
    await ada.hears("error");
    ada.send({ action: "leave" });
    await Promise.all([ada.hears("presence"), grace.hears("presence")]);
    ada.send({ action: "say", id: "m2", text: "hello?" });
    await ada.hears("error", 2);
    ada.send({ action: "no such" });
    await ada.hears(undefined);
    ada.sendText("no JSON");
    await ada.hears(undefined, 2);
    const presence = {
      type: "presence",
      at: "a time",
      rooms: [{ room: "tea", people: ["grace"], count: 1 }],
    };
    const forbidden = {
      message: "Forbidden",
      connectionId: expect.stringMatching(/^[\w-]{15}=$/),
      requestId: expect.any(String),
    };
    expect(ada.frames).toEqual([
      expect.objectContaining({
        type: "error",
        request_id: "m1",
        error: expect.objectContaining({ code: "VALIDATION_ERROR" }),
      }),
      { type: "left" },
      presence,
      expect.objectContaining({
        type: "error",
        request_id: "m2",
        error: expect.objectContaining({ code: "FORBIDDEN", message: "Join a room first" }),
      }),
      forbidden,
      forbidden,
    ]);
    expect(grace.frames).toEqual([presence]);
  });

  it("notifies the others when a user leaves", async () => {
    const [ada, grace] = (await gather(["ada", "tea"], ["grace", "tea"])) as [ChatClient, ChatClient];
    await grace.leave();
    await ada.hears("presence");
    expect(ada.frames).toEqual([
      { type: "presence", at: "a time", rooms: [{ room: "tea", people: ["ada"], count: 1 }] },
    ]);
  });

  it("loses no message of concurrent senders", async () => {
    const [ada, grace] = (await gather(["ada", "tea"], ["grace", "tea"])) as [ChatClient, ChatClient];
    const ids = Array.from({ length: 8 }, (_, index) => `m${index}`);
    for (const id of ids) (id < "m4" ? ada : grace).send({ action: "say", id, text: "hi" });
    await Promise.all([ada.hears("message", 8), grace.hears("message", 8)]);
    for (const { frames } of [ada, grace]) {
      expect(frames.map((frame) => (frame as { id: string }).id).sort()).toEqual(ids);
    }
  });
});

type Three = [ChatClient, ChatClient, ChatClient];

/** Sorts members: their order depends on the store. */
function sameNames(names: readonly string[]) {
  return (people: string[]) => people.toSorted().join() === names.toSorted().join();
}

/** A client and its received frames, without times. */
class ChatClient {
  readonly frames: unknown[] = [];
  readonly #socket: WebSocket;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on("message", (data) => {
      this.frames.push(
        JSON.parse(data.toString(), (key, value) =>
          key === "at" && typeof value === "number" ? "a time" : value,
        ),
      );
      socket.emit("heard");
    });
  }

  send(message: object): void {
    this.sendText(JSON.stringify(message));
  }

  sendText(text: string): void {
    this.#socket.send(text);
  }

  /** Resolves when `count` frames of a type have arrived. */
  async hears(type: string | undefined, times = 1): Promise<void> {
    const heard = () => this.frames.filter((frame) => (frame as { type?: string }).type === type).length;
    while (heard() < times) await once(this.#socket, "heard");
  }

  async leave(): Promise<void> {
    if (this.#socket.readyState === this.#socket.CLOSED) return;
    const closed = once(this.#socket, "close");
    this.#socket.close();
    await closed;
  }
}
