import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { get } from "node:http";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { constants } from "node:os";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "vitest";
import { WebSocket as Client } from "ws";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

// `hang` runs for as long as the gateway waits for it.
const APP = `
  import { once } from "node:events";
  import { Lift } from "lift-ws";
  import { start } from "lift-ws/start";
  import { memorySchedule } from "lift-ws/store/memory";
  const schedule = memorySchedule();
  const app = new Lift({ schedule });
  app.scheduled("note", ({ id }) => console.log("ticked", id)).onStop(() => console.log("stopped"));
  if (process.env.SLOW_TICK) app.everyTick(async () => {
    console.log("tick starts");
    await once(process, process.env.SLOW_TICK);
    for (let turn = 0; turn < 100; turn++) await new Promise(setImmediate);
    console.log("tick ends");
  });
  const { DUE } = process.env;
  if (DUE) await schedule.put({ kind: "note", id: DUE, dueAt: Date.now(), data: {} });
  app.webSocket("echo", (ctx) => ctx.reply({ echo: ctx.body("text") }));
  app.webSocket("hang", async (ctx) => { await ctx.reply("hanging"); await new Promise(() => {}); });
  const gateway = await start(app, JSON.parse(process.env.OPTIONS ?? "{}"));
  const { TWICE } = process.env;
  if (TWICE) process.once(TWICE, () => process.kill(process.pid, TWICE));
  console.log(gateway === undefined ? "not started" : "started");
`;

let child: ChildProcess;
let lines: string[];
let errors: string[];
/** Resolves to the exit code after the end of the process and its output. */
let ended: Promise<number | null>;

afterEach(() => {
  child.kill("SIGKILL");
});

function launch(env: { readonly [name: string]: string }): void {
  lines = [];
  errors = [];
  const flags = ["--conditions=@lift-ws/source", "--input-type=module", "--eval", APP];
  child = spawn(process.execPath, flags, {
    cwd: ROOT,
    env: { ...process.env, PORT: "0", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  ended = once(child, "close").then(() => child.exitCode);
  createInterface({ input: child.stdout! }).on("line", (line) => lines.push(line));
  createInterface({ input: child.stderr! }).on("line", (line) => errors.push(line));
}

/** Starts the process and waits until it serves. */
async function serve(env: { readonly [name: string]: string } = {}): Promise<void> {
  launch(env);
  const dead = ended.then(() => Promise.reject(new Error(`It ended:\n${errors.join("\n")}`)));
  while (!lines.includes("started")) await Promise.race([once(child.stdout!, "data"), dead]);
}

/** Waits for a line on stderr that contains `text`. */
async function untilErrorSays(text: string): Promise<void> {
  while (!errors.some((line) => line.includes(text))) await once(child.stderr!, "data");
}

/** The status of a request that names `host`. */
function statusFor(url: URL, host: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    get(url, { headers: { host } }, (response) => resolve(response.resume().statusCode)).on("error", reject);
  });
}

function webSocketUrl(): string {
  return lines.find((line) => line.startsWith("WebSocket "))!.split(/\s+/)[1]!;
}

async function connect(): Promise<WebSocket> {
  const socket = new WebSocket(webSocketUrl());
  await once(socket, "open");
  return socket;
}

async function ask(socket: WebSocket, body: object): Promise<string> {
  socket.send(JSON.stringify(body));
  const [message] = await once(socket, "message");
  return (message as { data: string }).data;
}

describe("start", () => {
  it("serves the app and prints its address", async () => {
    await serve();
    expect(lines).toEqual([
      expect.stringMatching(/^WebSocket +ws:\/\/127\.0\.0\.1:\d+\/dev$/),
      expect.stringMatching(/^@connections +http:\/\/127\.0\.0\.1:\d+\/dev\/@connections\/\{id\}$/),
      "started",
    ]);
    expect(await ask(await connect(), { action: "echo", text: "hi" })).toBe(`{"echo":"hi"}`);
  });

  it("passes its options to the gateway", async () => {
    await serve({ OPTIONS: JSON.stringify({ stage: "prod", limits: { messageBytes: 50 } }) });
    expect(webSocketUrl()).toMatch(/\/prod$/);
    const socket = await connect();
    socket.send("x".repeat(51));
    const [close] = await once(socket, "close");
    expect((close as CloseEvent).code).toBe(1009);
  });

  it("refuses foreign pages and host names, and explains how to allow them", async () => {
    await serve({ OPTIONS: JSON.stringify({ allowedOrigins: ["https://app.example"] }) });
    const page = (origin: string) =>
      new Promise((resolve) => {
        const socket = new Client(webSocketUrl(), { origin });
        socket.on("open", () => resolve("open")).on("error", (error) => resolve(error.message));
        socket.on("open", () => socket.terminate());
      });
    expect(await page("https://evil.example")).toBe("Unexpected server response: 403");
    await untilErrorSays('To allow it: set the option `allowedOrigins: ["https://evil.example"]` of start');
    for (const origin of ["http://localhost:5173", "https://app.example"])
      expect(await page(origin)).toBe("open");
    const url = new URL("/healthz", webSocketUrl().replace("ws:", "http:"));
    expect(await statusFor(url, "rebound.example")).toBe(403);
    await untilErrorSays('To allow it: set the option `allowedHosts: ["rebound.example"]` of start');
  });

  it("ticks the app, as the scheduled function does on AWS", async () => {
    await serve({ DUE: "tea" });
    while (!lines.includes("ticked tea")) await once(child.stdout!, "data");
  });

  it("does nothing in a Lambda", async () => {
    launch({ AWS_LAMBDA_FUNCTION_NAME: "chat" });
    expect(await ended).toBe(0);
    expect(lines).toEqual(["not started"]);
  });

  it.each([
    ["set another PORT", (port: string) => ({ PORT: port })],
    ["set another `port`", (port: string) => ({ OPTIONS: `{ "port": ${port} }` })],
  ])("reports in one line that the port is in use, and to %s, and exits with 1", async (advice, env) => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as AddressInfo;
    launch(env(String(port)));
    expect(await ended).toBe(1);
    taken.close();
    expect(errors).toEqual([
      `Port ${port} on 127.0.0.1 is already in use: stop the other program, or ${advice}`,
    ]);
  });

  it.each(["foo", "-1", "65536", "3001.5"])("reports in one line that PORT cannot be %s", async (PORT) => {
    launch({ PORT });
    expect(await ended).toBe(1);
    expect(errors).toEqual([`PORT must be a number from 0 to 65535; got "${PORT}"`]);
  });

  it("reports in one line that HOST is not an address of this machine", async () => {
    // TEST-NET-1, which no machine has: RFC 5737.
    launch({
      HOST: "192.0.2.1",
      OPTIONS: JSON.stringify({ credentials: { accessKeyId: "a", secretAccessKey: "b" } }),
    });
    expect(await ended).toBe(1);
    expect(errors).toEqual(["Cannot listen on 192.0.2.1, port 0 (EADDRNOTAVAIL)"]);
  });

  it("reports in one line that it needs credentials beyond loopback", async () => {
    launch({ HOST: "0.0.0.0" });
    expect(await ended).toBe(1);
    expect(errors).toEqual([expect.stringMatching(/credentials/i)]);
  });
});

describe.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)("%s", (signal) => {
  it("stops gracefully: sockets close with 1001, the app stops once, the exit code is 0", async () => {
    await serve();
    const socket = await connect();
    const closed = once(socket, "close");
    child.kill(signal);
    expect(((await closed)[0] as CloseEvent).code).toBe(1001);
    expect(await ended).toBe(0);
    expect(lines.filter((line) => line === "stopped")).toHaveLength(1);
  });

  it("stops the app when its running tick has ended", async () => {
    await serve({ SLOW_TICK: signal });
    while (!lines.includes("tick starts")) await once(child.stdout!, "data");
    child.kill(signal);
    expect(await ended).toBe(0);
    expect(lines.slice(-3)).toEqual(["tick starts", "tick ends", "stopped"]);
  });

  it("counts once when one Ctrl-C delivers it twice", async () => {
    await serve({ TWICE: signal });
    const socket = await connect();
    const closed = once(socket, "close");
    child.kill(signal);
    expect(((await closed)[0] as CloseEvent).code).toBe(1001);
    expect(await ended).toBe(0);
  });

  it("exits at once when repeated during a handler", async () => {
    await serve();
    await ask(await connect(), { action: "hang" });
    const again = setInterval(() => child.kill(signal), 50);
    expect(await ended).toBe(128 + constants.signals[signal]);
    clearInterval(again);
  });
});
