import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseRoutes, readRoutesFile } from "./routes-file.ts";

const routes = { $connect: "./connect.mjs#handler", sendmessage: "./send.js" };

describe("routes.json", () => {
  it("has a handler for each route, and the optional fields", () => {
    const rest = {
      authorizer: "./auth.mjs",
      routeSelectionExpression: "$request.body.type",
      routeResponses: ["sendmessage"],
    };
    expect(parseRoutes({ routes, ...rest })).toEqual({ routes: new Map(Object.entries(routes)), ...rest });
    expect(parseRoutes({ routes })).toEqual({ routes: new Map(Object.entries(routes)) });
  });

  it("may have routes with the names of Object's properties", () => {
    const parsed = parseRoutes(JSON.parse('{"routes":{"__proto__":"./a.js","constructor":"./b.js"}}'));
    expect([...parsed.routes]).toEqual([
      ["__proto__", "./a.js"],
      ["constructor", "./b.js"],
    ]);
  });

  it.each([
    [{ routes, route: {} }, 'unknown key "route"; did you mean "routes"?'],
    [JSON.parse('{"routes":{"a":"./a.js"},"__proto__":{}}'), 'unknown key "__proto__"'],
    [{}, "routes must be an object"],
    [{ routes: {} }, "`routes` must have at least one route"],
    [{ routes: ["./a.js"] }, "routes must be an object"],
    [{ routes: { a: 1 } }, 'routes, "a" must be a non-empty string'],
    [{ routes: { a: "" } }, 'routes, "a" must be a non-empty string'],
    [{ routes, authorizer: { handler: "x" } }, "authorizer must be a non-empty string"],
    [{ routes, routeSelectionExpression: 1 }, "routeSelectionExpression must be a non-empty string"],
    [{ routes, routeResponses: "sendmessage" }, "`routeResponses` must be an array of route keys"],
    [{ routes, routeResponses: ["echo"] }, '`routeResponses` has "echo", which is not a key of `routes`'],
    [{ routes, routeResponses: [1] }, "`routeResponses` has 1, which is not a key of `routes`"],
    [[], "the file must be an object"],
    [null, "the file must be an object"],
  ])("is refused when it is %j: %s", (value, reason) => {
    expect(() => parseRoutes(value)).toThrow(reason);
  });
});

describe("a routes file", () => {
  let directory: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "lift-ws-"));
  });

  afterEach(() => rm(directory, { recursive: true }));

  it("is named in the error when it is missing", async () => {
    const path = join(directory, "routes.json");
    await expect(readRoutesFile(path)).rejects.toMatchObject({
      code: "USAGE",
      message: `Cannot read ${path} (ENOENT)`,
    });
  });

  it("is reported with the location of a JSON error", async () => {
    const path = join(directory, "routes.json");
    await writeFile(path, '{ "routes": }');
    await expect(readRoutesFile(path)).rejects.toMatchObject({ code: "USAGE" });
    await expect(readRoutesFile(path)).rejects.toThrow(/routes\.json: Unexpected token '\}'/);
  });
});

describe("a routes file with more than handlers", () => {
  it("has variables of handlers, identity sources and stage variables", () => {
    const file = {
      routes: { $connect: "./a.mjs", echo: { handler: "./b.mjs", environment: { TABLE: "b" } } },
      authorizer: "./c.mjs",
      authorizerEnvironment: { TABLE: "c" },
      identitySources: ["route.request.header.Auth"],
      stageVariables: { color: "blue" },
    };
    expect(parseRoutes(file)).toEqual({
      routes: new Map([
        ["$connect", "./a.mjs"],
        ["echo", "./b.mjs"],
      ]),
      environments: new Map([["echo", { TABLE: "b" }]]),
      authorizer: "./c.mjs",
      authorizerEnvironment: { TABLE: "c" },
      identitySources: ["route.request.header.Auth"],
      stageVariables: { color: "blue" },
    });
  });

  it.each([
    [{ routes: { a: { environment: {} } } }, 'routes, "a", handler must be a non-empty string'],
    [
      { routes: { a: { handler: "./a.mjs", enviroment: {} } } },
      'unknown key "enviroment" in routes, "a"; did you mean "environment"?',
    ],
    [
      { routes: { a: { handler: "./a.mjs", environment: { A: 1 } } } },
      'routes, "a", environment, "A" must be a string',
    ],
    [{ routes: { a: ["./a.mjs"] } }, 'routes, "a" must be an object'],
    [{ routes: { a: "./a.mjs" }, stageVariables: { a: 1 } }, 'stageVariables, "a" must be a string'],
    [{ routes: { a: "./a.mjs" }, identitySources: ["x"] }, "`identitySources` requires `authorizer`"],
    [
      { routes: { a: "./a.mjs" }, authorizer: "./b.mjs", identitySources: "x" },
      "`identitySources` must be an array",
    ],
  ])("refuses %j", (file, message) => {
    expect(() => parseRoutes(file)).toThrow(message);
  });
});
