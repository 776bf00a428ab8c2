// Long requests in bundled Lambda functions: the dispatcher on the table's stream, and workers that it invokes.
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
  await bundle(join(import.meta.dirname, "crashing-worker.ts"), join(folder, "worker"));
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

  send(id: string, action: string, payload: object): void {
    this.socket.send(JSON.stringify({ id, action, payload }));
  }

  /** Resolves to the first message of a type about a request. */
  async hears(type: string, id: string): Promise<Frame> {
    const find = () => this.frames.find((frame) => frame.type === type && frame.request_id === id);
    await vi.waitFor(() => expect(find(), JSON.stringify(this.frames)).toBeDefined());
    return find();
  }
}

async function arrive(sub: string): Promise<Person> {
  const token = await mintDevelopmentToken({ sub, tenant: "acme" }, join(project.directory, ".lift-ws"));
  return new Person(await project.connect(`${lift.url}?token=${token}`));
}

describe("long requests on Lambda bundles", () => {
  it("have a dispatcher, workers and a table", () => {
    expect(lift.output).toMatch(/^Functions {2,}(?=.*dispatch)(?=.*router)/m);
    expect(lift.output).toMatch(/^DynamoDB .*REQUESTS-\S+\)$/m);
  });

  it("are started by the table's stream, and send their result to who made them", async () => {
    const ada = await arrive("ada");
    ada.send("report", "generate_report", { start_date: "2026-01-01", end_date: "2026-01-03" });
    await ada.hears("acknowledgment", "report");
    await ada.hears("progress", "report");
    const { result } = await ada.hears("complete", "report");
    expect(result).toMatchObject({ file: "sales.csv", days: 3 });
    await lift.prints(/^dispatch +REPORT/m);
    await lift.prints(/^worker +REPORT/m);
    const phone = await arrive("ada");
    phone.send("info", "request", { request: "report" });
    expect((await phone.hears("response", "info")).data).toMatchObject({ state: "COMPLETED", attempt: 1 });
    const bob = await arrive("bob");
    bob.send("info", "request", { request: "report" });
    expect((await bob.hears("error", "info")).error).toMatchObject({ code: "NOT_FOUND" });
  });

  it("are watched by another connection, which gets the whole output", async () => {
    const ada = await arrive("ada");
    ada.send("story", "tell_story", {});
    await ada.hears("acknowledgment", "story");
    const phone = await arrive("ada");
    const position = { epoch: "output", offset: 0 };
    phone.send("watch", "subscribe", { channels: [{ channel: "request:story", position }] });
    const { data } = await phone.hears("response", "watch");
    const { output } = await phone.hears("complete", "story");
    const textOf = (frames: Frame[]) =>
      frames
        .filter(({ channel, position: at }) => channel === "request:story" && at.offset <= output)
        .map((frame) => frame.data.text ?? "")
        .join("");
    await vi.waitFor(() => {
      const missed = data.channels[0].messages.map((it: Frame) => ({ ...it, channel: "request:story" }));
      const live = phone.frames.filter(({ type }) => type === "message");
      expect(textOf([...missed, ...live])).toMatch(/^A message set out .* to the end\.$/);
    });
  });

  it("are cancelled from another connection", async () => {
    const [ada, phone] = [await arrive("ada"), await arrive("ada")];
    ada.send("long", "tell_story", {});
    await ada.hears("progress", "long");
    phone.send("stop", "cancel", { request: "long" });
    expect((await phone.hears("response", "stop")).data).toEqual({ state: "CANCELLED" });
    expect((await ada.hears("error", "long")).error).toMatchObject({ code: "CANCELLED" });
  });

  it("continue from their checkpoint when a worker is killed", async () => {
    const ada = await arrive("ada");
    ada.send("data", "process_data", { dataset_id: "orders" });
    const { result } = await ada.hears("complete", "data");
    // Each stage adds its number times the length of the name, once.
    expect(result).toEqual({ dataset_id: "orders", operation: "sum", value: 90, attempts: 2 });
    expect(lift.output).toMatch(/Runtime\.ExitError.*signal: SIGKILL/);
  });
});
