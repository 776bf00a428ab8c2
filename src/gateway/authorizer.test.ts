import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { AuthorizerEvent } from "../apigw/index.ts";
import { hasIdentity, judge } from "./authorizer.ts";

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

const decide = (outcome: Parameters<typeof judge>[0]) => judge(outcome, ARN, 8192, 7);

describe("judge", () => {
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
    ["no answer", { kind: "answered" as const, value: undefined }],
    ["no principal", answer(statement("Allow"), { principalId: undefined })],
    ["no policy", answer(statement("Allow"), { policyDocument: {} })],
    ["an unknown effect", answer(statement("Maybe"))],
    ["a nested context", answer(statement("Allow"), { context: { user: { id: 1 } } })],
    ["more than 8 KB", answer(statement("Allow"), { context: { blob: "x".repeat(8192) } })],
  ])("refuses with 500 on %s", (_name, outcome) => {
    expect(decide(outcome)).toMatchObject({ allowed: false, status: 500 });
  });

  it("hands the context on as strings, with the principal and the latency", () => {
    const context = { tenant: "t1", level: 3, admin: true, principalId: "forged" };
    expect(decide(answer(statement("Allow"), { context }))).toEqual({
      allowed: true,
      context: { tenant: "t1", level: "3", admin: "true", principalId: "u1", integrationLatency: 7 },
    });
  });

  it("matches wildcards as the regular expression of the same meaning does", () => {
    const pattern = fc.stringMatching(/^[ab*?]{0,8}$/);
    const suffix = fc.stringMatching(/^[ab]{0,8}$/);
    fc.assert(
      fc.property(pattern, suffix, (pattern, text) => {
        const expected = new RegExp(`^${pattern.replaceAll("*", ".*").replaceAll("?", ".")}$`).test(text);
        expect(judge(answer(statement("Allow", pattern)), text, 8192, 0).allowed).toBe(expected);
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
  ])("of %j says %s", (sources, expected) => {
    expect(hasIdentity(sources, event)).toBe(expected);
  });
});
