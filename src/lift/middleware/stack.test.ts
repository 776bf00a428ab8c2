// Tests all middleware together, in the documented order: authentication, rate limit, metrics, tracing.
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import { SignJWT } from "jose";
import { describe, expect, it, vi } from "vitest";
import { memoryConnectionStore } from "../../store/memory/index.ts";
import { type AnyContext, jsonLogger, Lift } from "../index.ts";
import {
  connectEvent,
  disconnectEvent,
  lambdaContext,
  messageEvent,
  recordingConnections,
} from "../testing/index.ts";
import { requirePermission, webSocketAuth } from "./auth/index.ts";
import { webSocketLogger } from "./logger/index.ts";
import { emfCollector, webSocketMetrics } from "./metrics/index.ts";
import { webSocketRateLimit } from "./rate-limit/index.ts";
import { webSocketTracing } from "./tracing/index.ts";

const ID = "L0SM9cOFvHcCIhw=";
const SECRET = "a secret of thirty-two bytes, or more";

/** @param sdk whether to register a tracing SDK, which sets its own timers */
function makeStack(sdk = true) {
  const exporter = new InMemorySpanExporter();
  const tracerProvider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
  const lines: string[] = [];
  const emf: string[] = [];
  const connections = recordingConnections();
  let verified = 0;
  const app = new Lift<object>({
    connections,
    connectionStore: memoryConnectionStore(),
    logger: jsonLogger({ level: "debug", write: (_level, line) => lines.push(line) }),
  });
  app.use(
    webSocketAuth({
      jwt: {
        algorithms: ["HS256"],
        secret: SECRET,
        issuer: "me",
        audience: "chat",
        identity: ({ sub, permissions }) => {
          verified++;
          return { userId: String(sub), permissions: permissions as string[] };
        },
      },
    }),
  );
  app.use(webSocketRateLimit());
  app.use(webSocketMetrics({ collector: emfCollector({ write: (line) => emf.push(line) }) }));
  app.use(webSocketTracing(sdk ? { tracerProvider } : {}));
  app.use(webSocketLogger());
  app.webSocket("chat", (ctx: AnyContext) => ctx.reply({ heard: ctx.body("text") }).then(() => {}));
  app.webSocket("admin", { middleware: [requirePermission("admin")] }, () => {});
  const handler = app.webSocketHandler();
  const lambda = lambdaContext();
  return {
    lines,
    emf,
    connections,
    verified: () => verified,
    spans: () => exporter.getFinishedSpans(),
    metrics: () => emf.map((line) => JSON.parse(line) as { [name: string]: unknown }),
    connect: async (query: { [name: string]: string }, headers: { [name: string]: string } = {}) =>
      (await handler(connectEvent({ query, headers }), lambda)).statusCode,
    send: (route: string, body: object = {}) => handler(messageEvent(route, body), lambda),
    disconnect: () => handler(disconnectEvent(), lambda),
  };
}

function token(claims: { [claim: string]: unknown } = {}) {
  return new SignJWT({ iss: "me", aud: "chat", sub: "ada", permissions: [], ...claims })
    .setProtectedHeader({ alg: "HS256" })
    .setExpirationTime("1h")
    .sign(new TextEncoder().encode(SECRET));
}

describe("the stack", () => {
  it("authenticates, measures and traces a connection's life", async () => {
    const { connect, send, disconnect, connections, metrics, spans } = makeStack();
    expect(await connect({ token: await token() })).toBe(200);
    await send("chat", { text: "hi" });
    await send("admin");
    await disconnect();
    expect(connections.jsonSentTo(ID)).toMatchObject([{ heard: "hi" }, { error: { code: "FORBIDDEN" } }]);
    expect(metrics()).toMatchObject([
      { Event: "CONNECT", Status: "2xx", Connects: 1 },
      { Event: "MESSAGE", Route: "chat", Status: "2xx", Sends: 1 },
      { Event: "MESSAGE", Route: "admin", Status: "4xx", Refused: 1, Sends: 1 },
      { Event: "DISCONNECT", Status: "2xx", Disconnects: 1 },
    ]);
    expect(spans().map(({ name }) => name)).toEqual(
      expect.arrayContaining([
        "$connect",
        "process chat",
        "process admin",
        "$disconnect",
        "@connections post",
      ]),
    );
  });

  it("counts and traces a 401 when metrics and tracing are added after the authentication", async () => {
    const { connect, metrics, spans, lines } = makeStack();
    expect(await connect({ token: "forged" })).toBe(401);
    expect(metrics()).toMatchObject([{ Status: "4xx", Refused: 1, Failed: 0 }]);
    expect(spans()).toMatchObject([
      { name: "$connect", attributes: { "http.response.status_code": 401, "error.type": "UNAUTHORIZED" } },
    ]);
    expect(lines.at(-1)).toContain('"status":401');
  });

  it("limits connects by address before a token is verified, although it is added later", async () => {
    const { connect, metrics, verified } = makeStack();
    const good = await token();
    for (let n = 0; n < 10; n++) await connect({ token: good });
    expect(verified()).toBe(10);
    expect(await connect({ token: good })).toBe(429);
    expect(await connect({ token: "forged" })).toBe(429);
    expect(verified()).toBe(10);
    expect(metrics().filter(({ Refused }) => Refused === 1)).toHaveLength(2);
  });

  it("leaves no timer behind", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval"] });
    const { connect, send, disconnect } = makeStack(false);
    await connect({ token: await token() });
    await send("chat", { text: "hi" });
    await disconnect();
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
  });

  it("writes no token to any log line, metric, span or frame", async () => {
    const stack = makeStack();
    const good = await token();
    const stale = await token({ aud: "mail" });
    const opaque = "opaque-credential-0123456789";
    await stack.connect({ Authorization: good }, { Cookie: `session=${opaque}` });
    await stack.connect({ token: stale });
    await stack.connect({ token: opaque });
    await stack.connect({}, { Authorization: `Bearer ${stale}` });
    await stack.connect({}, { "Sec-WebSocket-Protocol": `bearer, ${opaque}` });
    await stack.send("chat", { text: good });
    await stack.send("admin", { token: opaque });
    await stack.disconnect();
    const spans = stack
      .spans()
      .map(({ name, attributes, events, status }) => ({ name, attributes, events, status }));
    const written = JSON.stringify([stack.lines, stack.emf, spans]);
    expect(written.length).toBeGreaterThan(2_000);
    for (const secret of [good, stale, opaque, SECRET]) {
      expect(written).not.toContain(secret);
      expect(written).not.toContain(secret.split(".").at(-1));
    }
  });
});
