import { describe, expect, it } from "vitest";
import { connect, ok, startApi, upgrade } from "./harness.ts";

describe("onEvent", () => {
  it("tells the status of a message that selects no route, with the key it selected in vain", async () => {
    const api = await startApi({ routes: { join: () => ok } });
    const client = await connect(api.gateway);
    client.socket.send('{"action":"leave"}');
    expect(await api.reports.next()).toMatchObject({ routeKey: "leave", status: 403, durationMs: 0 });
  });

  it("tells the status of an upgrade that no handler was asked about", async () => {
    const api = await startApi({ allowedOrigins: ["https://app.example"] });
    await upgrade(api.gateway, "/dev", { Origin: "https://evil.example" });
    expect(await api.reports.next()).toMatchObject({ routeKey: "$connect", status: 403, durationMs: 0 });
  });

  it("tells of a refused $connect once", async () => {
    const api = await startApi({}, () => ({ statusCode: 401 }));
    await upgrade(api.gateway, "/dev");
    await upgrade(api.gateway, "/elsewhere");
    const statuses = [(await api.reports.next()).status, (await api.reports.next()).status];
    expect(statuses).toEqual([401, 403]);
  });
});
