// The middleware on the gateway, over real sockets.
import { SignJWT } from "jose";
import { describe, expect, it, onTestFinished } from "vitest";
import { createGateway, type Gateway, type GatewayOptions, ManualClock } from "../../src/gateway/index.ts";
import { type AnyContext, jsonLogger, Lift, type LiftOptions } from "../../src/lift/index.ts";
import { webSocketAuth, webSocketAuthorizer } from "../../src/lift/middleware/auth/index.ts";
import { type EventMetrics, webSocketMetrics } from "../../src/lift/middleware/metrics/index.ts";
import { webSocketRateLimit } from "../../src/lift/middleware/rate-limit/index.ts";
import { webSocketTracing } from "../../src/lift/middleware/tracing/index.ts";
import { memoryConnectionStore, memorySchedule } from "../../src/store/memory/index.ts";
import { connect, upgrade } from "../conformance/harness.ts";

const secret = new TextEncoder().encode("a secret of thirty-two bytes, or more");
const jwt = { algorithms: ["HS256"], secret, issuer: "me", audience: "chat" };

const token = (expiry: number | string = "1h") =>
  new SignJWT({ iss: "me", aud: "chat", sub: "ada", tenant_id: "acme" })
    .setProtectedHeader({ alg: "HS256" })
    .setExpirationTime(expiry)
    .sign(secret);

async function startStack(options: GatewayOptions = {}, lift: LiftOptions<object> = {}) {
  const measured: EventMetrics[] = [];
  const silent = jsonLogger({ level: "debug", write: () => {} });
  const app = new Lift<object>({ logger: silent, ...lift });
  app.use(webSocketAuth({ jwt, protocols: ["chat.v1"] }));
  app.use(
    webSocketRateLimit({
      connects: { by: "ip", limit: 2, windowMs: 60_000 },
      messages: { by: "connection", limit: 1, windowMs: 60_000 },
    }),
  );
  app.use(webSocketMetrics({ collector: { record: (metrics) => void measured.push(metrics) } }));
  app.use(webSocketTracing());
  app.webSocket("whoami", (ctx: AnyContext) =>
    ctx.reply({ user: ctx.userId, tenant: ctx.tenantId }).then(() => {}),
  );
  const gateway = createGateway({
    ...options,
    handler: (event, context) => app.webSocketHandler({ connections: gateway })(event, context),
  });
  await gateway.listen({ port: 0 });
  onTestFinished(() => gateway.close({ drainMs: 1, spreadMs: 1 }));
  return { gateway, measured };
}

describe("the middleware stack on the gateway", () => {
  it("refuses the upgrade without a valid token, and over the limit with one", async () => {
    const { gateway, measured } = await startStack({}, { connectionStore: memoryConnectionStore() });
    expect((await upgrade(gateway)).status).toBe(401);
    expect((await upgrade(gateway, "/dev?token=forged")).status).toBe(401);
    expect((await upgrade(gateway, `/dev?token=${await token()}`)).status).toBe(429);
    expect(measured.map(({ status }) => status)).toEqual(["4xx", "4xx", "4xx"]);
  });

  it("accepts a token as a subprotocol, identifies its user, and limits its messages", async () => {
    const { gateway } = await startStack({}, { connectionStore: memoryConnectionStore() });
    const client = await connect(gateway, { protocols: ["bearer", await token(), "chat.v1"] });
    expect(client.socket.protocol).toBe("chat.v1");
    client.send({ action: "whoami", id: "m1" });
    expect(JSON.parse(await client.messages.next())).toEqual({ user: "ada", tenant: "acme" });
    client.send({ action: "whoami", id: "m2" });
    expect(JSON.parse(await client.messages.next())).toMatchObject({
      type: "error",
      request_id: "m2",
      error: { code: "RATE_LIMITED", retry: true, details: { retryAfterMs: expect.any(Number) } },
    });
  });

  it("limits a client by its address behind a proxy that adds a port to it", async () => {
    const { gateway } = await startStack({ trustProxy: true }, { connectionStore: memoryConnectionStore() });
    const from = async (address: string) =>
      (await upgrade(gateway, `/dev?token=${await token()}`, { "X-Forwarded-For": address })).status;
    const ports = [await from("203.0.113.9:1"), await from("203.0.113.9:2"), await from("203.0.113.9:3")];
    expect(ports).toEqual([101, 101, 429]);
    expect(await from("203.0.113.10:1")).toBe(101);
  });

  it("joins subprotocols from two header lines", async () => {
    const { gateway } = await startStack({}, { connectionStore: memoryConnectionStore() });
    const lines = { "Sec-WebSocket-Protocol": ["chat.v1, bearer", await token()] };
    const { status, headers } = await upgrade(gateway, "/dev", lines);
    expect([status, headers["sec-websocket-protocol"]]).toEqual([101, "chat.v1"]);
    const behind = await startStack({ authorizer: webSocketAuthorizer({ jwt }) });
    expect((await upgrade(behind.gateway, "/dev", lines)).status).toBe(101);
  });

  it("finds a valid token after an empty one", async () => {
    const { gateway } = await startStack({}, { connectionStore: memoryConnectionStore() });
    const path = `/dev?Authorization=&token=${await token()}`;
    expect((await upgrade(gateway, path, { Authorization: "" })).status).toBe(101);
  });

  it("authenticates by an authorizer, without a store", async () => {
    const { gateway } = await startStack({ authorizer: webSocketAuthorizer({ jwt }) });
    expect((await upgrade(gateway, "/dev?token=forged")).status).toBe(401);
    const client = await connect(gateway, { path: `?token=${await token()}` });
    client.send({ action: "whoami" });
    expect(JSON.parse(await client.messages.next())).toEqual({ user: "ada", tenant: "acme" });
  });
});

describe("a socket whose token expires", () => {
  it("gets an error and a close from a tick, delayed by a refresh", async () => {
    const clock = new ManualClock();
    const now = () => clock.now();
    const app = new Lift<object>({
      connectionStore: memoryConnectionStore({ now }),
      schedule: memorySchedule(),
      now,
    });
    const auth = webSocketAuth({ jwt, now });
    app.use(auth).webSocket("auth.refresh", auth.refresh);
    const gateway: Gateway = createGateway({
      clock,
      routes: Object.fromEntries(
        app.routeKeys.map((key) => [key, (event, context) => answer(event, context)]),
      ),
      everySecond: () => app.tick({ connections: gateway }),
    });
    const answer = app.webSocketHandler({ connections: gateway });
    await gateway.listen({ port: 0 });
    onTestFinished(async () => {
      await gateway.close({ drainMs: 1, spreadMs: 0 });
      expect(clock.pending).toBe(0);
    });
    const until = (ms: number) => token((clock.now() + ms) / 1_000);
    const client = await connect(gateway, { path: `?token=${await until(60_000)}` });
    client.send({ action: "auth.refresh", id: "r1", token: await until(120_000) });
    expect(JSON.parse(await client.messages.next())).toMatchObject({ request_id: "r1", success: true });
    // The first token has expired by then, and the second one is within its tolerance of 5 s.
    for (const ms of [70_000, 1_000, 52_000]) {
      clock.advance(ms);
      client.send({ action: "nothing" });
      expect(JSON.parse(await client.messages.next())).toMatchObject({ message: "Forbidden" });
    }
    const next = client.messages.next();
    let hasCome = false;
    void next.then(() => {
      hasCome = true;
    });
    // A tick that is still running when the next one is due takes its place.
    while (!hasCome) {
      clock.advance(1_000);
      await new Promise(setImmediate);
    }
    expect(JSON.parse(await next)).toEqual({
      type: "error",
      error: { code: "TOKEN_EXPIRED", message: expect.any(String), retry: true },
    });
    expect(await client.closed).toMatchObject({ code: 1000 });
  });
});
