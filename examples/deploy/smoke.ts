// Tests a deployment as two clients: `TOKEN=… node smoke.ts wss://…`. Exits with 1 if a message does not arrive in time.
import { randomUUID } from "node:crypto";
import { createClient } from "lift-ws/client";

const [url] = process.argv.slice(2);
// Long enough for a cold start of each function, and of `lift-ws local`.
const { TOKEN: token, TIMEOUT_SECONDS = "60" } = process.env;
if (!url || !token) fail("Usage: TOKEN=… node smoke.ts <url>");

const channel = `room:smoke-${randomUUID()}`;
const text = randomUUID();
const received = Promise.withResolvers<void>();
const [publisher, subscriber] = [createClient({ url, token }), createClient({ url, token })];
let step = "connect";
setTimeout(() => fail(`No answer in ${TIMEOUT_SECONDS} s: ${step}`), Number(TIMEOUT_SECONDS) * 1_000).unref();
for (const client of [publisher, subscriber]) {
  client.onError(({ code, message }) => console.error(code, message));
  client.connect();
}

const { ready } = subscriber.subscribe(channel, {
  onMessage: ({ data }) => data === text && received.resolve(),
});
await ready;
step = "publish";
const publishedAt = performance.now();
await publisher.publish(channel, text);
step = "receive";
await received.promise;
console.log(`ok: received a message in ${Math.round(performance.now() - publishedAt)} ms`);
publisher.disconnect();
subscriber.disconnect();

function fail(reason: string): never {
  console.error(reason);
  process.exit(1);
}
