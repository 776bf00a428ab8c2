// The documented stack of authentication, rate limit, metrics and tracing, with all state in DynamoDB.
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import { SignJWT } from "jose";
import { jsonLogger, Lift } from "lift-ws";
import { authIdentity, requirePermission, webSocketAuth } from "lift-ws/middleware/auth";
import { type EventMetrics, webSocketMetrics } from "lift-ws/middleware/metrics";
import { defaultRateLimits, webSocketRateLimit } from "lift-ws/middleware/rate-limit";
import { dynamoDBRateLimiter } from "lift-ws/middleware/rate-limit-dynamodb";
import { webSocketTracing } from "lift-ws/middleware/tracing";
import { createTables } from "lift-ws/store/dynamodb";
import {
  connectEvent,
  disconnectEvent,
  lambdaContext,
  messageEvent,
  recordingConnections,
} from "lift-ws/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { ConnectionTable, localClient } from "./connection-table.ts";

const secret = new TextEncoder().encode("a secret of thirty-two bytes, or more");
const jwt = { algorithms: ["HS256"], secret, issuer: "me", audience: "chat" };

let table: ConnectionTable;
let limits: string;

beforeEach(async () => {
  table = await ConnectionTable.create();
  limits = `${table.tableName}-limits`;
  await createTables({ client: localClient(), tableName: table.tableName, rateLimitTableName: limits });
});

/** The application in one container. All containers share the tables. */
function startContainer() {
  const exporter = new InMemorySpanExporter();
  const tracerProvider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
  const measured: EventMetrics[] = [];
  const connections = recordingConnections();
  const limiter = dynamoDBRateLimiter({ tableName: limits, client: localClient(), limit: 3 });
  const app = new Lift<object>({
    connections,
    connectionStore: table.store(),
    now: table.now,
    logger: jsonLogger({ level: "debug", write: () => {} }),
  });
  app.use(webSocketAuth({ jwt, now: table.now }));
  app.use(webSocketRateLimit({ ...defaultRateLimits, connects: { by: "ip", limiter } }));
  app.use(webSocketMetrics({ collector: { record: (metrics) => void measured.push(metrics) } }));
  app.use(webSocketTracing({ tracerProvider }));
  app.webSocket("who", async (ctx) => {
    await ctx.reply({ user: ctx.userId, tenant: ctx.tenantId, roles: authIdentity(ctx)?.roles });
  });
  app.webSocket("admin", { middleware: [requirePermission("admin")] }, () => {});
  const handler = app.webSocketHandler();
  return {
    measured,
    spans: () => exporter.getFinishedSpans().map(({ name }) => name),
    connect: async (token: string, connectionId: string) => {
      const requestContext = { connectedAt: table.now() };
      const event = connectEvent({ connectionId, query: { token }, requestContext });
      return (await handler(event, lambdaContext())).statusCode;
    },
    send: async (route: string, connectionId: string) => {
      await handler(messageEvent(route, {}, { connectionId }), lambdaContext());
      return connections.jsonSentTo(connectionId).at(-1);
    },
    disconnect: (connectionId: string) => handler(disconnectEvent({ connectionId }), lambdaContext()),
  };
}

const token = () =>
  new SignJWT({ iss: "me", aud: "chat", sub: "ada", tenant_id: "acme", roles: ["member"] })
    .setProtectedHeader({ alg: "HS256" })
    .setExpirationTime(table.now() / 1_000 + 3_600)
    .sign(secret);

describe("the stack on DynamoDB", () => {
  it("identifies the connection's user in every container, measures and traces its events", async () => {
    const [first, second] = [startContainer(), startContainer()];
    expect(await first.connect(await token(), "a")).toBe(200);
    expect(await second.send("who", "a")).toEqual({ user: "ada", tenant: "acme", roles: ["member"] });
    expect(await second.send("admin", "a")).toMatchObject({ error: { code: "FORBIDDEN" } });
    await second.disconnect("a");
    expect(await table.store().count()).toBe(0);
    expect(first.measured).toMatchObject([{ event: "CONNECT", status: "2xx" }]);
    expect(second.measured).toMatchObject([
      { event: "MESSAGE", route: "who", status: "2xx" },
      { event: "MESSAGE", route: "admin", status: "4xx" },
      { event: "DISCONNECT", status: "2xx" },
    ]);
    expect(first.spans()).toEqual(["ConnectionStore save", "$connect"]);
    expect(second.spans()).toEqual(
      expect.arrayContaining(["ConnectionStore get", "process who", "$disconnect"]),
    );
  });

  it("refuses, counts and traces a bad token, and a good one over the limit, across containers", async () => {
    const [first, second] = [startContainer(), startContainer()];
    expect(await first.connect("forged", "a")).toBe(401);
    expect(await second.connect("forged", "b")).toBe(401);
    expect(await second.connect(await token(), "c")).toBe(200);
    expect(await first.connect(await token(), "d")).toBe(429);
    expect(first.measured.map(({ status }) => status)).toEqual(["4xx", "4xx"]);
    // A refused connect neither writes nor reads a row.
    expect(first.spans()).toEqual(["$connect", "$connect"]);
    expect(await table.ids(table.store().listByUser("ada"))).toEqual(["c"]);
  });
});
