import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { readApi, readLimits } from "./api.ts";
import type { StackFunctions } from "./functions.ts";
import { readStack, type Stack } from "./stack.ts";

const TEMPLATE = `Resources:
  Api: { Type: AWS::ApiGatewayV2::Api, Properties: { ProtocolType: WEBSOCKET } }
  Stage: { Type: AWS::ApiGatewayV2::Stage, Properties: { ApiId: !Ref Api, StageName: live } }
  Integration:
    Type: AWS::ApiGatewayV2::Integration
    Properties: { ApiId: !Ref Api, IntegrationType: AWS_PROXY, IntegrationUri: chat }
  Connect:
    Type: AWS::ApiGatewayV2::Route
    Properties: { ApiId: !Ref Api, RouteKey: $connect, Target: !Sub 'integrations/\${Integration}' }
  Default:
    Type: AWS::ApiGatewayV2::Route
    Properties: { ApiId: !Ref Api, RouteKey: $default, Target: !Sub 'integrations/\${Integration}' }
  Authorizer:
    Type: AWS::ApiGatewayV2::Authorizer
    Properties: { ApiId: !Ref Api, AuthorizerType: REQUEST, AuthorizerUri: authorize, IdentitySource: [route.request.header.Auth] }
  Permission:
    Type: AWS::Lambda::Permission
    Properties: { FunctionName: authorize, Action: lambda:InvokeFunction, Principal: apigateway.amazonaws.com }
  OtherApi: { Type: AWS::ApiGatewayV2::Api, Properties: { ProtocolType: HTTP } }
  OtherAuthorizer:
    Type: AWS::ApiGatewayV2::Authorizer
    Properties: { ApiId: !Ref OtherApi, AuthorizerType: REQUEST, AuthorizerUri: authorize }
`;
const CUSTOM = "RouteKey: $connect, AuthorizationType: CUSTOM";

/** Reads the stack after a replacement, which must change it. */
function read(part: string | RegExp, replacement: string): Stack {
  const folder = mkdtempSync(join(tmpdir(), "lift-ws-api-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "chat.yaml");
  const template = TEMPLATE.replace(part, () => replacement);
  expect(template).not.toBe(TEMPLATE);
  writeFileSync(file, template);
  return readStack({ file, stackName: "chat", region: "us-east-1", parameters: {} });
}

/** The functions of the stack: each returns its own name. */
const functions = {
  find: () => ({}),
  invoke: (name: string) => Promise.resolve(name),
} as unknown as StackFunctions;

function readWithRoute(part: string | RegExp, replacement: string) {
  const stack = read(part, replacement);
  const app = readApi(stack, functions);
  if (app.kind !== "routes") throw new Error("The app of a stack has routes");
  return { ...app, notRun: Object.fromEntries(stack.notRun) };
}

describe("an authorizer", () => {
  it("decides for $connect with the AuthorizationType CUSTOM", async () => {
    const { authorizer, file } = readWithRoute(
      "RouteKey: $connect",
      `${CUSTOM}, AuthorizerId: !Ref Authorizer`,
    );
    expect(await authorizer?.({} as never, {} as never, () => {})).toBe("authorize");
    expect(file.identitySources).toEqual(["route.request.header.Auth"]);
  });

  it.each([
    ["none", CUSTOM, "nothing"],
    ["one that does not exist", `${CUSTOM}, AuthorizerId: nope`, '"nope"'],
    ["one of another API", `${CUSTOM}, AuthorizerId: !Ref OtherAuthorizer`, ""],
    ["one of another type", `${CUSTOM}, AuthorizerId: !Ref Integration`, ""],
  ])("is needed for CUSTOM: refuses %s, and names the route", (_, properties, got) => {
    expect(() => readWithRoute("RouteKey: $connect", properties)).toThrow(
      new RegExp(
        `chat\\.yaml:7: Connect: The route \\$connect with .* CUSTOM needs the \`AuthorizerId\` .*; got .*${got}`,
      ),
    );
  });

  it.each([
    ["without an AuthorizationType", "NONE", "AuthorizerId: !Ref Authorizer"],
    ["with NONE", "NONE", "AuthorizationType: NONE, AuthorizerId: !Ref Authorizer"],
  ])("is not used, and is listed, %s", (_, type, properties) => {
    const { authorizer, notRun } = readWithRoute("RouteKey: $connect", `RouteKey: $connect, ${properties}`);
    expect(authorizer).toBeUndefined();
    expect(notRun).toEqual({ [`an authorizer of a route with the AuthorizationType ${type}`]: ["Connect"] });
  });

  it("denies everyone for AWS_IAM, which is listed", async () => {
    const { authorizer, notRun } = readWithRoute(
      "RouteKey: $connect",
      "RouteKey: $connect, AuthorizationType: AWS_IAM",
    );
    expect(notRun).toEqual({ "authorization by AWS_IAM; no one may connect here": ["Connect"] });
    expect(await authorizer?.({ methodArn: "arn" } as never, {} as never, () => {})).toMatchObject({
      policyDocument: { Statement: [{ Effect: "Deny", Resource: "arn" }] },
    });
  });

  it.each([
    [
      "CUSTOM on another route",
      "RouteKey: $default",
      "RouteKey: $default, AuthorizationType: CUSTOM, AuthorizerId: !Ref Authorizer",
      "10: Default: `AuthorizationType` CUSTOM is for $connect only",
    ],
    [
      "AWS_IAM on another route",
      "RouteKey: $default",
      "RouteKey: $default, AuthorizationType: AWS_IAM",
      "10: Default: `AuthorizationType` AWS_IAM is for $connect only",
    ],
    [
      "JWT",
      "RouteKey: $connect",
      "RouteKey: $connect, AuthorizationType: JWT",
      '7: Connect: `AuthorizationType` of a WebSocket API must be NONE, CUSTOM or AWS_IAM; got "JWT"',
    ],
    [
      "an unknown IdentitySource",
      /RouteKey: \$connect([\s\S]*)route\.request\.header\.Auth/,
      `${CUSTOM}, AuthorizerId: !Ref Authorizer, Target: !Sub 'integrations/\${Integration}' }
  Authorizer:
    Type: AWS::ApiGatewayV2::Authorizer
    Properties: { ApiId: !Ref Api, AuthorizerType: REQUEST, AuthorizerUri: authorize, IdentitySource: [foo`,
      "10: Authorizer: `IdentitySource` must be route.request.header.Name",
    ],
    [
      "an AuthorizerType for HTTP APIs",
      /RouteKey: \$connect([\s\S]*)AuthorizerType: REQUEST, AuthorizerUri: authorize, I/,
      `${CUSTOM}, AuthorizerId: !Ref Authorizer, Target: !Sub 'integrations/\${Integration}' }
  Authorizer:
    Type: AWS::ApiGatewayV2::Authorizer
    Properties: { ApiId: !Ref Api, AuthorizerType: JWT, I`,
      '10: Authorizer: `AuthorizerType` of a WebSocket API must be REQUEST; got "JWT"',
    ],
  ])("is refused with %s", (_, part, replacement, message) => {
    expect(() => readWithRoute(part, replacement)).toThrow(`chat.yaml:${message}`);
  });
});

describe("an API", () => {
  const STAGE = "StageName: live";
  const TARGET = /RouteKey: \$connect, Target: .*'/;
  it.each([
    [
      "a route without a key",
      "RouteKey: $connect, ",
      "",
      "7: Connect: `RouteKey` must be a text; got nothing",
    ],
    ["an empty key", "RouteKey: $connect", "RouteKey: ''", '7: Connect: `RouteKey` must be a text; got ""'],
    [
      "a list of keys",
      "RouteKey: $connect",
      "RouteKey: [a]",
      '7: Connect: `RouteKey` must be a text; got ["a"]',
    ],
    [
      "a key twice",
      "RouteKey: $connect",
      "RouteKey: $default",
      '10: Default: Another route has the `RouteKey` "$default" too',
    ],
    ["a route without a target", TARGET, "RouteKey: $connect", "7: Connect: `Target` must be integrations/"],
    [
      "the target of nothing",
      TARGET,
      "RouteKey: $connect, Target: integrations/abc",
      '7: Connect: `Target` must be integrations/<the Ref of an integration of the API>; got "integrations/abc"',
    ],
    ["a stage without a name", `, ${STAGE}`, "", "3: Stage: `StageName` must have 1 to 128"],
    [
      "a stage with a path",
      STAGE,
      "StageName: a/b",
      '3: Stage: `StageName` must have 1 to 128 letters, digits, _ and -; got "a/b"',
    ],
    [
      "a stage like the health check",
      STAGE,
      "StageName: healthz",
      "3: Stage: The stage `healthz` cannot run",
    ],
    [
      "a stage variable that is a list",
      STAGE,
      `${STAGE}, StageVariables: { a: [b] }`,
      '3: Stage: The stage variable `a` must be a text; got ["b"]',
    ],
    [
      "stage variables that are a text",
      STAGE,
      `${STAGE}, StageVariables: a`,
      "3: Stage: `StageVariables` must be a map",
    ],
    [
      "a route selection without a path",
      "WEBSOCKET }",
      "WEBSOCKET, RouteSelectionExpression: action }",
      '2: Api: `RouteSelectionExpression` "action" must contain a',
    ],
    [
      "an empty route selection",
      "WEBSOCKET }",
      "WEBSOCKET, RouteSelectionExpression: '' }",
      "2: Api: `RouteSelectionExpression` must be a non-empty string",
    ],
    [
      "a route selection that is a list",
      "WEBSOCKET }",
      "WEBSOCKET, RouteSelectionExpression: [$request.body.action] }",
      "2: Api: `RouteSelectionExpression` must be a text; got [",
    ],
    [
      "a time limit of 0",
      "IntegrationUri: chat",
      "IntegrationUri: chat, TimeoutInMillis: 0",
      "4: Integration: `TimeoutInMillis` must be a whole number from 50 to 29000; got 0",
    ],
    [
      "a time limit over API Gateway's",
      "IntegrationUri: chat",
      "IntegrationUri: chat, TimeoutInMillis: 29001",
      "4: Integration: `TimeoutInMillis` must be",
    ],
    [
      "a time limit that is no number",
      "IntegrationUri: chat",
      "IntegrationUri: chat, TimeoutInMillis: abc",
      '4: Integration: `TimeoutInMillis` must be a whole number from 50 to 29000; got "abc"',
    ],
  ])("is refused with %s, and the place is named", (_, part, replacement, message) => {
    expect(() => {
      const stack = read(part, replacement);
      readApi(stack, functions);
      readLimits(stack);
    }).toThrow(`chat.yaml:${message}`);
  });
});
