import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { AuthorizerEvent } from "../../apigw/index.ts";
import { evaluatePolicy, hasIdentity } from "./authorizer.ts";

const ARN = "arn:aws:execute-api:us-east-1:000000000000:abcdef1234/dev/$connect";

const statement = (effect: string, resource: unknown = ARN, action: unknown = "execute-api:Invoke") => ({
  Effect: effect,
  Action: action,
  Resource: resource,
});

const answer = (statements: unknown, rest: object = {}) => ({
  kind: "answered" as const,
  value: { principalId: "u1", policyDocument: { Version: "2012-10-17", Statement: statements }, ...rest },
});

function fail(): never {
  throw new Error("no");
}

const decide = (outcome: Parameters<typeof evaluatePolicy>[0]) => evaluatePolicy(outcome, ARN, 8192, 7);

describe("evaluatePolicy", () => {
  it.each([
    ["the ARN itself", statement("Allow")],
    ["one statement in a list", [statement("Allow")]],
    ["a wildcard", statement("Allow", "*")],
    ["a wildcard for the route", statement("Allow", ARN.replace("$connect", "*"))],
    ["a question mark", statement("Allow", ARN.replace("dev", "d?v"))],
    ["one of several resources", statement("Allow", ["arn:other", ARN])],
    ["a wildcard action, in any case", statement("Allow", ARN, "EXECUTE-API:*")],
  ])("allows by %s", (_name, statements) => {
    expect(decide(answer(statements))).toMatchObject({ allowed: true });
  });

  it.each([
    ["Deny", statement("Deny")],
    ["Deny beside an Allow", [statement("Allow", "*"), statement("Deny")]],
    ["no statement that fits", statement("Allow", ARN.replace("dev", "prod"))],
    ["another action", statement("Allow", ARN, "execute-api:ManageConnections")],
    ["no statement at all", []],
  ])("refuses with 403 on %s", (_name, statements) => {
    expect(decide(answer(statements))).toEqual({ allowed: false, status: 403 });
  });

  it.each([new Error("Unauthorized"), "Unauthorized"])("refuses with 401 when it throws %s", (error) => {
    expect(decide({ kind: "failed", error })).toEqual({ allowed: false, status: 401 });
  });

  it.each([
    ["another error", { kind: "failed" as const, error: new Error("no database") }],
    ["a timeout", { kind: "timed out" as const }],
    ["no result", { kind: "answered" as const, value: undefined }],
    ["no principal", answer(statement("Allow"), { principalId: undefined })],
    ["no policy", answer(statement("Allow"), { policyDocument: {} })],
    ["an unknown effect", answer(statement("Maybe"))],
    ["an action that is not a text", answer(statement("Allow", ARN, 1))],
    ["a resource that is not a text beside one that fits", answer(statement("Allow", [ARN, 1]))],
    ["a nested context", answer(statement("Allow"), { context: { user: { id: 1 } } })],
    ["more than 8 KB", answer(statement("Allow"), { context: { blob: "x".repeat(8192) } })],
  ])("refuses with 500 on %s", (_name, outcome) => {
    expect(decide(outcome)).toMatchObject({ allowed: false, status: 500 });
  });

  it.each<[string, unknown]>([
    ["is not an object", "allow"],
    ["cannot be serialized as JSON", 1n],
    ["is larger than 8192 bytes", "x".repeat(8192)],
    ["has no principalId", answer(statement("Allow"), { principalId: "" }).value],
    ["has no policyDocument with statements", { principalId: "u1" }],
    ["has no policyDocument with statements", { principalId: "u1", policyDocument: null }],
    ["has no policyDocument with statements", answer([null]).value],
    ["has a context that is not an object", answer(statement("Allow"), { context: ["a"] }).value],
    ["has a context value that is not a scalar: b", answer([], { context: { a: null, b: {} } }).value],
  ])("names the fault of a result that %s", (fault, value) => {
    expect(decide({ kind: "answered", value })).toMatchObject({
      error: { message: `The authorizer's result ${fault}` },
    });
  });

  it("returns the context as strings, with the principal and the latency", () => {
    const context = { tenant: "t1", level: 3, admin: true, principalId: "forged" };
    expect(decide(answer(statement("Allow"), { context }))).toEqual({
      allowed: true,
      context: { tenant: "t1", level: "3", admin: "true", principalId: "u1", integrationLatency: 7 },
    });
  });

  it("reads the context as JSON", () => {
    class Claims {
      readonly sub = "ada";
      readonly tenant_id = undefined;
      toJSON() {
        return { ...this, from: "toJSON" };
      }
    }
    const values: [unknown, Record<string, string>][] = [
      [{ tenant_id: undefined, sub: "ada" }, { sub: "ada" }],
      [{ f: () => 1, s: Symbol("s"), [Symbol("k")]: "v" }, {}],
      [
        { n: Number.NaN, i: Number.POSITIVE_INFINITY, nothing: null },
        { n: "null", i: "null", nothing: "null" },
      ],
      [{ at: new Date(0) }, { at: "1970-01-01T00:00:00.000Z" }],
      [
        { boxed: Object("text"), zero: -0, no: false },
        { boxed: "text", zero: "0", no: "false" },
      ],
      [new Claims(), { sub: "ada", from: "toJSON" }],
      [JSON.parse('{"__proto__":"x"}'), JSON.parse('{"__proto__":"x"}')],
      [undefined, {}],
      [null, {}],
      [() => ({}), {}],
    ];
    for (const [context, texts] of values) {
      const { context: read } = decide(answer(statement("Allow"), { context })) as { context: object };
      expect(Object.entries(read)).toEqual(
        Object.entries({ ...texts, principalId: "u1", integrationLatency: 7 }),
      );
    }
  });

  it.each<[string, unknown]>([
    ["a context with a BigInt", { big: 1n }],
    ["a context with a list", { roles: ["admin"] }],
    ["a context with a Map", { map: new Map([["a", 1]]) }],
    ["a context that is a list", ["a"]],
    ["a context that is a text", "a"],
    ["a context whose getter throws", Object.defineProperty({}, "a", { enumerable: true, get: fail })],
  ])("refuses with 500 on %s", (_name, context) => {
    expect(decide(answer(statement("Allow"), { context }))).toMatchObject({ allowed: false, status: 500 });
  });

  it("refuses with 500 on a result that is circular, a function or a list", () => {
    const circular: { [name: string]: unknown } = { ...answer(statement("Allow")).value };
    circular.context = circular;
    for (const value of [circular, () => ({}), [answer(statement("Allow")).value], Symbol("s"), 1n]) {
      expect(decide({ kind: "answered", value })).toMatchObject({ allowed: false, status: 500 });
    }
  });

  it("reads any context like the same result parsed from JSON", () => {
    fc.assert(
      fc.property(fc.object({ withBigInt: true, withDate: true, withMap: true }), (context) => {
        const value = answer(statement("Allow"), { context });
        let travelled: unknown;
        try {
          travelled = JSON.parse(JSON.stringify(value.value));
        } catch {
          expect(decide(value)).toMatchObject({ allowed: false, status: 500 });
          return;
        }
        expect(decide(value)).toEqual(decide({ kind: "answered", value: travelled }));
      }),
      { seed: 1 },
    );
  });

  it("matches wildcards like the equivalent regular expression", () => {
    const pattern = fc.stringMatching(/^[ab*?]{0,8}$/);
    const suffix = fc.stringMatching(/^[ab]{0,8}$/);
    fc.assert(
      fc.property(pattern, suffix, (pattern, text) => {
        const expected = new RegExp(`^${pattern.replaceAll("*", ".*").replaceAll("?", ".")}$`).test(text);
        expect(evaluatePolicy(answer(statement("Allow", pattern)), text, 8192, 0).allowed).toBe(expected);
      }),
    );
  });
});

describe("hasIdentity", () => {
  const event = {
    headers: { Authorization: "Bearer x", Empty: "" },
    queryStringParameters: { token: "t" },
    stageVariables: { key: "v" },
    requestContext: { identity: { sourceIp: "1.2.3.4" } },
  } as unknown as AuthorizerEvent;

  it.each([
    [[], true],
    [["route.request.header.authorization"], true],
    [["route.request.querystring.token", "route.request.header.Authorization"], true],
    [["context.identity.sourceIp"], true],
    [["stageVariables.key"], true],
    [["route.request.header.Empty"], false],
    [["route.request.header.Missing"], false],
    [["route.request.querystring.token", "route.request.querystring.missing"], false],
    [["route.request.querystring.constructor"], false],
  ])("returns for %j: %s", (sources, expected) => {
    expect(hasIdentity(sources, event)).toBe(expected);
  });
});
