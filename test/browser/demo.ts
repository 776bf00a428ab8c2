import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SignJWT } from "jose";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect } from "vitest";
import { developmentSecret } from "../../src/cli/index.ts";
import { CHROMIUM, FLAGS } from "./chromium.ts";
import { type Server, startServer } from "./server.ts";

/** A demo and its windows. The tests of a file share one server and one browser; each test has a team of its own. */
export class Demo {
  server!: Server;
  /** The users of a test. No team sees anything of another. */
  team = "";
  readonly #example: "chat" | "streamer";
  #directory = "";
  #browser: Browser | undefined;
  #teams = 0;
  /** Errors of the pages: exceptions and violations of the content security policy. */
  #faults: string[] = [];

  /** Registers the hooks of the file. */
  constructor(example: "chat" | "streamer") {
    this.#example = example;
    beforeAll(async () => {
      this.#directory = await mkdtemp(join(tmpdir(), `lift-${example}-`));
      this.server = await startServer({ example, directory: this.#directory });
      this.#browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
    });
    beforeEach(async () => {
      this.#faults = [];
      this.team = `team-${++this.#teams}`;
      // Only after a test that failed between a stop and a restart.
      if (this.server.hasEnded()) await this.restart();
    });
    afterEach(async () => {
      for (const context of this.#browser!.contexts()) await context.close();
      expect(this.#faults).toEqual([]);
    });
    afterAll(async () => {
      await this.#browser?.close();
      await this.server?.stop("SIGKILL");
      await rm(this.#directory, { recursive: true });
    });
  }

  /** The server's secret and stored data. */
  get folder(): string {
    return join(this.#directory, ".lift-ws");
  }

  /** Starts a stopped server on the same port and data. */
  async restart(): Promise<void> {
    const { port } = this.server;
    this.server = await startServer({ example: this.#example, directory: this.#directory, port });
  }

  /** Opens a window that shares no cookies, storage or sockets with others. */
  async open(): Promise<Page> {
    const context = await this.#browser!.newContext();
    // The limit of the test holds instead.
    context.setDefaultTimeout(0);
    const page = await context.newPage();
    page.on("pageerror", (error) => this.#faults.push(error.message));
    page.on("console", (message) => {
      if (message.text().includes("Content Security Policy")) this.#faults.push(message.text());
    });
    await page.goto(this.server.page);
    return page;
  }

  /** Opens a window and signs in. */
  async enter(name: string, team = this.team): Promise<Page> {
    const page = await this.open();
    await page.getByLabel("Your name").fill(name);
    await page.getByLabel("Team").fill(team);
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await isOnline(page);
    return page;
  }

  /** Creates a token of the user `ada`. */
  async tokenOf(expiry: string | number): Promise<string> {
    const secret = await developmentSecret(this.folder);
    return new SignJWT({ tenant_id: this.team })
      .setProtectedHeader({ alg: "HS256" })
      .setSubject("ada")
      .setIssuer("lift-ws-development")
      .setAudience("lift-ws-development")
      .setExpirationTime(expiry)
      .sign(new TextEncoder().encode(secret));
  }
}

export async function isOnline(page: Page): Promise<void> {
  await page.getByRole("status").getByText("Online", { exact: true }).waitFor();
  await page.locator("#people", { hasText: /you/i }).waitFor();
}

/** Signs in with a token. */
export async function paste(page: Page, token: string): Promise<void> {
  await page.getByRole("button", { name: "Use a token of your own" }).click();
  await page.getByLabel("Token").fill(token);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
}

/** Advances the page's clock. Its timers keep running. */
export function later(page: Page, ms: number): Promise<void> {
  return page.clock.setFixedTime(Date.now() + ms);
}

/** Checks that the page shows the sign-in form and no room. */
export async function isAtDoor(page: Page): Promise<void> {
  await page.getByLabel("Token").waitFor();
  expect(await page.getByLabel("Token").inputValue()).toBe("");
  expect(await page.getByLabel("Message", { exact: true }).isVisible()).toBe(false);
}

/** Checks that the token of a signed-in user is nowhere but in requests. */
export async function expectHiddenToken(demo: Demo): Promise<void> {
  const minted: string[] = [];
  const page = await demo.open();
  page.on("response", async (response) => {
    if (response.url().endsWith("/token")) minted.push((await response.json()).token);
  });
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await isOnline(page);
  const [token = ""] = minted;
  expect(token).toMatch(/^eyJ/);
  const everything = await page.evaluate<string>(
    "[location.href, JSON.stringify([sessionStorage, localStorage]), document.documentElement.outerHTML].join()",
  );
  expect(everything).not.toContain(token);
  expect(demo.server.output()).not.toContain(token);
}
