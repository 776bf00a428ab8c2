import { Lift, type WebSocketHandler } from "lift-ws";
import { webSocketAuth } from "lift-ws/middleware/auth";
import { dynamoDBRateLimiter } from "lift-ws/middleware/rate-limit-dynamodb";
import { ticketHandler } from "lift-ws/middleware/tickets";
import type { Connection, ConnectionStore } from "lift-ws/store";
import {
  type CallMetrics,
  createTables,
  type DynamoDBConnectionStoreOptions,
  dynamoDBSchedule,
  dynamoDBTicketStore,
} from "lift-ws/store/dynamodb";
import {
  connectEvent,
  disconnectEvent,
  lambdaContext,
  messageEvent,
  recordingConnections,
} from "lift-ws/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { type MeasuredUnits, UNITS } from "../../src/cli/cost/units.ts";
import type { Units } from "../support/unit-counter.ts";
import { CALL_TIMEOUT_MS, ConnectionTable, localClient } from "./connection-table.ts";

const { events, lists } = UNITS;
const ID = "L0SM9cOFvHcCIhw=";
const IDENTITY = { authorizer: { sub: "user-1", tenant_id: "tenant-1" } };
const ANONYMOUS = {};
const NO_CALL: CallMetrics = {
  operation: "UpdateItem",
  tableName: "",
  durationMs: 0,
  attempts: 1,
  readUnits: 0,
  writeUnits: 0,
  outcome: "ok",
};

let table: ConnectionTable;
let calls: CallMetrics[];
let store: ReturnType<ConnectionTable["store"]>;
let handler: WebSocketHandler;

/** An app whose routes each access the connection's state in one way. */
function run(options: Partial<DynamoDBConnectionStoreOptions> = {}): void {
  store = table.store({ ...options, enableMetrics: (measure) => void calls.push(measure) });
  const app = new Lift<{ room: string; seen: number }>({
    connectionStore: store,
    connections: recordingConnections(),
    now: table.now,
  });
  app.webSocket("$connect", () => {});
  app.webSocket("$disconnect", () => {});
  app.webSocket("who", (ctx) => void ctx.userId);
  app.webSocket("get", async (ctx) => void (await ctx.get("room")));
  app.webSocket("set", (ctx) => void ctx.set("room", "r1"));
  app.webSocket("update", async (ctx) => void (await ctx.update("seen", (seen) => (seen ?? 0) + 1)));
  handler = app.webSocketHandler();
}

const requestContext = () => ({ connectedAt: table.now() });
const connect = (who: object, connectionId = ID) =>
  handler(connectEvent({ connectionId, requestContext: requestContext(), ...who }), lambdaContext());
const send = (route: string, who: object) => handler(messageEvent(route, {}, who), lambdaContext());
const disconnect = (who: object) => handler(disconnectEvent(who), lambdaContext());

/** Units that `work` consumes, as DynamoDB reports them. */
async function unitsOf(work: () => Promise<unknown>): Promise<Units> {
  calls.length = 0;
  await work();
  expect(calls.filter((call) => call.outcome === "failed")).toEqual([]);
  const sum = (of: "readUnits" | "writeUnits") => calls.reduce((total, call) => total + call[of], 0);
  return { reads: sum("readUnits"), writes: sum("writeUnits") };
}

const measured = new Set<MeasuredUnits>();

async function expectDocumented(units: MeasuredUnits, work: () => Promise<unknown>): Promise<void> {
  measured.add(units);
  expect({ row: units.row, ...(await unitsOf(work)) }).toEqual(units);
}

beforeEach(async () => {
  table = await ConnectionTable.create();
  calls = [];
  run();
});

describe("docs/operations/dynamodb-costs.md lists the units of", () => {
  it("a connect and a disconnect", async () => {
    await expectDocumented(events.connectAnonymous, () => connect(ANONYMOUS));
    await expectDocumented(events.disconnectAnonymous, () => disconnect(ANONYMOUS));
    await expectDocumented(events.connect, () => connect(IDENTITY, "M0SM9cOFvHcCIhw="));
    const same = { ...IDENTITY, connectionId: "M0SM9cOFvHcCIhw=" };
    await expectDocumented(events.disconnect, () => disconnect(same));
  });

  it("a message", async () => {
    await connect(IDENTITY);
    await expectDocumented(events.message, () => send("who", IDENTITY));
    await expectDocumented(events.messageOfRow, () => send("who", ANONYMOUS));
    await expectDocumented(events.getState, () => send("get", IDENTITY));
    await expectDocumented(events.setState, () => send("set", IDENTITY));
    await expectDocumented(events.updateState, () => send("update", IDENTITY));
  });

  it("a state read after the row was read: none", async () => {
    await connect(IDENTITY);
    expect(await unitsOf(() => send("get", ANONYMOUS))).toEqual({ reads: 1, writes: 0 });
  });

  it("a connect and a disconnect with a connection limit", async () => {
    // With a limit of one there is one shard, which exists after its first write.
    run({ maxConnections: 1 });
    await connect(ANONYMOUS, "first=");
    await disconnect({ connectionId: "first=" });
    const counted = { ...IDENTITY, connectionId: "M0SM9cOFvHcCIhw=" };
    await expectDocumented(events.connectCounted, () => connect(IDENTITY, counted.connectionId));
    await expectDocumented(events.disconnectCounted, () => disconnect(counted));
  });

  it("a limit on connects", async () => {
    const limits = `${table.tableName}-limits`;
    const client = localClient();
    await createTables({ client, tableName: table.tableName, rateLimitTableName: limits });
    let writes = 0;
    // DynamoDB charges a write whose condition failed, but does not report its units.
    client.middlewareStack.add(
      (next) => async (args) => {
        Object.assign(args.input, { ReturnConsumedCapacity: "TOTAL" });
        const failed = (error: { name: string }) => {
          expect(error.name).toBe("ConditionalCheckFailedException");
          writes += 1;
          throw error;
        };
        const answer = await next(args).catch(failed);
        const output = answer.output as { ConsumedCapacity: { CapacityUnits: number } };
        writes += output.ConsumedCapacity.CapacityUnits;
        return answer;
      },
      { step: "initialize" },
    );
    const limiter = dynamoDBRateLimiter({ tableName: limits, client, limit: 2 });
    const written = (work: () => Promise<unknown>) => async () => {
      writes = 0;
      await work().catch(() => {});
      calls.push({ ...NO_CALL, writeUnits: writes });
    };
    const consume = written(() => limiter.consume("connects:ip:203.0.113.9"));
    await expectDocumented(events.rateLimit, consume);
    await expectDocumented(events.rateLimitNext, consume);
    await expectDocumented(events.rateLimitKnown, consume);
  });

  it("a token's expiry, a refresh and a ticket", async () => {
    const names = {
      scheduleTableName: `${table.tableName}-schedule`,
      ticketTableName: `${table.tableName}-tickets`,
    };
    const client = localClient();
    await createTables({ client, ...names });
    const enableMetrics = (measure: CallMetrics) => void calls.push(measure);
    const usual = { client, enableMetrics, timeoutMs: CALL_TIMEOUT_MS };
    const schedule = dynamoDBSchedule({ tableName: names.scheduleTableName, ...usual });
    const tickets = dynamoDBTicketStore({ tableName: names.ticketTableName, ...usual });
    let lateBy = 0;
    const now = () => table.now() + lateBy;
    const token = () => ({ userId: "user-1", tenantId: "tenant-1", expiresAt: now() + 60_000 });
    const connections = recordingConnections();
    const app = (connectionStore: ConnectionStore) => {
      const lift = new Lift({ connectionStore, connections, schedule, now });
      const auth = webSocketAuth({ validateToken: token, tickets, now });
      return lift.use(auth).webSocket("auth.refresh", auth.refresh);
    };
    // The rows above have the cost of the connection table.
    const adding = app(table.store());
    const counting = app(store);
    const query = { token: "x" };
    const opened = () =>
      adding.webSocketHandler()(connectEvent({ query, requestContext: requestContext() }), lambdaContext());
    await expectDocumented(events.expiryOnConnect, opened);
    const closed = () =>
      adding.webSocketHandler()(disconnectEvent({ requestContext: requestContext() }), lambdaContext());
    await expectDocumented(events.expiryOnDisconnect, closed);

    const mint = ticketHandler({ validateToken: token, tickets, now });
    const http = { method: "POST", path: "/", sourceIp: "192.0.2.1" };
    const headers = { authorization: "Bearer x" };
    const event = {
      version: "2.0",
      rawPath: "/",
      rawQueryString: "",
      headers,
      isBase64Encoded: false,
    } as const;
    let ticket = "";
    await expectDocumented(events.createTicket, async () => {
      const { body } = await mint({ ...event, requestContext: { requestId: "r", http } }, lambdaContext());
      ticket = (JSON.parse(body!) as { ticket: string }).ticket;
    });
    const longer = new Lift({ connectionStore: table.store(), connections, now });
    longer.use(webSocketAuth({ validateToken: token, tickets, now }));
    const connectionId = "M0SM9cOFvHcCIhw=";
    await expectDocumented(events.redeemTicket, () =>
      longer.webSocketHandler()(connectEvent({ connectionId, query: { ticket } }), lambdaContext()),
    );

    const kept = { connectionId: "N0SM9cOFvHcCIhw=", requestContext: requestContext() };
    await adding.webSocketHandler()(connectEvent({ ...kept, query }), lambdaContext());
    lateBy = 1_000;
    await expectDocumented(events.refresh, () =>
      counting.webSocketHandler()(
        messageEvent("auth.refresh", { token: "y" }, { ...kept, ...IDENTITY }),
        lambdaContext(),
      ),
    );
    lateBy = 120_000;
    await expectDocumented(events.expiryOnTick, () => counting.tick());
    expect(connections.disconnected).toEqual([kept.connectionId]);
  });

  it("listing and counting a thousand connections", async () => {
    const ids = Array.from({ length: 1_000 }, (_, n) => `L0SM9cOFvH${String(n).padStart(5, "0")}=`);
    for (let from = 0; from < ids.length; from += 50) {
      const some = ids.slice(from, from + 50);
      await Promise.all(
        some.map((id) => store.save(table.createRow(id, { userId: "user-1", tenantId: "tenant-1" }))),
      );
    }
    const listed = async (connections: AsyncIterable<Connection>) =>
      expect(await table.ids(connections)).toHaveLength(1_000);
    await expectDocumented(lists.listByUser, () => listed(store.listByUser("user-1")));
    await expectDocumented(lists.listByTenant, () => listed(store.listByTenant("tenant-1")));
    await expectDocumented(lists.count, async () => expect(await store.count()).toBe(1_000));
  });

  it("measured operations only", () => {
    expect(measured).toEqual(new Set([...Object.values(events), ...Object.values(lists)]));
  });
});
