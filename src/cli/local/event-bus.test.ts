import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterAll, beforeAll, beforeEach, expect, it, vi } from "vitest";
import { type AwsEndpoint, serveAwsEndpoint } from "./aws-endpoint.ts";
import { StackBuckets } from "./buckets.ts";
import { EventBuses } from "./event-bus.ts";
import { readSchedules } from "./events.ts";
import type { StackFunctions } from "./functions.ts";
import { Callers } from "./roles.ts";
import { readStack, type Stack } from "./stack.ts";

const TEMPLATE = `Resources:
  Api: { Type: AWS::ApiGatewayV2::Api, Properties: { ProtocolType: WEBSOCKET } }
  Stage: { Type: AWS::ApiGatewayV2::Stage, Properties: { ApiId: !Ref Api, StageName: live } }
  Bus: { Type: AWS::Events::EventBus, Properties: { Name: rooms } }
  Role:
    Type: AWS::IAM::Role
    Properties:
      Policies:
        - PolicyName: Put
          PolicyDocument: { Statement: [{ Effect: Allow, Action: 'events:PutEvents', Resource: !GetAtt Bus.Arn }] }
  Log:
    Type: AWS::Lambda::Function
    Properties:
      FunctionName: log
      Runtime: nodejs24.x
      Role: !GetAtt Role.Arn
      Code: { ZipFile: 'exports.handler = async () => {};' }
  Permission:
    Type: AWS::Lambda::Permission
    Properties:
      FunctionName: !Ref Log
      Action: lambda:InvokeFunction
      Principal: events.amazonaws.com
      SourceArn: !Sub 'arn:\${AWS::Partition}:events:\${AWS::Region}:\${AWS::AccountId}:rule/*ed'
  Opened:
    Type: AWS::Events::Rule
    Properties:
      EventBusName: !GetAtt Bus.Arn
      EventPattern: { source: [chat], resources: [{ prefix: 'room:' }], detail: { state: [open] } }
      Targets: [{ Id: a, Arn: !GetAtt Log.Arn }]
  Changed:
    Type: AWS::Events::Rule
    Properties:
      EventPattern: { detail-type: [Room] }
      Targets: [{ Id: a, Arn: !GetAtt Log.Arn, Input: '{"fixed":true}' }]
  Refused:
    Type: AWS::Events::Rule
    Properties: { EventPattern: { source: [refused] }, Targets: [{ Id: a, Arn: !GetAtt Log.Arn }], Name: no }
  Off:
    Type: AWS::Events::Rule
    Properties: { EventPattern: { source: [chat] }, Targets: [{ Id: a, Arn: !GetAtt Log.Arn }], State: DISABLED }
  Odd:
    Type: AWS::Events::Rule
    Properties: { EventPattern: { source: [{ wildcard: '*' }] }, Targets: [{ Id: a, Arn: !GetAtt Log.Arn }] }
  Elsewhere:
    Type: AWS::Events::Rule
    Properties: { EventPattern: { source: [chat] }, Targets: [{ Id: a, Arn: 'arn:aws:sqs:us-east-1:1:q' }] }
  Mapped:
    Type: AWS::Events::Rule
    Properties: { EventPattern: { source: [chat] }, Targets: [{ Id: a, Arn: !GetAtt Log.Arn, InputPath: $.detail }] }
`;

let folder: string;
let stack: Stack;
let buses: EventBuses;
let stderr: PassThrough;
const invoke = vi.fn(async (_event: unknown) => {});

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "lift-ws-buses-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

beforeEach(() => {
  const file = join(folder, "rooms.yaml");
  writeFileSync(file, TEMPLATE);
  stack = readStack({ file, stackName: "rooms", region: "us-east-1", parameters: {} });
  const functions = {
    find: (name: string) => (name === "log" ? {} : undefined),
    invoke: (_name: string, event: unknown) => invoke(event),
  };
  stderr = new PassThrough();
  invoke.mockClear();
  const terminal = { stdout: stderr, stderr };
  expect(readSchedules(stack, functions as unknown as StackFunctions, terminal)).toEqual([]);
  buses = new EventBuses(stack, functions as unknown as StackFunctions, terminal);
});

const OPENED = {
  EventBusName: "rooms",
  Source: "chat",
  DetailType: "Room",
  Resources: ["user:ada", "room:lobby"],
  Detail: '{"state":"open"}',
};

it("passes an event to the functions of the rules of its bus that match", () => {
  expect(buses.put([OPENED])).toMatchObject({
    FailedEntryCount: 0,
    Entries: [{ EventId: expect.any(String) }],
  });
  expect(invoke.mock.calls).toEqual([
    [
      {
        version: "0",
        id: expect.stringMatching(/^[\da-f-]{36}$/),
        "detail-type": "Room",
        source: "chat",
        account: "000000000000",
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
        region: "us-east-1",
        resources: ["user:ada", "room:lobby"],
        detail: { state: "open" },
      },
    ],
  ]);
});

it.each([
  ["another state", { Detail: '{"state":"closed"}' }],
  ["no resource of the prefix", { Resources: ["user:ada"] }],
  ["another bus", { EventBusName: "other" }],
])("passes no event with %s", (_, change) => {
  buses.put([{ ...OPENED, ...change }]);
  expect(invoke).not.toHaveBeenCalled();
});

it("passes a target's own input, by a rule of the default bus", () => {
  const { EventBusName: _, ...entry } = OPENED;
  buses.put([entry]);
  expect(invoke.mock.calls).toEqual([[{ fixed: true }]]);
});

it("passes nothing by a rule without a permission, and says so", () => {
  buses.put([{ Source: "refused", DetailType: "x", Detail: "{}" }]);
  expect(invoke).not.toHaveBeenCalled();
  expect(String(stderr.read())).toContain("EventBridge may not invoke log by Refused");
});

it.each([
  ["no source", { Source: "" }, "InvalidArgument"],
  ["a detail that is not JSON", { Detail: "{" }, "MalformedDetail"],
  ["a detail that is no object", { Detail: "[]" }, "MalformedDetail"],
])("fails an entry with %s, and passes the others", (_, change, ErrorCode) => {
  const answer = buses.put([{ ...OPENED, ...change }, OPENED]);
  expect(answer).toMatchObject({
    FailedEntryCount: 1,
    Entries: [{ ErrorCode }, { EventId: expect.any(String) }],
  });
  expect(invoke).toHaveBeenCalledTimes(1);
});

it("lists rules that it does not run", () => {
  expect(Object.fromEntries(stack.notRun)).toEqual({
    "a rule that is off": ["Off"],
    "a target that is no function of the stack: arn:aws:sqs:us-east-1:1:q": ["Elsewhere"],
    "a target with `InputPath` or `InputTransformer`": ["Mapped"],
    "an event pattern with other rules than a value, `prefix` or `exists`": ["Odd"],
  });
});

it("lets a function put events on the buses that its role allows", async () => {
  const callers = new Callers(stack);
  const refused: string[] = [];
  const endpoint: AwsEndpoint = await serveAwsEndpoint({
    callers,
    stack: stack.template.stack,
    buckets: new StackBuckets(stack, { callers, onRefused: () => {}, now: Date.now }),
    putEvents: (entries) => buses.put(entries),
    onRefused: (line) => refused.push(line),
    tables: {
      region: "us-east-1",
      accountId: "0",
      partitionKey: () => undefined,
      streamArn: () => undefined,
    },
    dynamoDBEndpoint: "http://127.0.0.1:1",
    lambdaEndpoint: "http://127.0.0.1:1",
    functionArn: (name) => name,
  });
  const call = async (target: string, ...Entries: object[]) => {
    const scope = `${callers.of("log").accessKeyId}/20260101/us-east-1/events/aws4_request`;
    const response = await fetch(endpoint.url, {
      method: "POST",
      headers: {
        authorization: `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=host, Signature=${"0".repeat(64)}`,
        "x-amz-target": `AWSEvents.${target}`,
      },
      body: JSON.stringify({ Entries }),
    });
    return [response.status, await response.json()];
  };
  expect(await call("PutEvents", OPENED)).toMatchObject([200, { FailedEntryCount: 0 }]);
  expect(await call("PutEvents", OPENED, { ...OPENED, EventBusName: "other" })).toMatchObject([
    400,
    {
      message: expect.stringMatching(
        /events:PutEvents on resource: arn:aws:events:us-east-1:0+:event-bus\/other/,
      ),
    },
  ]);
  expect(await call("ListRules")).toMatchObject([
    501,
    { message: expect.stringContaining("service events") },
  ]);
  expect(invoke).toHaveBeenCalledTimes(1);
  expect(refused).toHaveLength(2);
  await endpoint.stop();
});
