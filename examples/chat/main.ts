import { isLoopback, mintDevelopmentToken, verifyDevelopmentToken } from "lift-ws/development";
import { start } from "lift-ws/start";
import { memoryConnectionStore, memorySchedule } from "lift-ws/store/memory";
import { createChat } from "./app.ts";
import { page } from "./page.ts";

// Anyone can get a development token for any user, so these are for this machine only.
const host = process.env.HOST || "127.0.0.1";
if (!isLoopback(host)) {
  console.error(
    `HOST=${host} lets others reach the chat, which has no sign-in: unset HOST, or give createChat a \`verify\` of your own`,
  );
  process.exit(1);
}

const chat = createChat({
  verify: verifyDevelopmentToken,
  connectionStore: memoryConnectionStore(),
  schedule: memorySchedule(),
});

const gateway = await start(chat, {
  http: page({ isLoopback, mint: (sub, tenant) => mintDevelopmentToken({ sub, tenant }) }),
});

if (gateway !== undefined) {
  console.log(`Page          ${new URL("/", gateway.url.replace(/^ws/, "http"))}`);
  console.log("A token       npx lift-ws token --sub you --tenant demo");
}
