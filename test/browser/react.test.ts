// The first example of docs/guide/react.md in a browser: no written text is lost.
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { build } from "esbuild";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, expect, it, onTestFinished } from "vitest";
import { createGateway } from "../../src/gateway/index.ts";
import { jsonLogger } from "../../src/lift/index.ts";
import { webSocketAuth } from "../../src/lift/middleware/auth/index.ts";
import { memoryChannelStore, memoryConnectionStore } from "../../src/store/memory/index.ts";
import { createStreamer } from "../../src/streamer/index.ts";
import { codeBlocks } from "../support/markdown.ts";
import { CHROMIUM, FLAGS } from "./chromium.ts";

const ROOT = join(import.meta.dirname, "../..");

let browser: Browser;

beforeAll(async () => {
  browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
});

afterAll(async () => {
  await browser?.close();
});

async function bundled(url: string): Promise<string> {
  const { code } = codeBlocks(readFileSync(join(ROOT, "docs/guide/react.md"), "utf8")).find(
    ({ info }) => info === "tsx",
  )!;
  const mount = 'import { createRoot } from "react-dom/client";\ncreateRoot(document.body).render(<App />);';
  const contents = `${code.replace("wss://chat.example.com/prod", url)}\n${mount}`;
  const { outputFiles } = await build({
    stdin: { contents, loader: "tsx", resolveDir: ROOT },
    conditions: ["@lift-ws/source"],
    define: { "process.env.NODE_ENV": '"production"' },
    jsx: "automatic",
    bundle: true,
    write: false,
  });
  return outputFiles[0]!.text;
}

/** An empty page and the token of the user in its address. On loopback, because Chromium blocks other pages. */
async function servePage(): Promise<string> {
  const server = createServer(({ url, headers }, response) => {
    response.setHeader("Content-Type", "text/html");
    if (url !== "/token") return response.end("<!doctype html><body></body>");
    response.end(new URL(headers.referer!).searchParams.get("user"));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** The example's page and its server. */
async function room() {
  const store = memoryChannelStore();
  const streamer = createStreamer({
    channels: {
      room: { subscribe: () => true, publish: ({ userId }) => userId !== "guest", presence: true },
    },
    store,
    connectionStore: memoryConnectionStore(),
    auth: webSocketAuth({ validateToken: (token) => ({ userId: token }) }),
    logger: jsonLogger({ level: "silent" }),
  });
  const gateway = createGateway({ handler: (event, context) => handler(event, context) });
  const handler = streamer.app.webSocketHandler({ connections: gateway });
  await gateway.listen({ port: 0 });
  const script = await bundled(gateway.url);
  const origin = await servePage();
  onTestFinished(() => gateway.close({ drainMs: 1, spreadMs: 1 }));

  const open = async (user: string) => {
    const context = await browser.newContext();
    onTestFinished(() => context.close());
    const page = await context.newPage();
    const faults: string[] = [];
    page.on("pageerror", ({ message }) => faults.push(message));
    await page.goto(`${origin}/?user=${user}`);
    await page.addScriptTag({ content: script });
    await page.getByText(`connected, here: ${user}`).waitFor();
    return { context, page, faults };
  };
  return { store, open };
}

async function send(page: Page, text: string): Promise<void> {
  await page.locator("input").fill(text);
  await page.getByRole("button", { name: "Send" }).click();
}

it("keeps the page, the refused text and its reason when a publish is refused", async () => {
  const { page, faults } = await (await room()).open("guest");
  await send(page, "let me in");
  await page.getByText("let me in: The rule `channels.room.publish` does not allow it").waitFor();
  await page.locator("input").fill("half written");
  await page.getByRole("button", { name: "Edit" }).click();
  expect(await page.locator("input").inputValue()).toBe("let me in half written");
  expect(await page.getByText("connected, here: guest").isVisible()).toBe(true);
  expect(faults).toEqual([]);
});

it("keeps a draft when a publish resolves late", async () => {
  const { open, store } = await room();
  const { page, faults } = await open("ann");
  const { promise: slow, resolve: answer } = Promise.withResolvers<void>();
  const append = store.history.append.bind(store.history);
  store.history.append = async (...args) => {
    await slow;
    return append(...args);
  };
  await send(page, "first");
  await page.getByText("first: sending…").waitFor();
  await page.locator("input").fill("half written");
  answer();
  await page.getByText("ann: first").waitFor();
  await page.getByText("first: sending…").waitFor({ state: "detached" });
  expect(await page.locator("input").inputValue()).toBe("half written");
  expect(faults).toEqual([]);
});

it("keeps messages written offline, and sends them once when the network is back", async () => {
  const { open } = await room();
  const { page, faults } = await open("ann");
  await page.clock.install();
  // Chromium keeps an open socket when it goes offline.
  await page.evaluate("globalThis.offline = WebSocket.prototype.send; WebSocket.prototype.send = () => {}");
  await send(page, "from nowhere");
  await page.getByText("from nowhere: sending…").waitFor();
  await page.locator("input").fill("half written");
  await page.evaluate("WebSocket.prototype.send = globalThis.offline");
  // Past the time after which the client sends an unanswered message again.
  await page.clock.fastForward(30_000);
  await page.getByText("ann: from nowhere").waitFor();
  await page.getByText("from nowhere: sending…").waitFor({ state: "detached" });
  expect(await page.getByText("ann: from nowhere").count()).toBe(1);
  expect(await page.locator("input").inputValue()).toBe("half written");
  expect(faults).toEqual([]);
});
