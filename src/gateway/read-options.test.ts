import { describe, expect, it } from "vitest";
import type { GatewayOptions } from "./options.ts";
import { readOptions } from "./read-options.ts";

const handler = () => ({ statusCode: 200 });

describe("readOptions", () => {
  it("uses the limits of the service by default", () => {
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

  it("uses the default of a limit that is undefined", () => {
    expect(readOptions({ handler, limits: { idleMs: undefined as never } }).limits.idleMs).toBe(600_000);
  });

  it.each<[string, GatewayOptions]>([
    ["options without a handler", {}],
    ["a handler and routes", { handler, routes: {} }],
    ["a handler that is not a function", { handler: "x" as never }],
    ["a route without a function", { routes: { a: undefined as never } }],
    ["an unknown option", { handler, idle: 3 } as GatewayOptions],
    ["an unknown limit", { handler, limits: { idle: 3 } as never }],
    ["a limit below its minimum", { handler, limits: { frameBytes: 0 } }],
    ["a limit that is not a number", { handler, limits: { idleMs: Number.NaN } }],
    ["a stage with a slash", { handler, stage: "a/b" }],
    ["the stage healthz, which is the path of the health check", { handler, stage: "healthz" }],
    ["301 routes", { routes: Object.fromEntries(Array.from({ length: 301 }, (_, i) => [`r${i}`, handler])) }],
  ])("rejects %s", (_name, options) => {
    expect(() => readOptions(options)).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
  });

  it.each<[keyof GatewayOptions, readonly unknown[]]>([
    ["authorizer", ["x", {}]],
    ["onEvent", [true]],
    ["everySecond", [true]],
    ["http", [{}]],
    ["identitySources", ["route.request.header.A", ["header.A"], ["route.request.header."], [5]]],
    ["routeSelectionExpression", [5]],
    ["routeResponses", ["join", [5], new Set(["join"])]],
    ["allowedOrigins", ["https://app.example", [/app/]]],
    ["allowedHosts", ["app.example", [5], ["app.example:3001"], ["app.example/"]]],
    ["stage", [5]],
    ["basePath", [5, "", "a/b", "a b", "x".repeat(301)]],
    ["stageVariables", ["x", { a: 5 }]],
    ["apiId", [5, ""]],
    ["domainName", [5, "", null]],
    ["limits", [null, 5]],
    ["clock", [{}, { now: Date.now }]],
    ["credentials", [[], {}, { accessKeyId: "a" }, [{ accessKeyId: "a", secretAccessKey: "" }]]],
    ["trustProxy", ["false", 1]],
    ["pingResetsIdle", ["no"]],
    ["deleteCloseCode", [99, 1004, 1005, 1006, 1015, 2999, 5000, 1000.5, "1000"]],
    ["tls", [{}, { key: "k" }, true]],
  ])("rejects a %s of %j and names the option", (name, values) => {
    for (const value of values) {
      expect(() => readOptions({ handler, [name]: value }), JSON.stringify(value)).toThrow(
        expect.objectContaining({
          code: "INVALID_OPTION",
          message: expect.stringMatching(`^\`${name}\` must be `),
        }),
      );
    }
  });

  it.each<[keyof GatewayOptions, readonly unknown[]]>([
    [
      "identitySources",
      [
        [
          "$route.request.header.A",
          "route.request.querystring.a",
          "context.identity.sourceIp",
          "stageVariables.a",
        ],
      ],
    ],
    ["allowedOrigins", [[]]],
    [
      "credentials",
      [{ accessKeyId: "a", secretAccessKey: "b" }, [{ accessKeyId: "a", secretAccessKey: "b" }]],
    ],
    ["deleteCloseCode", [1000, 1003, 1007, 1014, 3000, 4999]],
    ["domainName", [undefined]],
  ])("accepts a %s of %j", (name, values) => {
    for (const value of values) expect(() => readOptions({ handler, [name]: value })).not.toThrow();
  });

  it("accepts 300 routes", () => {
    const routes = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`r${i}`, handler]));
    expect(readOptions({ routes }).routes.size).toBe(300);
  });
});
