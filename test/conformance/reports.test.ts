import { describe, expect, it, onTestFinished, vi } from "vitest";
import { createGateway, ManualClock } from "../../src/gateway/index.ts";
import { connect, ok, startApi, upgrade } from "./harness.ts";
import { Queue } from "./queue.ts";

/** Collects the codes of the process's warnings while the test runs. */
function warnings(): Queue<string | undefined> {
  const codes = new Queue<string | undefined>();
  const hear = ({ code }: Error & { code?: string }) => codes.push(code);
  process.on("warning", hear);
  onTestFinished(() => {
    process.off("warning", hear);
  });
  return codes;
}

describe("onEvent", () => {
  it("gets the status of a message without a route, with the key that it selected", async () => {
    const api = await startApi({ routes: { join: () => ok } });
    const client = await connect(api.gateway);
    client.socket.send('{"action":"leave"}');
    expect(await api.reports.next()).toMatchObject({ routeKey: "leave", status: 403, durationMs: 0 });
  });

  it("gets the status of an upgrade that was refused without a handler", async () => {
    const api = await startApi({ allowedOrigins: ["https://app.example"] });
    await upgrade(api.gateway, "/dev", { Origin: "https://evil.example" });
    expect(await api.reports.next()).toMatchObject({ routeKey: "$connect", status: 403, durationMs: 0 });
  });

  it("gets a refused $connect once", async () => {
    const api = await startApi({}, () => ({ statusCode: 401 }));
    await upgrade(api.gateway, "/dev");
    await upgrade(api.gateway, "/elsewhere");
    const statuses = [(await api.reports.next()).status, (await api.reports.next()).status];
    expect(statuses).toEqual([401, 403]);
  });

  it("gets the duration of a handler", async () => {
    const clock = new ManualClock();
    clock.advance(60_000);
    const api = await startApi({ clock }, () => {
      clock.advance(250);
      return ok;
    });
    (await connect(api.gateway)).send("hello");
    expect((await api.reports.take(2)).map(({ durationMs }) => durationMs)).toEqual([250, 250]);
  });

  it.each([400, 401, 500])("gets the body of a result with status %i", async (statusCode) => {
    const api = await startApi({}, () => ({ statusCode, body: "no such room" }));
    await upgrade(api.gateway, "/dev");
    expect(await api.reports.next()).toMatchObject({ status: statusCode, body: "no such room" });
  });

  it("gets no body of a refusal without one", async () => {
    const api = await startApi({}, () => ({ statusCode: 400 }));
    await upgrade(api.gateway, "/dev");
    expect(await api.reports.next()).not.toHaveProperty("body");
  });

  it("is optional: a refused upgrade causes no warning without it", async () => {
    const warn = vi.spyOn(process, "emitWarning").mockReturnValue();
    const gateway = createGateway({ handler: () => ok });
    await gateway.listen({ port: 0 });
    onTestFinished(() => gateway.close({ spreadMs: 0 }));
    expect((await upgrade(gateway, "/elsewhere")).status).toBe(403);
    expect(warn).not.toHaveBeenCalled();
  });

  it("gets the error that a handler throws", async () => {
    const error = new Error("no database");
    const api = await startApi({}, () => Promise.reject(error));
    await upgrade(api.gateway);
    expect(await api.reports.next()).toMatchObject({ routeKey: "$connect", status: 502, error });
  });

  it("gets no error when an authorizer's policy denies the client", async () => {
    const denial = { principalId: "user", policyDocument: { Version: "2012-10-17", Statement: [] } };
    const api = await startApi({ authorizer: () => denial });
    await upgrade(api.gateway);
    const report = await api.reports.next();
    expect(report).toMatchObject({ routeKey: "authorizer", status: 403 });
    expect(report).not.toHaveProperty("error");
  });

  it("gets neither a body nor an error when the result is not a refusal", async () => {
    const api = await startApi({}, () => ({ statusCode: 200, body: "fine" }));
    (await connect(api.gateway)).send("hello");
    for (const report of await api.reports.take(2)) {
      expect(report).not.toHaveProperty("body");
      expect(report).not.toHaveProperty("error");
    }
  });

  it.each<[string, () => void]>([
    [
      "throws",
      () => {
        throw new Error("report");
      },
    ],
    ["rejects", () => Promise.reject(new Error("report"))],
  ])("that %s does not affect events, and causes a warning each time", async (_how, onEvent) => {
    const warned = warnings();
    const api = await startApi({
      routes: { echo: async () => ({ statusCode: 200, body: "echo" }) },
      routeResponses: ["echo"],
      allowedOrigins: ["https://app.example"],
      onEvent,
    });
    expect((await upgrade(api.gateway, "/dev", { Origin: "https://evil.example" })).status).toBe(403);
    const client = await connect(api.gateway);
    client.send({ action: "unknown" });
    expect(await client.messages.next()).toContain("Forbidden");
    client.send({ action: "echo" });
    expect(await client.messages.next()).toBe("echo");
    const codes = [await warned.next(), await warned.next(), await warned.next()];
    expect(codes).toEqual(Array(3).fill("LIFT_WS_GATEWAY"));
  });
});
