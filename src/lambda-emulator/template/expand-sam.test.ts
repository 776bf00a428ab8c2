import { expect, it } from "vitest";
import { isAllowed } from "../policy/policy.ts";
import { readRolePolicies } from "../policy/role-policies.ts";
import { readTemplate } from "./read-template.ts";
import { type ResolvedTemplate, resolveTemplate } from "./resolve-template.ts";

const TEMPLATE = `Transform: AWS::Serverless-2016-10-31
Globals:
  Function:
    Runtime: nodejs22.x
    Timeout: 5
    Layers: [shared]
    Environment: { Variables: { STAGE: live, TABLE: none } }
  Api: { TracingEnabled: true }
Conditions: { Never: !Equals [a, b] }
Resources:
  Rows: { Type: AWS::Serverless::SimpleTable }
  Named:
    Type: AWS::Serverless::SimpleTable
    Properties: { TableName: named, PrimaryKey: { Name: at, Type: Number } }
  Send:
    Type: AWS::Serverless::Function
    DependsOn: Rows
    Properties:
      CodeUri: send/
      Handler: app.handler
      Timeout: 9
      LoggingConfig: { LogGroup: log }
      Layers: [own]
      Tracing: Active
      Environment: { Variables: { TABLE: !Ref Rows } }
      Policies:
        - AWSLambdaVPCAccessExecutionRole
        - arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess
        - DynamoDBCrudPolicy: { TableName: !Ref Rows }
        - LambdaInvokePolicy: { FunctionName: !Ref Inline }
        - S3ReadPolicy: { BucketName: files }
        - Statement: [{ Effect: Deny, Action: 'dynamodb:Scan', Resource: '*' }]
      FunctionUrlConfig: { AuthType: NONE }
      Events:
        Tick: { Type: Schedule, Properties: { Schedule: rate(1 minute), Input: '{"a":1}' } }
        Changes: { Type: DynamoDB, Properties: { Stream: arn:stream, StartingPosition: LATEST } }
        Get: { Type: HttpApi, Properties: { Path: / } }
  Inline:
    Type: AWS::Serverless::Function
    Properties: { InlineCode: 'exports.handler = 1', Role: arn:aws:iam::1:role/r }
  Stored: { Type: AWS::Serverless::Function, Properties: { CodeUri: s3://files/code/a.zip } }
  Located: { Type: AWS::Serverless::Function, Properties: { CodeUri: { Bucket: files, Key: b.zip } } }
  Off: { Type: AWS::Serverless::Function, Condition: Never, Properties: { CodeUri: off } }
  Http: { Type: AWS::Serverless::HttpApi }
Outputs: { Arn: { Value: !GetAtt Send.Arn } }
`;

function resolve(text = TEMPLATE): ResolvedTemplate {
  return resolveTemplate(readTemplate(text, "t.yaml"), { stackName: "s" });
}

function find(template: ResolvedTemplate, id: string) {
  return template.resources.find(({ logicalId }) => logicalId === id)!;
}

it("expands functions and tables, with their roles and events", () => {
  const template = resolve();
  expect(Object.fromEntries(template.resources.map(({ logicalId, type }) => [logicalId, type]))).toEqual({
    Rows: "AWS::DynamoDB::Table",
    Named: "AWS::DynamoDB::Table",
    Send: "AWS::Lambda::Function",
    SendRole: "AWS::IAM::Role",
    SendUrl: "AWS::Lambda::Url",
    SendUrlPublicPermissions: "AWS::Lambda::Permission",
    SendURLInvokeAllowPublicAccess: "AWS::Lambda::Permission",
    SendTick: "AWS::Events::Rule",
    SendTickPermission: "AWS::Lambda::Permission",
    SendChanges: "AWS::Lambda::EventSourceMapping",
    SendGet: "AWS::Serverless::Function event HttpApi",
    Inline: "AWS::Lambda::Function",
    Stored: "AWS::Lambda::Function",
    StoredRole: "AWS::IAM::Role",
    Located: "AWS::Lambda::Function",
    LocatedRole: "AWS::IAM::Role",
    Http: "AWS::Serverless::HttpApi",
  });
  const { Send, SendRole } = { Send: find(template, "Send"), SendRole: find(template, "SendRole") };
  expect(Send).toMatchObject({ line: 15, metadata: { "aws:asset:path": "send/" } });
  expect(SendRole.line).toBe(15);
  expect(Send.dependsOn).toContain("Rows");
  expect(Send.properties).toEqual({
    Code: {},
    Handler: "app.handler",
    Runtime: "nodejs22.x",
    Timeout: 9,
    LoggingConfig: { LogGroup: "log" },
    Layers: ["shared", "own"],
    Environment: { Variables: { STAGE: "live", TABLE: "s-Rows" } },
    Role: SendRole.attributes.Arn,
    TracingConfig: { Mode: "Active" },
  });
  expect(find(template, "SendTick").properties).toEqual({
    ScheduleExpression: "rate(1 minute)",
    State: "ENABLED",
    Targets: [{ Id: "Tick", Arn: Send.attributes.Arn, Input: '{"a":1}' }],
  });
  expect(find(template, "SendUrlPublicPermissions").properties).toMatchObject({
    Action: "lambda:InvokeFunctionUrl",
    Principal: "*",
    FunctionUrlAuthType: "NONE",
  });
  expect(find(template, "SendURLInvokeAllowPublicAccess").properties).toMatchObject({
    Action: "lambda:InvokeFunction",
    Principal: "*",
    InvokedViaFunctionUrl: true,
  });
  expect(find(template, "SendTickPermission").properties).toEqual({
    Action: "lambda:InvokeFunction",
    FunctionName: "s-Send",
    Principal: "events.amazonaws.com",
    SourceArn: find(template, "SendTick").attributes.Arn,
  });
  expect(find(template, "SendChanges").properties).toEqual({
    EventSourceArn: "arn:stream",
    FunctionName: "s-Send",
    StartingPosition: "LATEST",
  });
  expect(find(template, "SendUrl").properties).toEqual({ AuthType: "NONE", TargetFunctionArn: "s-Send" });
  expect(find(template, "Inline").properties).toMatchObject({
    Code: { ZipFile: "exports.handler = 1" },
    Role: "arn:aws:iam::1:role/r",
  });
  expect(find(template, "Stored").properties.Code).toEqual({ S3Bucket: "files", S3Key: "code/a.zip" });
  expect(find(template, "Located").properties.Code).toEqual({ S3Bucket: "files", S3Key: "b.zip" });
  expect(find(template, "Rows").properties).toEqual({
    AttributeDefinitions: [{ AttributeName: "id", AttributeType: "S" }],
    KeySchema: [{ AttributeName: "id", KeyType: "HASH" }],
  });
  expect(find(template, "Named")).toMatchObject({
    ref: "named",
    properties: { AttributeDefinitions: [{ AttributeName: "at", AttributeType: "N" }] },
  });
});

it("grants what the policies of a function say", () => {
  const template = resolve();
  const policies = readRolePolicies(template).get("s-SendRole")!;
  const arn = (rest: string) => `arn:aws:${rest.replace("::", ":us-east-1:000000000000:")}`;
  const allows = (action: string, resource: string) => isAllowed(policies, { action, resource }).allowed;
  expect([
    allows("dynamodb:PutItem", arn("dynamodb::table/s-Rows")),
    allows("dynamodb:Query", arn("dynamodb::table/s-Rows/index/a")),
    allows("dynamodb:PutItem", arn("dynamodb::table/named")),
    allows("dynamodb:Scan", arn("dynamodb::table/s-Rows")),
    allows("lambda:InvokeFunction", arn("lambda::function:s-Inline")),
    allows("lambda:InvokeFunction", arn("lambda::function:s-Send")),
    allows("logs:PutLogEvents", arn("logs::log-group:a")),
    allows("ec2:CreateNetworkInterface", "*"),
    allows("xray:PutTraceSegments", "*"),
    allows("dynamodb:GetRecords", arn("dynamodb::table/named/stream/1")),
  ]).toEqual([true, true, false, false, true, false, true, true, true, true]);
});

it.each([
  [
    "an unknown policy template",
    "DynamoDBCrudPolicy:",
    "FooPolicy:",
    "The policy template `FooPolicy` is not known",
  ],
  [
    "a policy by condition",
    "- AWSLambdaVPC",
    "- !If [Never, a, b]\n        - AWSLambdaVPC",
    "`Fn::If` in `Policies` is not expanded here",
  ],
])("rejects %s", (_, part, replacement, message) => {
  expect(() => resolve(TEMPLATE.replace(part, replacement))).toThrow(
    expect.objectContaining({
      code: "TEMPLATE_UNSUPPORTED",
      message: expect.stringContaining(`t.yaml:15: Send: ${message}`),
    }),
  );
});

it("keeps `Globals` unknown in other templates", () => {
  const text = TEMPLATE.replace(/^Transform.*\n/, "");
  expect(() => resolve(text)).toThrow("Unknown section `Globals`");
});
