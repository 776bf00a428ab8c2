import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { SignJWT } from "jose";
import { createGateway, type Gateway, ManualClock } from "lift-ws/gateway";
import { disconnectEvent, lambdaContext } from "lift-ws/testing";
import { expect, it, onTestFinished, vi } from "vitest";
import { WebSocket } from "ws";
import type { Deployment, Side } from "../../test/support/migration-sides.ts";
import { type MakeReport, makeReport } from "./report.ts";

const AUTH = { secret: Buffer.alloc(32, 7), issuer: "https://issuer.example", audience: "streamer-api" };
const REPORT = { start_date: "2026-01-01", end_date: "2026-01-03" };
const RESULT = { days: 3, total: 303 };
const IDLE_MS = 600_000;

// biome-ignore lint/suspicious/noExplicitAny: each test knows the shape of the frames that it reads
type Frame = any;

export interface Cases {
  /** Makes the first attempt of each request to the table fail as throttled, until the test ends. Absent: no table. */
  readonly throttleTable?: () => void;
}

/** Tests that pass on each of the three ways. Their clients speak the wire of the original Streamer. */
export function itBehaves(readSide: () => Side, { throttleTable }: Cases = {}): void {
  const start = (options: ServiceOptions = {}) => Service.start(readSide(), options);

  it.each(["Authorization", "token"])(
    "accepts a token in `?%s=`, and stores the connection",
    async (name) => {
      const service = await start();
      await service.connect("ada", { query: `?${name}=${await tokenOf("ada")}` });
      expect(await service.deployment.listConnections()).toHaveLength(1);
    },
  );

  it("refuses a missing, forged, expired or foreign token with 401, and stores no connection", async () => {
    const service = await start();
    const past = { exp: Math.floor(Date.now() / 1_000) - 60 };
    const tokens = [
      "",
      "forged",
      await tokenOf("ada", "acme", past),
      await tokenOf("ada", "acme", { aud: "other" }),
    ];
    for (const token of tokens) expect(await service.refusal(`?Authorization=${token}`)).toBe(401);
    expect(await service.deployment.listConnections()).toEqual([]);
  });

  it("answers a message with its id", async () => {
    const ada = await (await start()).connect("ada");
    expect(await ada.ask("echo", { text: "hello" }, "e1")).toEqual({
      type: "response",
      request_id: "e1",
      success: true,
      data: { echo: { text: "hello" } },
    });
    ada.send({ request_id: "e2", action: "echo", connection_id: "x", payload: 2 });
    expect(await ada.last("e2")).toMatchObject({ success: true, data: { echo: 2 } });
  });

  it("acknowledges a long request, reports its progress, and completes it", async () => {
    const ada = await (await start()).connect("ada");
    const id = newId();
    const last = await ada.ask("generate_report", REPORT, id);
    expect(last).toMatchObject({ type: "complete", request_id: id, success: true, result: RESULT });
    // Another function sends it, so it may arrive after the first progress.
    expect(await ada.receive(({ type }) => type === "acknowledgment")).toEqual({
      type: "acknowledgment",
      request_id: id,
      status: "queued",
      message: expect.any(String),
    });
    const progress = ada.framesOf(id).filter(({ type }) => type === "progress");
    expect(progress.length).toBeGreaterThan(0);
    for (const frame of progress) {
      expect(frame).toMatchObject({
        type: "progress",
        percentage: expect.any(Number),
        message: expect.any(String),
      });
    }
  });

  it("shows a request's state and result on another device of the user", async () => {
    const service = await start();
    const id = newId();
    await (await service.connect("ada")).ask("generate_report", REPORT, id);
    const phone = await service.connect("ada");
    expect((await phone.ask("request", { request: id })).data).toMatchObject({
      id,
      action: "generate_report",
      state: "COMPLETED",
      attempt: 1,
      result: RESULT,
    });
  });

  it.each([
    ["a message that is not JSON", "not JSON"],
    ["a message that is no object", "[1]"],
    ["a message without an action", JSON.stringify({ id: "v1", payload: {} })],
    ["an action that is no text", JSON.stringify({ id: "v1", action: 7 })],
    ["a payload without its fields", JSON.stringify({ id: "v1", action: "generate_report", payload: {} })],
    [
      "a period that ends before it starts",
      JSON.stringify({
        id: "v1",
        action: "generate_report",
        payload: { start_date: "2026-02-01", end_date: "2026-01-01" },
      }),
    ],
    ["a request without an id", JSON.stringify({ id: "v1", action: "request", payload: {} })],
  ])("refuses %s with VALIDATION_ERROR", async (_what, text) => {
    const ada = await (await start()).connect("ada");
    ada.sendText(text);
    const error = { code: "VALIDATION_ERROR", message: expect.any(String) };
    expect(await ada.receive(({ type }) => type === "error")).toMatchObject({
      request_id: text.includes("v1") ? "v1" : expect.any(String),
      error,
    });
    expect(await ada.ask("echo", 1)).toMatchObject({ success: true });
  });

  it("refuses an unknown action with INVALID_ACTION", async () => {
    const ada = await (await start()).connect("ada");
    expect(await ada.ask("no_such_action", {})).toMatchObject({
      type: "error",
      error: { code: "INVALID_ACTION" },
    });
  });

  it("runs a request once, however often its client sends it", async () => {
    const work = vi.fn(makeReport);
    const ada = await (await start({ makeReport: work })).connect("ada");
    const id = newId();
    for (let n = 0; n < 3; n++) ada.send({ id, action: "generate_report", payload: REPORT });
    await ada.last(id);
    ada.frames.length = 0;
    expect(await ada.ask("generate_report", REPORT, id)).toMatchObject({ result: RESULT });
    expect(work).toHaveBeenCalledOnce();
  });

  it("refuses another request under a known id with VALIDATION_ERROR", async () => {
    const ada = await (await start()).connect("ada");
    const id = newId();
    await ada.ask("generate_report", REPORT, id);
    ada.frames.length = 0;
    const other = { ...REPORT, end_date: "2026-01-02" };
    expect(await ada.ask("generate_report", other, id)).toMatchObject({
      error: { code: "VALIDATION_ERROR" },
    });
  });

  it("hides a request from other users and tenants, whose own may have the same id", async () => {
    const service = await start();
    const id = newId();
    await (await service.connect("ada")).ask("generate_report", REPORT, id);
    for (const [user, tenant] of [
      ["bob", "acme"],
      ["ada", "rival"],
    ] as const) {
      const spy = await service.connect(user, { tenant });
      expect(await spy.ask("request", { request: id })).toMatchObject({ error: { code: "NOT_FOUND" } });
      const own = { ...REPORT, end_date: "2026-01-01" };
      expect(await spy.ask("generate_report", own, id)).toMatchObject({ result: { days: 1 } });
    }
  });

  it("refuses a message after the token's expiry", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    onTestFinished(() => void vi.useRealTimers());
    const ada = await (await start()).connect("ada");
    vi.setSystemTime(Date.now() + 61 * 60_000);
    expect(await ada.ask("echo", 1)).toMatchObject({ error: { code: "TOKEN_EXPIRED" } });
  });

  it("forgets a connection that ends without a close frame", async () => {
    const service = await start();
    const ada = await service.connect("ada");
    ada.socket.terminate();
    await service.hasNoConnections();
  });

  it("forgets a connection that is idle for ten minutes", async () => {
    const clock = new ManualClock(Date.now());
    const service = await start({ clock });
    await service.connect("ada");
    clock.advance(IDLE_MS + 1_000);
    await service.hasNoConnections();
  });

  it("forgets all connections of a crowd that ends at once", async () => {
    const service = await start();
    const crowd = await Promise.all(Array.from({ length: 25 }, (_, n) => service.connect(`user-${n}`)));
    expect(await service.deployment.listConnections()).toHaveLength(crowd.length);
    for (const { socket } of crowd) socket.terminate();
    await service.hasNoConnections();
  });

  it("takes two `$disconnect` events of one connection at the same time", async () => {
    const service = await start();
    await service.connect("ada");
    const [connectionId = ""] = await service.deployment.listConnections();
    const { domainName, stage } = service.address;
    const event = disconnectEvent({ connectionId, requestContext: { domainName, stage } });
    const call = () => service.deployment.disconnect(event, lambdaContext(), () => {});
    expect(await Promise.all([call(), call()])).toMatchObject([{ statusCode: 200 }, { statusCode: 200 }]);
    expect(await service.deployment.listConnections()).toEqual([]);
  });

  it("completes the request of a client that has gone, and forgets its connection without a `$disconnect`", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    onTestFinished(() => void vi.useRealTimers());
    const gate = Promise.withResolvers<void>();
    const held: MakeReport = async (input, work) => {
      await gate.promise;
      return makeReport(input, work);
    };
    const service = await start({ makeReport: held });
    service.losesDisconnects = true;
    const ada = await service.connect("ada");
    const id = newId();
    ada.send({ id, action: "generate_report", payload: REPORT });
    await ada.receive(({ type }) => type === "acknowledgment");
    ada.socket.terminate();
    await vi.waitFor(() => expect(service.gateway.size).toBe(0));
    // Lift keeps the row of a connection that may still be connecting.
    vi.setSystemTime(Date.now() + 6 * 60_000);
    gate.resolve();
    await service.hasNoConnections();
    service.losesDisconnects = false;
    const phone = await service.connect("ada");
    await vi.waitFor(async () => {
      expect((await phone.ask("request", { request: id })).data).toMatchObject({
        state: "COMPLETED",
        result: RESULT,
      });
    });
  });

  it("fails a request with TIMEOUT when each attempt takes too long", async () => {
    const work = vi.fn<MakeReport>(() => new Promise(() => {}));
    const ada = await (await start({ makeReport: work, timeoutMs: 20, attempts: 2 })).connect("ada");
    expect(await ada.ask("generate_report", REPORT, newId())).toMatchObject({ error: { code: "TIMEOUT" } });
    expect(work).toHaveBeenCalledTimes(2);
  });

  it("tries a failed attempt again", async () => {
    const work = vi.fn(makeReport).mockRejectedValueOnce(new Error("the database is away"));
    const ada = await (await start({ makeReport: work })).connect("ada");
    const id = newId();
    expect(await ada.ask("generate_report", REPORT, id)).toMatchObject({ type: "complete", result: RESULT });
    expect(ada.framesOf(id).filter(({ type }) => type === "error")).toEqual([]);
    expect(work).toHaveBeenCalledTimes(2);
  });

  it("fails a request after its last attempt, and shows nothing of the cause", async () => {
    const work = vi.fn<MakeReport>().mockRejectedValue(new Error("secret"));
    const service = await start({ makeReport: work, attempts: 2 });
    const ada = await service.connect("ada");
    const id = newId();
    expect(await ada.ask("generate_report", REPORT, id)).toMatchObject({ error: { code: "INTERNAL_ERROR" } });
    expect((await ada.ask("request", { request: id })).data).toMatchObject({ state: "FAILED", attempt: 2 });
    expect(JSON.stringify(ada.frames)).not.toContain("secret");
  });

  it("sends each frame although @connections throttles it first", async () => {
    const service = await start({ throttlesPosts: true });
    const ada = await service.connect("ada");
    expect(await ada.ask("echo", 1)).toMatchObject({ success: true });
    const id = newId();
    expect(await ada.ask("generate_report", REPORT, id)).toMatchObject({ result: RESULT });
    expect(await ada.receive(({ type }) => type === "acknowledgment")).toMatchObject({ request_id: id });
    expect(service.throttledPosts()).toBeGreaterThan(2);
  });

  // In memory nothing throttles, and no stream delivers a record again.
  if (throttleTable === undefined) return;

  it("works while the table throttles each request first", async () => {
    const service = await start();
    throttleTable();
    const ada = await service.connect("ada");
    expect(await ada.ask("generate_report", REPORT, newId())).toMatchObject({ result: RESULT });
    ada.socket.terminate();
    await service.hasNoConnections();
  });

  it("runs a request once when its record is delivered again", async () => {
    const work = vi.fn(makeReport);
    const service = await start({ makeReport: work });
    const ada = await service.connect("ada");
    const id = newId();
    await ada.ask("generate_report", REPORT, id);
    await service.deployment.redeliver!();
    expect(work).toHaveBeenCalledOnce();
    expect(ada.framesOf(id).filter(({ type }) => type === "complete")).toHaveLength(1);
  });
}

interface ServiceOptions {
  readonly makeReport?: MakeReport;
  readonly timeoutMs?: number;
  readonly attempts?: number;
  readonly clock?: ManualClock;
  /** The first attempt of each POST to @connections is refused with 429. */
  readonly throttlesPosts?: boolean;
}

/** A deployment behind the gateway. */
class Service {
  readonly gateway: Gateway;
  readonly deployment: Deployment;
  readonly throttledPosts: () => number;
  /** `$disconnect` never arrives, which API Gateway does not exclude. */
  losesDisconnects = false;
  readonly #sockets: WebSocket[] = [];

  private constructor(gateway: Gateway, deployment: Deployment, throttledPosts: () => number) {
    this.gateway = gateway;
    this.deployment = deployment;
    this.throttledPosts = throttledPosts;
  }

  static async start(side: Side, options: ServiceOptions): Promise<Service> {
    const { clock, throttlesPosts = false, ...rest } = options;
    const posts = await startProxy(throttlesPosts, () => gateway.port);
    const deployment = await side.deploy({
      auth: AUTH,
      makeReport,
      timeoutMs: 60_000,
      attempts: 3,
      ...rest,
      endpoint: posts.endpoint,
    });
    const { connect: $connect, disconnect, router: $default } = deployment;
    const $disconnect: typeof disconnect = (...event) =>
      service.losesDisconnects ? { statusCode: 200 } : disconnect(...event);
    const gateway = createGateway({
      routes: { $connect, $disconnect, $default },
      ...(clock === undefined ? {} : { clock }),
    });
    const service = new Service(gateway, deployment, posts.throttled);
    await gateway.listen({ port: 0 });
    onTestFinished(async () => {
      // The next test uses the same tables.
      for (const socket of service.#sockets) socket.terminate();
      await service.hasNoConnections();
      await closeGateway(gateway, clock);
      await deployment.stop();
      await posts.stop();
    });
    return service;
  }

  get address() {
    const { host, pathname } = new URL(this.gateway.endpoint);
    return { domainName: host, stage: pathname.slice(1) };
  }

  async connect(user: string, { tenant = "acme", query = "" } = {}): Promise<Client> {
    const socket = new WebSocket(
      this.gateway.url + (query || `?Authorization=${await tokenOf(user, tenant)}`),
    );
    this.#sockets.push(socket);
    const client = new Client(socket);
    await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
    return client;
  }

  /** The status with which the upgrade is refused. */
  refusal(query: string): Promise<number | undefined> {
    const socket = new WebSocket(this.gateway.url + query);
    socket.on("error", () => {});
    return new Promise((resolve) => {
      socket.once("open", () => resolve(101));
      socket.once("unexpected-response", (_request, { statusCode }) => {
        socket.terminate();
        resolve(statusCode);
      });
    });
  }

  hasNoConnections(): Promise<void> {
    return vi.waitFor(async () => expect(await this.deployment.listConnections()).toEqual([]));
  }
}

class Client {
  readonly socket: WebSocket;
  readonly frames: Frame[] = [];

  constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on("error", () => {});
    socket.on("message", (data) => this.frames.push(JSON.parse(data.toString())));
  }

  sendText(text: string): void {
    this.socket.send(text);
  }

  send(message: object): void {
    this.sendText(JSON.stringify(message));
  }

  /** Sends a message, and returns the last frame that answers it. */
  ask(action: string, payload: unknown, id = newId()): Promise<Frame> {
    this.send({ id, action, payload });
    return this.last(id);
  }

  last(id: string): Promise<Frame> {
    return this.receive(
      (frame) => frame.request_id === id && ["response", "complete", "error"].includes(frame.type),
    );
  }

  async receive(fits: (frame: Frame) => boolean): Promise<Frame> {
    const find = () => this.frames.find(fits);
    await vi.waitFor(() => expect(find(), JSON.stringify(this.frames)).toBeDefined(), { interval: 5 });
    return find();
  }

  framesOf(id: string): Frame[] {
    return this.frames.filter(({ request_id }) => request_id === id);
  }
}

let ids = 0;

function newId(): string {
  return `request-${process.pid}-${Date.now()}-${++ids}`;
}

function tokenOf(
  user: string,
  tenant = "acme",
  claims: { exp?: number; aud?: string } = {},
): Promise<string> {
  const { exp = Math.floor(Date.now() / 1_000) + 3_600, aud = AUTH.audience } = claims;
  return new SignJWT({ tenant_id: tenant, permissions: ["read"] })
    .setProtectedHeader({ alg: "HS256" })
    .setSubject(user)
    .setIssuer(AUTH.issuer)
    .setAudience(aud)
    .setExpirationTime(exp)
    .sign(AUTH.secret);
}

/** Passes calls of @connections on to the gateway, and refuses the first attempt of each POST if asked to. */
async function startProxy(throttles: boolean, gatewayPort: () => number) {
  const seen = new Set<string>();
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const call = `${request.url} ${body}`;
    if (throttles && request.method === "POST" && !seen.has(call)) {
      seen.add(call);
      const headers = { "content-type": "application/json", "x-amzn-errortype": "LimitExceededException" };
      response.writeHead(429, headers).end("{}");
      return;
    }
    const { method = "GET", headers, url = "" } = request;
    const forwarded = fetch(`http://127.0.0.1:${gatewayPort()}${url}`, {
      method,
      headers: pick(headers as Record<string, string>, /^(authorization|x-amz-.*|content-type)$/),
      ...(method === "POST" ? { body } : {}),
    });
    const answer = await forwarded.catch(() => undefined);
    // The gateway has closed, and its connections with it.
    if (answer === undefined) {
      response.writeHead(410, { "x-amzn-errortype": "GoneException" }).end();
      return;
    }
    const kept = pick(Object.fromEntries(answer.headers), /^(content-type|x-amzn-.*)$/);
    response.writeHead(answer.status, kept).end(Buffer.from(await answer.arrayBuffer()));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}/dev`,
    throttled: () => seen.size,
    stop: () => {
      server.closeAllConnections();
      return new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function pick(headers: Record<string, string>, names: RegExp): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => names.test(name)));
}

/** A gateway on a `ManualClock` closes when its time passes. */
async function closeGateway(gateway: Gateway, clock: ManualClock | undefined): Promise<void> {
  let isClosed = false;
  const closing = gateway.close({ drainMs: 1, spreadMs: 1 }).then(() => {
    isClosed = true;
  });
  while (clock !== undefined && !isClosed) {
    clock.advance(1);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await closing;
}
