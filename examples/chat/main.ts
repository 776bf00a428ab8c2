import { randomBytes } from "node:crypto";
import { start } from "lift-ws/start";
import { memoryConnectionStore, memorySchedule } from "lift-ws/store/memory";
import { isLoopback, mintDevelopmentToken, verifyDevelopmentToken } from "../../src/cli/index.ts";
import { createChat } from "./app.ts";
import { page } from "./page.ts";

// Development tokens say who someone is without a proof of it, so they are good on this machine alone.
const isPrivate = isLoopback(process.env.HOST || "127.0.0.1");

const chat = createChat({
  verify: isPrivate ? verifyDevelopmentToken : takeNone,
  connectionStore: memoryConnectionStore(),
  schedule: memorySchedule(),
});

const gateway = await start(chat, {
  http: page({
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
  const address = new URL("/", gateway.url.replace(/^ws/, "http"));
  console.log(`Page          ${address}`);
  if (isPrivate) console.log("A token       npx lift-ws token --sub you --tenant demo");
  else console.log("Lets in       nobody: others can reach it, so it wants a `verify` of your own");
}

async function takeNone(): Promise<never> {
  throw new Error("Beyond loopback no development token is taken: give createChat a verify of your own");
}
