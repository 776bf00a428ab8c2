import type { Page, WebSocketRoute } from "playwright-core";
import { describe, expect, it } from "vitest";
import { mintDevelopmentToken } from "../../src/cli/index.ts";
import { Demo, expectHiddenToken, isAtDoor, isOnline, later, paste } from "./demo.ts";

const demo = new Demo("chat");

async function say(page: Page, text: string): Promise<void> {
  await page.getByLabel("Message", { exact: true }).fill(text);
  await page.keyboard.press("Enter");
}

/** Waits until the room shows the message without the mark of pending ones. */
async function sees(page: Page, text: string): Promise<void> {
  await page.locator("li:not(.pending) > .text:visible", { hasText: text }).waitFor();
}

function textsIn(page: Page): Promise<string[]> {
  return page.locator(".text:visible").allTextContents();
}

describe("two windows", () => {
  it("chat, and see each other join and leave", async () => {
    const ada = await demo.enter("Ada");
    await ada.getByText("Only you are here").waitFor();
    const grace = await demo.enter("Grace");
    await ada.getByText("You and Grace").waitFor();
    await ada.getByText("Grace came in").waitFor();
    await grace.getByText("You and Ada").waitFor();

    await say(ada, "Hello, Grace");
    await sees(grace, "Hello, Grace");
    await say(grace, "Hello, Ada");
    await sees(ada, "Hello, Ada");
    expect(await textsIn(ada)).toEqual(["Hello, Grace", "Hello, Ada"]);
    expect(await textsIn(grace)).toEqual(["Hello, Grace", "Hello, Ada"]);
    expect(await ada.locator(".own .text").allTextContents()).toEqual(["Hello, Grace"]);

    await grace.close();
    await ada.getByText("Grace left").waitFor();
    await ada.getByText("Only you are here").waitFor();
  });

  it("in different rooms receive announcements, and nothing else of each other", async () => {
    const ada = await demo.enter("Ada");
    const grace = await demo.enter("Grace");
    await grace.getByLabel("Go to another room").fill("#tea");
    await grace.keyboard.press("Enter");
    await ada.getByText("Grace left").waitFor();
    await ada.getByRole("navigation").getByRole("button", { name: "tea 1" }).waitFor();

    await say(ada, "only for the lobby");
    await sees(ada, "only for the lobby");
    await ada.getByRole("button", { name: "Announce" }).click();
    await say(ada, "Cake!");
    await sees(grace, "Cake!");
    expect(await textsIn(grace)).toEqual(["Cake!"]);
  });

  it("of different teams see nothing of each other", async () => {
    const ada = await demo.enter("Ada", "math");
    const spy = await demo.enter("Spy", "physics");
    await say(ada, "our secret");
    await ada.getByRole("button", { name: "Announce" }).click();
    await say(ada, "our announcement");
    await sees(ada, "our announcement");
    // A message of Ada to the other team would arrive before this one.
    await say(spy, "hm");
    await sees(spy, "hm");
    expect(await textsIn(spy)).toEqual(["hm"]);
    expect(await spy.locator("#people").textContent()).toBe("Only you are here");
    expect(await ada.locator("#people").textContent()).toBe("Only you are here");
  });

  it("show markup as text", async () => {
    const ada = await demo.enter("Ada");
    const grace = await demo.enter("<img src=x onerror=alert(1)>");
    const attack = `<script>alert(1)</script><img src=x onerror="alert(2)"><b>bold</b>`;
    const dialogs: string[] = [];
    ada.on("dialog", (dialog) => {
      dialogs.push(dialog.message());
      void dialog.dismiss();
    });
    await say(grace, attack);
    await sees(ada, attack);
    expect(await textsIn(ada)).toEqual([attack]);
    expect(await ada.locator("#logs :is(script, img, .text *)").count()).toBe(0);
    await ada.getByText("You and <img src=x onerror=alert(1)>").waitFor();
    expect(dialogs).toEqual([]);
  });
});

describe("the page", () => {
  it("returns to the sign-in with a bad token and its reason, and accepts a good one", async () => {
    const page = await demo.open();
    await paste(page, "eyJhbGciOiJub25lIn0.e30.");
    // Users cannot write before the server accepts them.
    expect(await page.getByLabel("Message", { exact: true }).isDisabled()).toBe(true);
    await page.locator("#door").getByRole("alert").getByText("it did not let you in").waitFor();
    await isAtDoor(page);

    await page.getByLabel("Token").fill(await demo.tokenOf("1h"));
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await isOnline(page);
    expect(await page.locator("#door-problem").isVisible()).toBe(false);
    await say(page, "let in");
    await sees(page, "let in");
  });

  it("returns to the sign-in when a token has expired", async () => {
    const page = await demo.open();
    await paste(page, await demo.tokenOf(Date.now() / 1_000 - 60));
    await page.locator("#door").getByRole("alert").getByText("The token has expired").waitFor();
    await isAtDoor(page);
  });

  it("returns to the sign-in when the token of an open connection expires", async () => {
    const page = await demo.open();
    const sockets: WebSocketRoute[] = [];
    await page.routeWebSocket(/./, (socket) => {
      socket.connectToServer();
      sockets.push(socket);
    });
    await paste(page, await demo.tokenOf("1h"));
    await isOnline(page);
    await later(page, 2 * 3_600_000);
    sockets[0]!.send(JSON.stringify({ type: "error", error: { code: "TOKEN_EXPIRED", retry: true } }));
    await sockets[0]!.close();
    await page.locator("#door").getByRole("alert").getByText("The token has expired").waitFor();
    await isAtDoor(page);
    await page.getByRole("button", { name: "Use a name" }).click();
    await page.getByLabel("Your name").fill("Ada");
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await isOnline(page);
  });

  it("accepts a pasted token", async () => {
    const token = await mintDevelopmentToken({ sub: "ada", tenant: demo.team }, demo.folder);
    const page = await demo.open();
    await page.getByRole("button", { name: "Use a token of your own" }).click();
    await page.getByLabel("Token").fill(token);
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await isOnline(page);
    await page.getByText("ada (you)").waitFor();
    expect(await page.locator("#team").textContent()).toBe(demo.team);
  });

  it("keeps the token out of its address, storage and text", () => expectHiddenToken(demo));

  it("keeps the user and room after a reload", async () => {
    const page = await demo.enter("Ada");
    await page.getByRole("button", { name: "ideas" }).click();
    await page.getByText("Only you are here").waitFor();
    await page.reload();
    await isOnline(page);
    expect(await page.locator("#room-title").textContent()).toBe("# ideas");
    await page.getByText("Ada (you)").waitFor();
  });

  it("switches between dark and light, and remembers it", async () => {
    const page = await demo.open();
    const ground = "getComputedStyle(document.documentElement).backgroundColor";
    const toggle = page.getByRole("button", { name: "Dark theme" });
    expect(await toggle.getAttribute("aria-pressed")).toBe("false");
    const light = await page.evaluate<string>(ground);
    await toggle.click();
    await page.reload();
    expect(await toggle.getAttribute("aria-pressed")).toBe("true");
    const dark = await page.evaluate<string>(ground);
    expect(dark).not.toBe(light);
  });
});

describe.each(["SIGTERM", "SIGKILL"] as const)("a server that ends by %s and restarts", (signal) => {
  it("has its users back in their room", async () => {
    const ada = await demo.enter("Ada");
    const grace = await demo.enter("Grace");
    for (const page of [ada, grace]) await page.getByRole("button", { name: "ideas" }).click();
    await ada.getByText("You and Grace").waitFor();
    await say(ada, "before");
    await sees(grace, "before");

    const [code, by] = await demo.server.stop(signal);
    expect([code, by]).toEqual(signal === "SIGTERM" ? [0, null] : [null, "SIGKILL"]);
    await ada.getByRole("status").getByText("Reconnecting").waitFor();
    await ada.getByLabel("Message", { exact: true }).fill("typed meanwhile");

    await demo.restart();
    for (const page of [ada, grace]) await isOnline(page);
    await ada.getByText("You and Grace").waitFor();
    await ada.getByText("Messages sent meanwhile are not stored").waitFor();
    await ada.getByRole("button", { name: "Send", exact: true }).click();
    await sees(grace, "typed meanwhile");
    await say(grace, "after");
    await sees(ada, "after");
    expect(await textsIn(ada)).toEqual(["before", "typed meanwhile", "after"]);
  });
});
