import { readFile, rm } from "node:fs/promises";
import type { Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { mintDevelopmentToken } from "../../src/cli/index.ts";
import { Demo, expectHiddenToken, isAtDoor, isOnline, later, paste } from "./demo.ts";

const demo = new Demo("streamer");

function network(page: Page) {
  return page.getByRole("switch", { name: "Network" });
}

async function cut(page: Page): Promise<void> {
  await network(page).click();
  await page.getByRole("status").getByText("Cut off", { exact: true }).waitFor();
}

async function mend(page: Page): Promise<void> {
  await network(page).click();
  await isOnline(page);
}

async function say(page: Page, ...texts: string[]): Promise<void> {
  for (const text of texts) {
    await page.getByLabel("Message", { exact: true }).fill(text);
    await page.keyboard.press("Enter");
  }
}

/** Waits until the room shows exactly these messages, each stored and once, in the same order on all pages. */
async function haveAll(pages: readonly Page[], texts: readonly string[]): Promise<void> {
  for (const page of pages) {
    await expect.poll(async () => (await stored(page)).sort()).toEqual([...texts].sort());
    expect(await page.locator(".pending, .failed").count()).toBe(0);
  }
  const orders = await Promise.all(pages.map(stored));
  for (const order of orders) expect(order).toEqual(orders[0]);
}

function stored(page: Page): Promise<string[]> {
  return page.locator(".message:not(.pending):visible > .text").allTextContents();
}

describe("two windows", () => {
  it("chat, and see each user once across tabs, and who is typing", async () => {
    const ada = await demo.enter("Ada");
    await ada.getByText("Only you are here").waitFor();
    const grace = await demo.enter("Grace");
    const again = await demo.enter("Grace");
    await ada.getByText("You and Grace").waitFor();
    await again.close();

    await say(ada, "Hello, Grace");
    await say(grace, "Hello, Ada");
    await haveAll([ada, grace], ["Hello, Grace", "Hello, Ada"]);
    await grace.getByLabel("Message", { exact: true }).pressSequentially("hm");
    await ada.getByText("Grace is writing").waitFor();
    expect(await ada.locator("#people").textContent()).toBe("You and Grace");

    await grace.close();
    await ada.getByText("Only you are here").waitFor();
  });

  it("count unread messages in another room, and load earlier ones", async () => {
    const ada = await demo.enter("Ada");
    const lines = Array.from({ length: 56 }, (_, n) => `line ${n + 1}`);
    await say(ada, ...lines);
    await haveAll([ada], lines);

    const grace = await demo.enter("Grace");
    await haveAll([grace], lines.slice(6));
    await grace.evaluate("document.getElementById('scroll').scrollTop = 0");
    await haveAll([grace], lines);

    await grace.getByRole("button", { name: "ideas" }).click();
    await say(ada, "one", "two");
    await grace.getByRole("button", { name: "lobby 2 unread" }).click();
    await grace.getByText("New", { exact: true }).waitFor();
    await grace.getByRole("button", { name: /lobby$/ }).waitFor();
  });

  it("of different teams see nothing of each other", async () => {
    const ada = await demo.enter("Ada", "math");
    const spy = await demo.enter("Spy", "physics");
    await say(ada, "our secret");
    await haveAll([ada], ["our secret"]);
    await say(spy, "hm");
    await haveAll([spy], ["hm"]);
    expect(await spy.locator("#people").textContent()).toBe("Only you are here");
    expect(await ada.locator("#people").textContent()).toBe("Only you are here");
  });

  it("show markup as text", async () => {
    const ada = await demo.enter("Ada");
    const grace = await demo.enter("<img src=x onerror=alert(1)>");
    const attack = `<script>alert(1)</script><img src=x onerror="alert(2)"><b>bold</b>`;
    await say(grace, attack);
    await haveAll([ada, grace], [attack]);
    expect(await ada.locator("#logs :is(script, img, .text *)").count()).toBe(0);
    await ada.getByText("You and <img src=x onerror=alert(1)>").waitFor();
  });
});

describe("a disconnected window", () => {
  it("keeps written messages, and catches up after reconnecting", async () => {
    const ada = await demo.enter("Ada");
    const grace = await demo.enter("Grace");
    await say(ada, "before");
    await haveAll([ada, grace], ["before"]);

    await cut(grace);
    await ada.getByText("Only you are here").waitFor();
    await say(grace, "from nowhere", "and again");
    await grace.getByText("2 lines wait").waitFor();
    await say(ada, "one", "two", "three");
    await haveAll([ada], ["before", "one", "two", "three"]);

    await mend(grace);
    await haveAll([ada, grace], ["before", "one", "two", "three", "from nowhere", "and again"]);
    await grace.getByText("caught up: 3 messages").waitFor();
    await ada.getByText("You and Grace").waitFor();
  });

  it("keeps written messages through a reload", async () => {
    const ada = await demo.enter("Ada");
    const grace = await demo.enter("Grace");
    await cut(grace);
    await say(grace, "written before the reload");
    await grace.reload();
    await isOnline(grace);
    await haveAll([ada, grace], ["written before the reload"]);
  });

  it("reports when history does not reach", async () => {
    const ada = await demo.enter("Ada");
    const grace = await demo.enter("Grace");
    await say(ada, "before");
    await haveAll([ada, grace], ["before"]);
    await cut(grace);
    await demo.server.stop("SIGKILL");
    await rm(demo.folder, { recursive: true });
    await demo.restart();
    await isOnline(ada);
    await ada.getByText("history did not reach").waitFor();
    await say(ada, "in another life");
    await mend(grace);
    await grace.getByText("history did not reach").waitFor();
    await haveAll([ada, grace], ["before", "in another life"]);
  });
});

describe("a server that is killed and restarted on the same database", () => {
  it("loses and duplicates no message in either window, and knows the members", async () => {
    const ada = await demo.enter("Ada");
    const grace = await demo.enter("Grace");
    await say(ada, "before the kill");
    await haveAll([ada, grace], ["before the kill"]);
    await cut(grace);
    await say(grace, "cut off");
    // Some of these are stored without a response, others are not stored, at random.
    const burst = Array.from({ length: 12 }, (_, n) => `into the kill ${n}`);
    const saying = say(ada, ...burst);
    await ada.locator(".message:not(.pending) > .text", { hasText: "into the kill 3" }).waitFor();
    expect(await demo.server.stop("SIGKILL")).toEqual([null, "SIGKILL"]);
    await saying;
    await ada.getByRole("status").getByText("Reconnecting").waitFor();
    await say(ada, "while it is dead");

    await demo.restart();
    await isOnline(ada);
    await mend(grace);
    await haveAll([ada, grace], ["before the kill", "cut off", ...burst, "while it is dead"]);
    expect((await stored(ada)).filter((text) => text.startsWith("into"))).toEqual(burst);
    await ada.getByText("You and Grace").waitFor();
    await grace.getByText("You and Ada").waitFor();
    await say(grace, "after");
    await say(ada, "after that");
    await haveAll(
      [ada, grace],
      ["before the kill", "cut off", ...burst, "while it is dead", "after", "after that"],
    );

    const late = await demo.enter("Radia");
    expect(await stored(late)).toEqual(await stored(ada));
  });
});

describe("a live stream", () => {
  it("is seen by every viewer of the room as it is drawn, and counts viewers", async () => {
    const ada = await demo.enter("Ada");
    const grace = await demo.enter("Grace");
    await goLive(ada);
    await badge(grace, "Live");
    await grace.getByText("Ada’s sketch", { exact: true }).waitFor();
    await watching(ada, "1 watching");
    await watching(grace, "1 watching");
    await moves(grace);
    expect(await grace.getByRole("button", { name: "Go live" }).isVisible()).toBe(false);

    const late = await demo.enter("Radia");
    await badge(late, "Live");
    for (const page of [ada, grace, late]) await watching(page, "2 watching");
    await moves(late);
    await late.getByRole("button", { name: "ideas" }).click();
    await late.getByText("Ada’s sketch").waitFor({ state: "hidden" });
    for (const page of [ada, grace]) await watching(page, "1 watching");
    await grace.close();
    await watching(ada, "Only you");

    await late.getByRole("button", { name: "lobby" }).click();
    await badge(late, "Live");
    await ada.getByRole("button", { name: "End stream" }).click();
    await badge(late, "Ended");
    await late.getByText("Ada has ended it").waitFor();
    await goLive(late);
    await ada.getByText("Radia’s sketch", { exact: true }).waitFor();
  });

  it("continues when its owner reloads the page or is briefly disconnected", async () => {
    const ada = await demo.enter("Ada");
    const grace = await demo.enter("Grace");
    await goLive(ada);
    await badge(grace, "Live");
    await ada.reload();
    await isOnline(ada);
    await badge(ada, "Live");
    await ada.getByRole("button", { name: "End stream" }).waitFor();
    await moves(grace);

    await cut(ada);
    await badge(grace, "Away");
    await mend(ada);
    await badge(grace, "Live");
    await moves(grace);
    await ada.getByRole("button", { name: "ideas" }).click();
    await ada.getByText("Your sketch, in #lobby", { exact: true }).waitFor();
  });

  it("starts only with a connection", async () => {
    const ada = await demo.enter("Ada");
    await cut(ada);
    await ada.locator("#go-live:disabled").waitFor();
    await mend(ada);
    await goLive(ada);
  });

  it("ends when its owner does not return", async () => {
    const ada = await demo.enter("Ada");
    const grace = await demo.enter("Grace");
    await goLive(ada);
    await badge(grace, "Live");
    await cut(ada);
    await badge(grace, "Away");
    await grace.getByText("Ada did not come back").waitFor();
    await badge(grace, "Ended");
    await mend(ada);
    await ada.getByText("You were away for too long").waitFor();
    await badge(ada, "Ended");
    await ada.getByRole("button", { name: "Go live" }).waitFor();
  });
});

describe("long work", () => {
  const STORY_END = "they listened with the others to the end.";

  function job(page: Page, name: string) {
    return page.locator(".job", { has: page.getByText(name, { exact: true }) });
  }

  const storyOf = async (page: Page) => (await job(page, "Story").locator("pre").textContent()) ?? "";

  it("a report survives a kill of the process and a reload of the page, and is downloaded", async () => {
    const ada = await demo.enter("Ada");
    await ada.getByRole("button", { name: "Report" }).click();
    await job(ada, "Report").getByText("Adding them up").waitFor();
    expect(await demo.server.stop("SIGKILL")).toEqual([null, "SIGKILL"]);
    await ada.getByRole("status").getByText("Reconnecting").waitFor();
    await demo.restart();
    await isOnline(ada);
    // The second attempt may end before the page has reconnected.
    await job(ada, "Report")
      .getByText(/attempt 2|Done/)
      .waitFor();
    await ada.reload();
    await isOnline(ada);
    const downloading = ada.waitForEvent("download");
    await job(ada, "Report").getByRole("link", { name: "sales.csv" }).click();
    const file = await readFile(await (await downloading).path(), "utf8");
    expect(file.split("\n")[0]).toBe("day,orders,total");
    expect(file.trim().split("\n")).toHaveLength(31);
  });

  it("a story is read in two windows, through a kill, and cancelled from the other", async () => {
    const desk = await demo.enter("Ada");
    const phone = await demo.enter("Ada");
    await desk.getByRole("button", { name: "Story" }).click();
    await expect.poll(() => storyOf(phone)).toMatch(/^A message set out across/);
    await demo.server.stop("SIGKILL");
    await demo.restart();
    for (const page of [desk, phone]) await isOnline(page);
    await phone.reload();
    await isOnline(phone);
    await expect.poll(() => storyOf(phone)).toContain("with the next word, because");
    await expect.poll(() => storyOf(desk)).toContain("with the next word, because");
    await phone.getByRole("button", { name: "Cancel" }).click();
    for (const page of [desk, phone]) await job(page, "Story").getByText("Cancelled").waitFor();
    const [one, other] = [await storyOf(desk), await storyOf(phone)];
    expect(one).toBe(other);
    // Each word once, in order, and none after the cancellation.
    expect(
      one.startsWith("A message set out across a bad line. It was cut off twice, and each time it came back"),
    ).toBe(true);
    expect(one).not.toContain(STORY_END);
    const late = await demo.enter("Ada");
    await job(late, "Story").getByText("Cancelled").waitFor();
    const eve = await demo.enter("Eve");
    expect(await eve.locator(".job").count()).toBe(0);
  });
});

async function goLive(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Go live" }).click();
  await page.getByText("Your sketch", { exact: true }).waitFor();
}

async function badge(page: Page, text: string): Promise<void> {
  await page.locator("#live-badge", { hasText: text }).waitFor();
}

async function watching(page: Page, text: string): Promise<void> {
  await page.locator("#viewers").getByText(text, { exact: true }).waitFor();
}

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
    await haveAll([page], ["let in"]);
  });

  it("returns to the sign-in when a token has expired", async () => {
    const page = await demo.open();
    await paste(page, await demo.tokenOf(Date.now() / 1_000 - 60));
    await page.locator("#door").getByRole("alert").getByText("The token has expired").waitFor();
    await isAtDoor(page);
  });

  it("returns to the sign-in when a token expires, and keeps unsent messages", async () => {
    const page = await demo.open();
    await paste(page, await demo.tokenOf("1h"));
    await isOnline(page);
    await cut(page);
    await say(page, "written while cut off");
    await page.locator("#status-wait", { hasText: "1 line waits" }).waitFor();
    await later(page, 2 * 3_600_000);
    await network(page).click();
    await page.locator("#door").getByRole("alert").getByText("The token has expired").waitFor();
    await isAtDoor(page);
    await page.getByLabel("Token").fill(await demo.tokenOf("1h"));
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await haveAll([page], ["written while cut off"]);
  });

  it("accepts the token of a user without a tenant", async () => {
    const page = await demo.open();
    await paste(page, await mintDevelopmentToken({ sub: "ada" }, demo.folder));
    await isOnline(page);
    await say(page, "alone");
    await haveAll([page], ["alone"]);
  });

  it("keeps the token out of its address, storage and text", () => expectHiddenToken(demo));
});

async function moves(page: Page): Promise<void> {
  const picture = () => page.evaluate<string>("document.getElementById('sketch').toDataURL()");
  for (let times = 0; times < 2; times++) {
    const before = await picture();
    await expect.poll(picture).not.toBe(before);
  }
}
