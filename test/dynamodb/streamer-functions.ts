import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { expect, inject, vi } from "vitest";
import type WebSocket from "ws";
import { mintDevelopmentToken } from "../../src/cli/index.ts";
import { bundle, bundleExample } from "../../tools/bundle.mjs";
import { type Command, Project } from "../process/project.ts";

const ROOT = join(import.meta.dirname, "../..");
const TABLES = ["CONNECTIONS", "SCHEDULE", "MESSAGES", "MEMBERS", "REQUESTS"];
const HOLD_FILE = "hold";

// biome-ignore lint/suspicious/noExplicitAny: each test knows the shape of the frames that it reads
export type Frame = any;

/** The streamer example as bundled Lambda functions, with new tables in the tests' DynamoDB Local. */
export class StreamerFunctions {
  readonly lift: Command;
  readonly #project: Project;

  private constructor(project: Project, lift: Command) {
    this.#project = project;
    this.lift = lift;
  }

  /** Starts the functions, with the code of one replaced by a file beside this one, which crashes. */
  static async start(replaced: string, crashing: string): Promise<StreamerFunctions> {
    const project = await Project.create({});
    const folder = join(project.directory, "functions");
    await bundleExample(ROOT, "streamer", folder);
    await bundle(join(import.meta.dirname, crashing), join(folder, replaced));
    const names = TABLES.map((name) => `${name}_TABLE=${name}-${randomUUID()}\n`);
    const hold = `HOLD_FILE=${join(project.directory, HOLD_FILE)}\n`;
    await project.save("functions.env", [...names, hold].join(""));
    const endpoint = ["--dynamodb-endpoint", inject("dynamoDBEndpoint")];
    const lift = await project.dev([
      ...["--lambda", folder, "--env-file", "functions.env", "--tick", "1", ...endpoint],
    ]);
    return new StreamerFunctions(project, lift);
  }

  /** Connects a user. */
  connect(sub: string): Promise<Connection> {
    return connectUser(this.#project, this.lift.url, sub);
  }

  /** Holds requests before they complete. Needs `crashing-worker.ts`. */
  hold(): Promise<void> {
    return this.#project.save(HOLD_FILE, "");
  }

  release(): Promise<void> {
    return rm(join(this.#project.directory, HOLD_FILE));
  }

  stop(): Promise<void> {
    return this.#project.remove();
  }
}

/** Connects a user with a development token of the project. */
export async function connectUser(project: Project, url: string, sub: string): Promise<Connection> {
  const token = await mintDevelopmentToken({ sub, tenant: "acme" }, join(project.directory, ".lift-ws"));
  return new Connection(await project.connect(`${url}?token=${token}`));
}

/** A user's connection, and the frames that it received. */
export class Connection {
  readonly frames: Frame[] = [];
  readonly socket: WebSocket;

  constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on("message", (data) => this.frames.push(JSON.parse(data.toString())));
  }

  send(id: string, action: string, payload: object): void {
    this.socket.send(JSON.stringify({ id, action, payload }));
  }

  /** Resolves to the first frame that fits. */
  async receive(fits: (frame: Frame) => boolean): Promise<Frame> {
    const find = () => this.frames.find(fits);
    await vi.waitFor(() => expect(find(), JSON.stringify(this.frames)).toBeDefined());
    return find();
  }

  /** Resolves to the first frame of a type that answers a message. */
  receiveFor(id: string, type: string): Promise<Frame> {
    return this.receive((frame) => frame.type === type && frame.request_id === id);
  }

  messages(): Frame[] {
    return this.frames.filter(({ type }) => type === "message");
  }
}
