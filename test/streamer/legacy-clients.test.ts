// Plays the conversation of the legacy demo client, byte for byte.
import { generateKeyPairSync } from "node:crypto";
import { SignJWT } from "jose";
import { expect, it, onTestFinished } from "vitest";
import { createLounge } from "../../examples/streamer/app.ts";
import { createGateway, type Gateway } from "../../src/gateway/index.ts";
import { jsonLogger } from "../../src/lift/index.ts";
import { STREAMER_CONNECTIONS } from "../../src/rollout/index.ts";
import type { ConnectionStore } from "../../src/store/index.ts";
import { memoryChannelStore, memoryConnectionStore, memorySchedule } from "../../src/store/memory/index.ts";
import { connect } from "../conformance/harness.ts";

interface Frame {
  readonly type: string;
  readonly request_id?: string;
  readonly [field: string]: unknown;
}

async function startDemo(connectionStore: ConnectionStore = memoryConnectionStore()) {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2_048 });
  const lounge = createLounge({
    auth: {
      jwt: {
        algorithms: ["RS256"],
        publicKey: publicKey.export({ type: "spki", format: "pem" }) as string,
        issuer: "streamer-demo",
        audience: "streamer-api",
        // The demo's tokens have no `aud`.
        allowMissingAudience: true,
      },
    },
    store: memoryChannelStore(),
    connectionStore,
    schedule: memorySchedule(),
    logger: jsonLogger({ level: "silent" }),
    stepMs: 0,
  });
  const gateway: Gateway = createGateway({ handler: (event, context) => handler(event, context) });
  const handler = lounge.app.webSocketHandler({ connections: gateway });
  await gateway.listen({ port: 0 });
  onTestFinished(() => gateway.close({ drainMs: 1, spreadMs: 1 }));
  const token = (claims: object = {}) =>
    new SignJWT({ tenant_id: "demo", permissions: ["read", "write"], ...claims })
      .setProtectedHeader({ alg: "RS256" })
      .setSubject("demo-user")
      .setIssuer("streamer-demo")
      .setIssuedAt()
      .setExpirationTime("1h")
      .sign(privateKey);
  return { gateway, token };
}

async function legacyClient(gateway: Gateway, token: string) {
  const client = await connect(gateway, { path: `?Authorization=${token}` });
  const next = async (): Promise<Frame> => JSON.parse(await client.messages.next());
  return {
    next,
    sendText: (text: string) => client.send(text),
    /** Sends a message as `demo/client.js` does, and returns the frames up to the last about it. */
    ask: async (action: string, payload: object): Promise<Frame[]> => {
      const request_id = `req_${action}`;
      client.send(JSON.stringify({ action, connection_id: "conn_1", request_id, payload }));
      const frames: Frame[] = [];
      for (;;) {
        const frame = await next();
        // Legacy clients ignore types that they do not know.
        if (frame.type === "message") continue;
        frames.push(frame);
        if (["response", "complete", "error"].includes(frame.type)) return frames;
      }
    },
  };
}

it("answers each action of the legacy demo client", async () => {
  const { gateway, token } = await startDemo();
  const client = await legacyClient(gateway, await token());

  expect(await client.ask("echo", { message: "Hello" })).toEqual([
    { type: "response", request_id: "req_echo", success: true, data: { echo: { message: "Hello" } } },
  ]);

  const period = { start_date: "2026-01-01", end_date: "2026-01-31", report_type: "monthly_sales" };
  const report = await client.ask("generate_report", { ...period, format: "pdf" });
  expect(report[0]).toMatchObject({
    type: "acknowledgment",
    request_id: "req_generate_report",
    status: "queued",
  });
  expect(report[0]?.message).toEqual(expect.any(String));
  const progress = report.slice(1, -1);
  expect(progress.length).toBeGreaterThan(0);
  for (const frame of progress) {
    expect(frame).toMatchObject({
      type: "progress",
      request_id: "req_generate_report",
      message: expect.any(String),
    });
    expect(frame.percentage).toBeGreaterThanOrEqual(0);
    expect(frame.percentage).toBeLessThanOrEqual(100);
  }
  expect(report.at(-1)).toMatchObject({ type: "complete", success: true, result: { days: 31 } });
  const { base64 } = report.at(-1)!.result as { base64: string };
  expect(Buffer.from(base64, "base64").toString("latin1")).toMatch(/^%PDF-1\.4.*2026-01-31.*%%EOF\n$/s);

  const processed = await client.ask("process_data", { dataset_id: "d42", operation: "sum" });
  expect(processed[0]).toMatchObject({ type: "acknowledgment" });
  expect(processed.at(-1)).toMatchObject({ type: "complete", result: { dataset_id: "d42", value: 45 } });
});

it("gives legacy clients the codes that they know", async () => {
  const { gateway, token } = await startDemo();
  const client = await legacyClient(gateway, await token());
  const codeOf = (frames: readonly Frame[]) => (frames.at(-1)!.error as { code: string }).code;
  expect(codeOf(await client.ask("echo_later", {}))).toBe("INVALID_ACTION");
  expect(codeOf(await client.ask("generate_report", { start_date: "soon" }))).toBe("VALIDATION_ERROR");
  client.sendText("not JSON");
  expect(await client.next()).toMatchObject({ type: "error", error: { code: "VALIDATION_ERROR" } });
  client.sendText(JSON.stringify({ request_id: "r1", payload: {} }));
  expect(await client.next()).toMatchObject({ request_id: "r1", error: { code: "VALIDATION_ERROR" } });
  client.sendText(JSON.stringify({ action: "heartbeats" }));
  expect(await client.next()).toMatchObject({ error: { code: "INVALID_ACTION" } });
});

it("recognizes a legacy client whose connection the original accepted", async () => {
  const rows = memoryConnectionStore();
  // Reads each row as if the original had written it.
  const get: ConnectionStore["get"] = async (...args) => {
    const row = await rows.get(...args);
    const item = row && STREAMER_CONNECTIONS.toItem({ ...row, metadata: {} });
    const found = item && STREAMER_CONNECTIONS.fromItem(item);
    return found && { ...found, metadata: { ...found.metadata, ...row?.metadata } };
  };
  const store = new Proxy(rows, {
    get: (target, name) => {
      if (name === "get") return get;
      // With it, no row is read.
      if (name === "peek") return undefined;
      const member = Reflect.get(target, name);
      return typeof member === "function" ? member.bind(target) : member;
    },
  });
  const { gateway, token } = await startDemo(store);
  const client = await connect(gateway, { path: `?token=${await token()}` });
  client.send(JSON.stringify({ id: "1", action: "heartbeats" }));
  expect(JSON.parse(await client.messages.next())).toMatchObject({ error: { code: "INVALID_ACTION" } });
  client.send("not JSON");
  expect(JSON.parse(await client.messages.next())).toMatchObject({ error: { code: "VALIDATION_ERROR" } });
});

it("refuses a token for another audience", async () => {
  const { gateway, token } = await startDemo();
  await expect(legacyClient(gateway, await token({ aud: "mail" }))).rejects.toThrow("401");
  await legacyClient(gateway, await token({ aud: "streamer-api" }));
});
