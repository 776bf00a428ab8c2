import { describe, expect, it } from "vitest";
import { createGateway } from "../../src/gateway/index.ts";
import { connect, gate, http, KEYS, ok, startApi } from "./harness.ts";

const NOBODY = "Xux7aeaAFiACHZQ=";

it("has no URL, endpoint and port before it listens", () => {
  const gateway = createGateway({ handler: () => ok });
  for (const read of [() => gateway.url, () => gateway.endpoint, () => gateway.port]) {
    expect(read).toThrow(expect.objectContaining({ code: "NOT_LISTENING" }));
  }
});

it("names localhost in its events when it listens on all addresses", async () => {
  const api = await startApi({ credentials: KEYS }, undefined, "0.0.0.0");
  await connect(api.gateway);
  const { domainName } = (await api.connects.next()).requestContext;
  expect(domainName).toBe(`localhost:${api.gateway.port}`);
});

describe("/healthz", () => {
  it("is 200 while the gateway serves", async () => {
    const { status, body } = await http((await startApi()).gateway, "/healthz");
    expect([status, JSON.parse(body)]).toEqual([200, { status: "ok" }]);
  });

  it("is JSON by its content type", async () => {
    const { headers } = await http((await startApi()).gateway, "/healthz");
    expect(headers["content-type"]).toBe("application/json");
  });

  it("is 503 while the gateway stops", async () => {
    const { opened, open } = gate<object>();
    const api = await startApi({}, ({ requestContext }) =>
      requestContext.eventType === "MESSAGE" ? opened : ok,
    );
    const client = await connect(api.gateway);
    client.send("keeps it busy");
    await api.messages.next();
    const closing = api.gateway.close({ spreadMs: 0 });
    expect((await http(api.gateway, "/healthz")).status).toBe(503);
    open(ok);
    await closing;
  });

  it("answers a client that offers to upgrade to HTTP/2", async () => {
    const { gateway } = await startApi();
    const headers = { Connection: "Upgrade, HTTP2-Settings", Upgrade: "h2c", "HTTP2-Settings": "AAMAAABk" };
    expect((await http(gateway, "/healthz", { headers })).status).toBe(200);
  });

  it("cannot be a base path", () => {
    expect(() => createGateway({ handler: () => ok, basePath: "healthz" })).toThrow(/healthz/);
  });
});

describe("the application's own pages", () => {
  it("are outside the service's paths", async () => {
    const api = await startApi({ http: (request, response) => void response.end(`page ${request.url}`) });
    expect((await http(api.gateway, "/token?x=1")).body).toBe("page /token?x=1");
  });

  it.each([
    "/dev",
    "/dev/",
    "/dev/token",
    "/dev/healthz",
    `/dev/@connections/${NOBODY}`,
    "/dev/%40connections/x",
    `/prod/@connections/${NOBODY}`,
    `/@connections/${NOBODY}`,
  ])("are not called for %s, which belongs to the service", async (path) => {
    let asked = 0;
    const api = await startApi({
      http: (_request, response) => {
        asked += 1;
        response.end();
      },
    });
    await http(api.gateway, path);
    expect(asked).toBe(0);
  });

  it("get 404 when they are not configured", async () => {
    expect((await http((await startApi()).gateway, "/")).status).toBe(404);
  });
});

describe("below the service's path", () => {
  it.each(["/dev/healthz", "/dev/token", "/dev/connections"])(
    "%s is 403, as on the service",
    async (path) => {
      expect((await http((await startApi()).gateway, path)).status).toBe(403);
    },
  );
});
