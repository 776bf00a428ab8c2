// Plays the conversations in test/fixtures/legacy-clients, whose README has their format and their origin.
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { SignJWT } from "jose";
import { expect, it, onTestFinished, vi } from "vitest";
import { createGateway, type Gateway } from "../../src/gateway/index.ts";
import { jsonLogger, LiftError } from "../../src/lift/index.ts";
import { webSocketAuth } from "../../src/lift/middleware/auth/index.ts";
import { memoryChannelStore, memoryConnectionStore } from "../../src/store/memory/index.ts";
import { createStreamer, type RequestContext } from "../../src/streamer/index.ts";
import { type Client, connect } from "../conformance/harness.ts";
import { anyText } from "../support/any-text.ts";
import { OPEN, simulateStreamer } from "./simulation.ts";

const FOLDER = join(import.meta.dirname, "../fixtures/legacy-clients");
const FILES = readdirSync(FOLDER).filter((name) => name.endsWith(".txt"));
const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2_048 });

/** Signs a token as the preceding Streamer's demo does: without an audience. */
const signToken = () =>
  new SignJWT({ tenant_id: "acme", permissions: ["reports"] })
    .setProtectedHeader({ alg: "RS256" })
    .setSubject("ada")
    .setIssuer("streamer-demo")
    .setIssuedAt()
    .setExpirationTime("1h")
    .sign(privateKey);

async function startServer() {
  const waiting: (() => void)[] = [];
  const report = async (input: unknown, { progress, signal }: RequestContext) => {
    await new Promise<void>((resolve) => {
      waiting.push(resolve);
      signal.addEventListener("abort", () => resolve());
    });
    signal.throwIfAborted();
    progress(50, "Half", { stage: 1 });
    const { format } = input as { format: string };
    if (format !== "none") return { format };
    throw new LiftError("VALIDATION_ERROR", { message: "Unknown format", details: { format } });
  };
  const streamer = createStreamer({
    channels: { room: { ...OPEN, presence: true }, stream: OPEN },
    auth: webSocketAuth({
      jwt: {
        algorithms: ["RS256"],
        publicKey: publicKey.export({ type: "spki", format: "pem" }) as string,
        issuer: "streamer-demo",
        audience: "streamer-api",
        allowMissingAudience: true,
      },
    }),
    store: memoryChannelStore(),
    connectionStore: memoryConnectionStore(),
    logger: jsonLogger({ level: "silent" }),
  })
    .request("echo", {}, (input) => input)
    .request("whoami", {}, (_input, { identity: { userId, tenantId, permissions } }) => ({
      user: userId,
      tenant: tenantId,
      permissions,
    }))
    .request("health", {}, () => ({ status: "healthy" }))
    .request("break", {}, () => Promise.reject(new Error("a secret")))
    .request("secret", {}, () => Promise.reject(new LiftError("UNAUTHORIZED")))
    .request("busy", {}, () => Promise.reject(new LiftError("RATE_LIMITED")))
    .request("broken_store", {}, () =>
      Promise.reject(new LiftError("STORE_FAILED", { message: "The store did not answer" })),
    )
    .request("slow", { timeoutMs: 1 }, () => new Promise(() => {}))
    .request("large", {}, () => "x".repeat(131_072))
    .request("generate_report", { estimatedMs: 60_000 }, report);
  const gateway: Gateway = createGateway({ handler: (event, context) => handler(event, context) });
  const handler = streamer.app.webSocketHandler({ connections: gateway });
  await gateway.listen({ port: 0 });
  onTestFinished(() => gateway.close({ drainMs: 1, spreadMs: 1 }));
  const finish = async () => (await vi.waitUntil(() => waiting.shift()))();
  return { gateway, finish };
}

/** The fields that this version adds. */
const ADDED = /,"(?:attempt|output)":\d+|,"retry":(?:true|false)/g;
const GENERATED = /"(request_id|id|epoch)":"(?![rh]\d+")[^"]*"/g;
const TIMES = /"(at|createdAt|updatedAt)":\d+/g;

function toComparable(frame: string): string {
  return frame.replace(ADDED, "").replace(GENERATED, '"$1":"*"').replace(TIMES, '"$1":"*"');
}

it.each(FILES)("plays %s", async (file) => {
  const { gateway, finish } = await startServer();
  const token = await signToken();
  let client: Client | undefined;
  const open = (query: string) => connect(gateway, { path: query.replace("<token>", token) });
  const run: { readonly [verb: string]: (rest: string) => unknown } = {
    connect: async (query) => {
      client = await open(query);
    },
    refused: async (rest) => {
      const [status = "", query = ""] = rest.split(" ");
      await expect(open(query)).rejects.toThrow(status);
    },
    ">": (text) => client!.send(text),
    "<": async (text) => expect(toComparable(await client!.messages.next())).toBe(text),
    ping: () => {
      client!.socket.ping();
      return once(client!.socket, "pong");
    },
    finish,
    close: async () => {
      client!.socket.close();
      await client!.closed;
      expect(client!.messages.size).toBe(0);
    },
  };
  for (const line of readFileSync(join(FOLDER, file), "utf8").trimEnd().split("\n")) {
    const [verb = "", ...rest] = line.split(" ");
    await run[verb]!(rest.join(" "));
  }
});

const CODES = [
  "VALIDATION_ERROR",
  "INVALID_ACTION",
  "UNAUTHORIZED",
  "FORBIDDEN",
  "NOT_FOUND",
  "INTERNAL_ERROR",
];

it("answers any bytes of a legacy client once, with its id and a code that it knows", async () => {
  const { client, streamer } = simulateStreamer();
  streamer.request("echo", {}, (input) => input);
  streamer.request("whoami", {}, (_input, { identity }) => `${identity.userId} ${identity.tenantId}`);
  const ada = await client("ada", { user: "ada", tenant: "acme", Authorization: "token" } as object);
  const value = fc.jsonValue({ maxDepth: 3 });
  const id = fc.string({ minLength: 1, maxLength: 32, unit: "grapheme" });
  const message = fc.record(
    {
      connection_id: value,
      request_id: id,
      action: fc.oneof(fc.constantFrom("echo", "whoami", "message", "publish", "health"), anyText),
      type: fc.oneof(fc.constantFrom("chat", "presence", "stream"), value),
      payload: value,
      data: fc.oneof(value, fc.record({ channel: fc.constantFrom("room:a", "stream:s", "") })),
      metadata: fc.oneof(value, fc.constant({ user_id: "eve", tenant_id: "other" })),
    },
    { requiredKeys: [] },
  );
  /** A message, or the bytes of one that broke off. */
  const bytes = fc
    .tuple(message, fc.option(fc.nat(200), { freq: 4 }))
    .map(([sent, end]) => ({ sent, text: JSON.stringify(sent).slice(0, end ?? undefined) }));
  await fc.assert(
    fc.asyncProperty(bytes, async ({ sent, text }) => {
      const answers = (await ada.send(text)).filter(({ request_id }) => request_id !== undefined);
      expect(answers).toHaveLength(1);
      const [answer] = answers;
      const isWhole = text === JSON.stringify(sent);
      if (isWhole && sent.request_id !== undefined) expect(answer.request_id).toBe(sent.request_id);
      if (answer.type === "error") expect(CODES).toContain(answer.error.code);
      else expect(answer).toMatchObject({ type: "response", success: true });
      if (isWhole && sent.action === "whoami") expect(answer.data).toBe("ada acme");
      if (isWhole && sent.action === "echo") expect(answer.data).toEqual(sent.payload ?? null);
    }),
  );
});
