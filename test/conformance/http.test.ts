import { describe, expect, it } from "vitest";
import { createGateway } from "../../src/gateway/index.ts";
import { connect, gate, http, ok, startApi } from "./harness.ts";

const NOBODY = "Xux7aeaAFiACHZQ=";

describe("/healthz", () => {
  it("is 200 while the gateway serves", async () => {
    const { status, body } = await http((await startApi()).gateway, "/healthz");
    expect([status, JSON.parse(body)]).toEqual([200, { status: "ok" }]);
  });

  it("is 503 while it stops", async () => {
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

  it("is answered to a client that offers to upgrade to HTTP/2", async () => {
    const { gateway } = await startApi();
    const headers = { Connection: "Upgrade, HTTP2-Settings", Upgrade: "h2c", "HTTP2-Settings": "AAMAAABk" };
    expect((await http(gateway, "/healthz", { headers })).status).toBe(200);
  });

  it("can't be a base path", () => {
    expect(() => createGateway({ handler: () => ok, basePath: "healthz" })).toThrow(/healthz/);
  });
});

describe("the application's own pages", () => {
  it("stand outside the service's paths", async () => {
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
  ])("are never asked for %s, which is the service's", async (path) => {
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

  it("that are none are 404", async () => {
    expect((await http((await startApi()).gateway, "/")).status).toBe(404);
  });
});

describe("below the service's path", () => {
  it.each(["/dev/healthz", "/dev/token", "/dev/connections"])(
    "%s is 403, as the service says of what it has not",
    async (path) => {
      expect((await http((await startApi()).gateway, path)).status).toBe(403);
    },
  );
});
