import { mkdirSync } from "node:fs";
import { isLoopback, mintDevelopmentToken, verifyDevelopmentToken } from "lift-ws/development";
import type { AuthIdentity } from "lift-ws/middleware/auth";
import { webSocketRateLimit } from "lift-ws/middleware/rate-limit";
import { start } from "lift-ws/start";
import { type ChannelStore, StoreError } from "lift-ws/store";
import { memoryConnectionStore, memorySchedule } from "lift-ws/store/memory";
import { sqliteChannelStore } from "lift-ws/store/sqlite";
import { createLounge } from "./app.ts";
import { page } from "./page.ts";

/** Ignored by git, and independent of the port, so that a restart continues the history. */
const FOLDER = ".lift-ws";
const FILE = `${FOLDER}/streamer.db`;
/** https://www.sqlite.org/rescode.html */
const SQLITE_BUSY = 5;

// Anyone can get a development token for any user, so these are for this machine only.
const host = process.env.HOST || "127.0.0.1";
if (!isLoopback(host)) {
  quit(
    `HOST=${host} lets others reach the demo, which has no sign-in: unset HOST, or see "Beyond this machine" in its README`,
  );
}

const lounge = createLounge({
  auth: { validateToken: verify },
  middleware: webSocketRateLimit({
    connects: { by: "ip", limit: 240, windowMs: 60_000 },
    // A user who draws publishes five times a second.
    messages: { by: "connection", limit: 300, windowMs: 10_000 },
  }),
  store: openStore(),
  connectionStore: memoryConnectionStore(),
  schedule: memorySchedule(),
});
// Resumes the fan-out of messages that the last process had stored and not sent to everyone.
await lounge.resume().catch(quitOverStore);

const gateway = await start(lounge.app, {
  http: await page({ isLoopback, mint: (sub, tenant) => mintDevelopmentToken({ sub, tenant }) }),
});

if (gateway !== undefined) {
  console.log(`History       ${FILE}: delete it to begin anew`);
  console.log(`Page          ${new URL("/", gateway.url.replace(/^ws/, "http"))}`);
  console.log("A token       npx lift-ws token --sub you --tenant demo");
}

function openStore(): ChannelStore {
  try {
    mkdirSync(FOLDER, { recursive: true, mode: 0o700 });
  } catch (error) {
    quit(
      `Can't make the folder ${FOLDER} (${(error as NodeJS.ErrnoException).code}): make its place writable`,
    );
  }
  try {
    return sqliteChannelStore({ path: FILE });
  } catch (error) {
    return quitOverStore(error);
  }
}

function quitOverStore(error: unknown): never {
  if (!(error instanceof StoreError)) throw error;
  const { errcode } = (error.cause ?? {}) as { errcode?: number };
  if (errcode !== SQLITE_BUSY) quit(error.message);
  quit(`The demo is running already, with ${FILE}: open its page, or stop it and start again`);
}

function quit(line: string): never {
  console.error(line);
  process.exit(1);
}

async function verify(token: string): Promise<AuthIdentity> {
  const { sub, tenant, expiresAt } = await verifyDevelopmentToken(token);
  return { userId: sub, tenantId: tenant, expiresAt };
}
