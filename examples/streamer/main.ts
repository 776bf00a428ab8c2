import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import type { AuthIdentity } from "lift-ws/middleware/auth";
import { webSocketRateLimit } from "lift-ws/middleware/rate-limit";
import { start } from "lift-ws/start";
import { type ChannelStore, StoreError } from "lift-ws/store";
import { memoryConnectionStore, memorySchedule } from "lift-ws/store/memory";
import { sqliteChannelStore } from "lift-ws/store/sqlite";
import { isLoopback, mintDevelopmentToken, verifyDevelopmentToken } from "../../src/cli/index.ts";
import { createLounge } from "./app.ts";
import { page } from "./page.ts";

/** Ignored by git, and the same whatever the port: a restart goes on where the last one stopped. */
const FOLDER = ".lift-ws";
const FILE = `${FOLDER}/streamer.db`;

// Development tokens say who someone is without a proof of it, so they are good on this machine alone.
const isPrivate = isLoopback(process.env.HOST || "127.0.0.1");

const lounge = createLounge({
  auth: { validateToken: isPrivate ? verify : takeNone },
  middleware: webSocketRateLimit({
    connects: { by: "ip", limit: 240, windowMs: 60_000 },
    // Who draws publishes five times a second.
    messages: { by: "connection", limit: 300, windowMs: 10_000 },
  }),
  store: openStore(),
  connectionStore: memoryConnectionStore(),
  schedule: memorySchedule(),
});
// What was stored, and not sent to everyone when the last process ended.
await lounge.resume();

const gateway = await start(lounge.app, {
  http: await page({
    isLoopback,
    mint: isPrivate ? (sub, tenant) => mintDevelopmentToken({ sub, tenant }) : undefined,
  }),
  // The app sends through the gateway object. Where others can reach the port, @connections over HTTP is for
  // whoever knows this: nobody.
  ...(isPrivate
    ? {}
    : {
        credentials: {
          accessKeyId: randomBytes(10).toString("hex"),
          secretAccessKey: randomBytes(32).toString("hex"),
        },
      }),
});

if (gateway !== undefined) {
  console.log(`History       ${FILE}: delete it to begin anew`);
  console.log(`Page          ${new URL("/", gateway.url.replace(/^ws/, "http"))}`);
  if (isPrivate) console.log("A token       npx lift-ws token --sub you --tenant demo");
  else console.log("Lets in       nobody: others can reach it, so it wants an `auth` of your own");
}

function openStore(): ChannelStore {
  mkdirSync(FOLDER, { recursive: true, mode: 0o700 });
  try {
    return sqliteChannelStore({ path: FILE });
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    console.error(error.message);
    process.exit(1);
  }
}

async function verify(token: string): Promise<AuthIdentity> {
  const { sub, tenant, expiresAt } = await verifyDevelopmentToken(token);
  return { userId: sub, tenantId: tenant, expiresAt };
}

async function takeNone(): Promise<never> {
  throw new Error("Beyond loopback no development token is taken: give createLounge an auth of your own");
}
