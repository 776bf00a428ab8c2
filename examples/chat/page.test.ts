import { once } from "node:events";
import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { isLoopback } from "lift-ws/development";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { page } from "./page.ts";

interface Answer {
  readonly status: number;
  readonly headers: { readonly [name: string]: string | string[] | undefined };
  readonly body: string;
}

interface Ask {
  readonly method?: string;
  readonly headers?: { readonly [name: string]: string };
  readonly body?: string;
}

let server: Server;
let host: string;

async function serve(mint: Parameters<typeof page>[0]["mint"]): Promise<Server> {
  const listening = createServer(page({ mint, isLoopback, stage: "live" })).listen(0, "127.0.0.1");
  await once(listening, "listening");
  return listening;
}

beforeAll(async () => {
  server = await serve(async (sub, tenant) => `token of ${sub} in ${tenant}`);
  host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(() => server.close());

/** `fetch` does not let a test set the `Host` header. */
async function ask(path: string, { method = "GET", headers = {}, body = "" }: Ask = {}): Promise<Answer> {
  const { port } = server.address() as AddressInfo;
  const sent = request({ port, host: "127.0.0.1", path, method, headers: { host, ...headers } }).end(body);
  const [response] = await once(sent, "response");
  let text = "";
  for await (const chunk of response.setEncoding("utf8")) text += chunk;
  return { status: response.statusCode, headers: response.headers, body: text };
}

const ADA = { method: "POST", body: JSON.stringify({ name: "ada", tenant: "math" }) };

describe("the page", () => {
  it("connects to the stage of the API", async () => {
    expect((await ask("/")).body).toContain('<meta name="lift-socket" content="/live" />');
  });

  it("consists of files that exist, each with its type", async () => {
    const { body, headers } = await ask("/");
    expect(headers["content-type"]).toBe("text/html; charset=utf-8");
    const files = [...body.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1]!);
    expect(files).toContain("chat.js");
    const imported = await Promise.all(files.map((file) => ask(`/${file}`)));
    const scripts = imported.flatMap(({ body }) =>
      [...body.matchAll(/from "\.\/([^"]+)"/g)].map((match) => match[1]!),
    );
    expect(scripts).toContain("socket.js");
    for (const file of [...files, ...scripts]) expect((await ask(`/${file}`)).status, file).toBe(200);
  });

  it("allows only its own resources", async () => {
    const { headers } = await ask("/?any=query");
    expect(headers["content-security-policy"]).toMatch(/^default-src 'self';/);
    expect(headers["x-content-type-options"]).toBe("nosniff");
  });

  it.each(["/nothing", "/../package.json", "/%2e%2e/app.ts", "/page/chat.js", "/__proto__", "//"])(
    "has nothing at %s",
    async (path) => {
      expect((await ask(path)).status).toBe(404);
    },
  );

  it("accepts only GET and HEAD", async () => {
    expect((await ask("/", { method: "DELETE" })).status).toBe(405);
    expect(await ask("/", { method: "HEAD" })).toMatchObject({ status: 200, body: "" });
  });
});

describe("POST /token", () => {
  it("creates a token for its own page and for local programs", async () => {
    const body = JSON.stringify({ token: "token of ada in math" });
    expect(await ask("/token", ADA)).toMatchObject({ status: 200, body });
    expect(await ask("/token", { ...ADA, headers: { origin: `http://${host}` } })).toMatchObject({
      status: 200,
      body,
    });
  });

  it.each(["localhost:3001", "127.0.0.1", "[::1]:3001", "Localhost.:3001", "[::ffff:127.0.0.1]:3001"])(
    "answers as %s",
    async (name) => {
      expect((await ask("/token", { ...ADA, headers: { host: name } })).status).toBe(200);
    },
  );

  it.each(["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:3001", "a b"])(
    "refuses a page that uses the host name %j",
    async (name) => {
      expect(await ask("/token", { ...ADA, headers: { host: name } })).toMatchObject({ status: 403 });
    },
  );

  it.each(["http://evil.example", "null", "https://127.0.0.1:3001", "http://127.0.0.1:1"])(
    "refuses a page of the origin %s",
    async (origin) => {
      expect(await ask("/token", { ...ADA, headers: { origin } })).toMatchObject({ status: 403 });
    },
  );

  it.each([
    ["nothing", ""],
    ["a form", "name=ada"],
    ["JSON that is not a user", "null"],
    ["a name alone", `{"name":"ada"}`],
    ["a blank name", `{"name":" ","tenant":"math"}`],
    ["a list of names", `{"name":["ada"],"tenant":"math"}`],
    ["a name of 33 characters", JSON.stringify({ name: "a".repeat(33), tenant: "math" })],
    ["more than a kilobyte", JSON.stringify({ name: "ada", tenant: "math", more: "x".repeat(2000) })],
  ])("refuses %s", async (_what, body) => {
    expect((await ask("/token", { method: "POST", body })).status).toBe(400);
  });

  it("is not a page", async () => {
    expect((await ask("/token")).status).toBe(405);
  });

  it("refuses if the server creates no tokens", async () => {
    const minting = server;
    server = await serve(undefined);
    const answer = await ask("/token", ADA);
    server.close();
    server = minting;
    expect(answer.status).toBe(403);
    expect(JSON.parse(answer.body)).toEqual({
      message: expect.stringContaining("creates no development tokens"),
    });
  });
});
