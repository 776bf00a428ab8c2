// The example of docs/guide/aws.md, as it stands there, in a process of its own.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { SignJWT } from "jose";
import { dynamoDBConnectionStore } from "lift-ws/store/dynamodb";
import { afterAll, beforeAll, expect, inject, it, vi } from "vitest";
import { ask, Project } from "../process/project.ts";
import { codeBlocks } from "../support/markdown.ts";
import { localClient } from "./connection-table.ts";

const ROOT = join(import.meta.dirname, "../..");
const WORKSHOP = join(ROOT, ".lift-ws");
const SECRET = "a secret of thirty-two bytes, or more";
/** An application's setup of tracing, which prints the spans here. */
const TRACING = `
import { trace } from "@opentelemetry/api";
import { SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
const exporter = {
  export: (spans, done) => {
    for (const { name } of spans) console.log("span: " + name);
    done({ code: 0 });
  },
  shutdown: async () => {},
};
trace.setGlobalTracerProvider(new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] }));
`;

/** The environment that the page lists. */
const ENVIRONMENT = {
  ...process.env,
  PORT: "0",
  JWT_SECRET: SECRET,
  AWS_ENDPOINT_URL_DYNAMODB: inject("dynamoDBEndpoint"),
  AWS_REGION: "us-east-1",
  AWS_ACCESS_KEY_ID: "local",
  AWS_SECRET_ACCESS_KEY: "local",
};

const execute = promisify(execFile);
const client = localClient();
let folder: string;
let server: ChildProcess;
let output = "";
let clients: Project;

const address = () => /ws:\/\/\S+/.exec(output)?.[0] ?? "";
const prints = (pattern: RegExp) => vi.waitFor(() => expect(output).toMatch(pattern));

beforeAll(async () => {
  const blocks = codeBlocks(readFileSync(join(ROOT, "docs/guide/aws.md"), "utf8"));
  const [example, tables] = blocks.filter((block) => block.info === "ts run on DynamoDB");
  mkdirSync(WORKSHOP, { recursive: true });
  folder = mkdtempSync(join(WORKSHOP, "readme-"));
  writeFileSync(join(folder, "app.ts"), example?.code ?? "");
  writeFileSync(join(folder, "tracing.mjs"), TRACING);
  writeFileSync(join(folder, "tables.ts"), tables?.code ?? "");
  const flags = ["--conditions=@lift-ws/source"];
  await execute(process.execPath, [...flags, "tables.ts"], { cwd: folder, env: ENVIRONMENT });
  clients = await Project.create({});
  server = spawn(process.execPath, [...flags, "--import=./tracing.mjs", "app.ts"], {
    cwd: folder,
    env: ENVIRONMENT,
    stdio: ["ignore", "pipe", "pipe"],
  });
  for (const stream of [server.stdout, server.stderr]) {
    stream?.on("data", (data: Buffer) => {
      output += data;
    });
  }
  await prints(/@connections/);
});

afterAll(async () => {
  server?.kill("SIGKILL");
  await clients?.remove();
  rmSync(folder, { recursive: true, force: true });
});

const connect = async (sub: string) => {
  const token = await new SignJWT({ iss: "me", aud: "chat", sub })
    .setProtectedHeader({ alg: "HS256" })
    .setExpirationTime("1h")
    .sign(new TextEncoder().encode(SECRET));
  return clients.connect(address(), { headers: { Authorization: `Bearer ${token}` } });
};

it("has at most twenty lines", () => {
  const lines = readFileSync(join(folder, "app.ts"), "utf8").split("\n");
  expect(lines.filter((line) => line.trim() !== "").length).toBeLessThanOrEqual(20);
});

it("answers a client with a token, stores the connection in DynamoDB, measures and traces it", async () => {
  const socket = await connect("ada");
  const answer = await ask(socket, JSON.stringify({ action: "say", text: "hello" }));
  expect(JSON.parse(answer)).toEqual({ from: "ada", heard: "hello" });
  const store = dynamoDBConnectionStore({ tableName: "connections", client });
  const users: (string | undefined)[] = [];
  for await (const { userId } of store.listByUser("ada")) users.push(userId);
  expect(users).toEqual(["ada"]);
  await prints(/^\{(?=.*"Namespace":"Chat")(?=.*"Route":"say")(?=.*"Sends":1)/m);
  await prints(/^span: process say$/m);
  socket.close();
  await once(socket, "close");
  await prints(/^span: \$disconnect$/m);
  expect(await store.count()).toBe(0);
});

it("refuses a client without a token with 401, and an address's eleventh connect with 429, counted in DynamoDB", async () => {
  await expect(clients.connect(address())).rejects.toThrow("refused with 401");
  for (let n = 3; n <= 10; n++) await connect(`user-${n}`);
  await expect(connect("one too many")).rejects.toThrow("refused with 429");
  await prints(/^\{(?=.*"Event":"CONNECT")(?=.*"Status":"4xx")/m);
});
