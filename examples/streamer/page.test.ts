import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { isLoopback } from "lift-ws/development";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { page } from "./page.ts";

let server: Server;
let address: string;

beforeAll(async () => {
  server = createServer(await page({ mint: undefined, isLoopback, stage: "live" })).listen(0, "127.0.0.1");
  await once(server, "listening");
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(() => server.close());

describe("the page", () => {
  it("consists of files that exist, each with its type", async () => {
    const html = await (await fetch(address)).text();
    const files = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1]!);
    expect(files).toContain("main.js");
    for (const file of files) expect((await fetch(`${address}/${file}`)).status, file).toBe(200);
    const { headers } = await fetch(`${address}/main.js`);
    expect(headers.get("content-type")).toBe("text/javascript; charset=utf-8");
  });

  it("connects to the stage of the API", async () => {
    const html = await (await fetch(address)).text();
    expect(html).toContain('<meta name="lift-socket" content="/live" />');
  });

  it("has one script, which imports nothing", async () => {
    const script = await (await fetch(`${address}/main.js`)).text();
    expect(script).not.toMatch(/^\s*(import|export)\b/m);
  });

  it("has every element that its script uses", async () => {
    const html = await (await fetch(address)).text();
    const script = await (await fetch(`${address}/main.js`)).text();
    const asked = new Set([...script.matchAll(/find\("([\w-]+)"\)/g)].map((match) => match[1]!));
    expect(asked.size).toBeGreaterThan(30);
    for (const id of asked) expect(html).toContain(`id="${id}"`);
  });
});
