import { describe, expect, it } from "vitest";
import { type GatewayOptions, readOptions } from "./options.ts";

const handler = () => ({ statusCode: 200 });

describe("readOptions", () => {
  it("fills in the service's own limits", () => {
    expect(readOptions({ handler }).limits).toMatchObject({
      frameBytes: 32_768,
      messageBytes: 131_072,
      idleMs: 600_000,
      lifetimeMs: 7_200_000,
      integrationTimeoutMs: 29_000,
      connectionsPerSecond: 500,
      requestsPerSecond: 10_000,
      requestBurst: 5_000,
      urlLength: 4_096,
      routes: 300,
    });
  });

  it.each<[string, GatewayOptions]>([
    ["no handler", {}],
    ["a handler and routes", { handler, routes: {} }],
    ["a handler that is no function", { handler: "x" as never }],
    ["a route without a function", { routes: { a: undefined as never } }],
    ["an unknown option", { handler, idle: 3 } as GatewayOptions],
    ["an unknown limit", { handler, limits: { idle: 3 } as never }],
    ["a limit below its minimum", { handler, limits: { frameBytes: 0 } }],
    ["a limit that is no number", { handler, limits: { idleMs: Number.NaN } }],
    ["a stage with a slash", { handler, stage: "a/b" }],
    ["the stage healthz, whose path is taken", { handler, stage: "healthz" }],
    ["301 routes", { routes: Object.fromEntries(Array.from({ length: 301 }, (_, i) => [`r${i}`, handler])) }],
  ])("refuses %s", (_name, options) => {
    expect(() => readOptions(options)).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
  });

  it("takes 300 routes", () => {
    const routes = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`r${i}`, handler]));
    expect(readOptions({ routes }).routes.size).toBe(300);
  });
});
