import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TemplateError } from "../errors.ts";
import { localAttributes } from "./attributes.ts";
import { readTemplate } from "./read-template.ts";
import { type ResolveOptions, resolveTemplate } from "./resolve-template.ts";

const SECTIONS = `
Transform: AWS::LanguageExtensions
Parameters:
  Stage: { Type: String, Default: dev, AllowedValues: [dev, prod] }
  Size: { Type: Number, Default: 3, MinValue: 1, MaxValue: 9 }
  Subnets: { Type: CommaDelimitedList, Default: "a, b" }
  Code: { Type: String, NoEcho: true, Default: abcd, MinLength: 2, MaxLength: 6, AllowedPattern: "[a-z]+" }
  Version: { Type: "AWS::SSM::Parameter::Value<String>", Default: /cdk-bootstrap/version }
Conditions:
  IsProd: !Equals [!Ref Stage, prod]
  IsDev: !Not [!Condition IsProd]
  Always: !Or [!Condition IsProd, !Condition IsDev]
  Never: !And [!Condition IsProd, !Condition IsDev]
Mappings:
  Sizes: { dev: { memory: 128, zones: [x, y] }, prod: { memory: 512, zones: [z] } }
`;

function resolve(text: string, options: Partial<ResolveOptions> = {}) {
  return resolveTemplate(readTemplate(text, "t"), { stackName: "chat", region: "eu-west-1", ...options });
}

/** Returns the value of one property, written in YAML. */
function resolveValue(yaml: string, options?: Partial<ResolveOptions>): unknown {
  const others = "  T: { Type: 'AWS::SNS::Topic' }\n  Gone: { Type: 'AWS::SNS::Topic', Condition: Never }\n";
  const text = `${SECTIONS}\nResources:\n${others}  A:\n    Type: X\n    Properties:\n      P: ${yaml}\n`;
  return resolve(text, options).resources.find(({ logicalId }) => logicalId === "A")?.properties.P;
}

describe("a value", () => {
  it.each([
    ["!Ref Stage", "dev"],
    ["!Ref Size", "3"],
    ["!Ref Subnets", ["a", "b"]],
    ["!Ref T", "arn:aws:sns:eu-west-1:000000000000:chat-T"],
    ["!Ref AWS::Region", "eu-west-1"],
    ["!Ref AWS::AccountId", "000000000000"],
    ["!Ref AWS::Partition", "aws"],
    ["!Ref AWS::StackName", "chat"],
    ["!Ref AWS::URLSuffix", "amazonaws.com"],
    ["!Ref AWS::NotificationARNs", []],
    ["!Ref AWS::NoValue", undefined],
    ["[a, !Ref AWS::NoValue, b]", ["a", "b"]],
    ["{ a: !Ref AWS::NoValue, b: 1 }", { b: 1 }],
    ["!GetAtt T.TopicName", "chat-T"],
    ["{ Fn::GetAtt: [T, TopicName] }", "chat-T"],
    ["!Sub '${Stage}/${T.TopicName}/${AWS::Region}/${!Literal}/$x'", "dev/chat-T/eu-west-1/${Literal}/$x"],
    ["!Sub ['${a_b}-${Stage}', { a_b: !Ref Size, Stage: own }]", "3-own"],
    ["!Join ['-', [a, 1, true, !Ref Stage]]", "a-1-true-dev"],
    ["!Join ['-', !Ref Subnets]", "a-b"],
    ["!Select [1, [a, b]]", "b"],
    ["!Select ['0', !Split ['.', a.b]]", "a"],
    ["!Split [',', 'a,,b']", ["a", "", "b"]],
    ["!If [IsProd, big, small]", "small"],
    ["!If [IsDev, { a: !Ref Stage }, !Ref Gone]", { a: "dev" }],
    ["!If [Never, a, !Ref AWS::NoValue]", undefined],
    ["!FindInMap [Sizes, !Ref Stage, memory]", 128],
    ["!FindInMap [Sizes, dev, zones]", ["x", "y"]],
    ["!FindInMap [Sizes, none, memory, { DefaultValue: !Ref Size }]", "3"],
    ["!Base64 { Fn::Sub: '${Stage}' }", "ZGV2"],
    ["!GetAZs ''", ["eu-west-1a", "eu-west-1b", "eu-west-1c"]],
    ["!ImportValue { Fn::Sub: '${Stage}-vpc' }", "vpc-1"],
    ["!Length [!Ref Subnets, b]", 2],
    ["!ToJsonString { a: [!Ref Stage], b: 1 }", '{"a":["dev"],"b":1}'],
    ["{ Condition: { Bool: a } }", { Condition: { Bool: "a" } }],
  ])("is resolved: %s", (yaml, expected) => {
    expect(resolveValue(yaml, { imports: { "dev-vpc": "vpc-1" } })).toEqual(expected);
  });

  it("takes given parameters before the defaults", () => {
    const parameters = { Stage: "prod", Subnets: "c,d,e", Version: "21" };
    expect(
      resolveValue("[!Ref Stage, !Ref Subnets, !Ref Version, !If [IsProd, 1, 2]]", { parameters }),
    ).toEqual(["prod", ["c", "d", "e"], "21", 1]);
  });

  it.each([
    ["!Foo a", "TEMPLATE_UNSUPPORTED", "Unknown function `Fn::Foo`; expected one of Ref, "],
    ["!Cidr [a, 1, 2]", "TEMPLATE_UNSUPPORTED", "`Fn::Cidr` is not supported on this machine"],
    ["{ Fn::ForEach::X: [] }", "TEMPLATE_UNSUPPORTED", "`Fn::ForEach::X` is not supported"],
    ["!Equals [a, a]", "TEMPLATE_INVALID", "`Fn::Equals` belongs in `Conditions`"],
    ["{ Fn::Sub: a, b: c }", "TEMPLATE_INVALID", "`Fn::Sub` must be the only key"],
    ["!Ref B", "TEMPLATE_REFERENCE", "`Ref` of `B`, which is not in the template"],
    ["!If [Never, !Ref B, a]", "TEMPLATE_REFERENCE", "`Ref` of `B`, which is not in the template"],
    ["!Sub '${B.Arn}'", "TEMPLATE_REFERENCE", "`Fn::GetAtt` of `B`, which is not in the template"],
    ["!GetAtt Stage.Arn", "TEMPLATE_REFERENCE", "`Fn::GetAtt` of `Stage`, which is not in the template"],
    ["!Ref Gone", "TEMPLATE_REFERENCE", "`Ref` of `Gone`, which does not exist: its condition is false"],
    [
      "!GetAtt T.Arn",
      "TEMPLATE_REFERENCE",
      "`T` of the type AWS::SNS::Topic has no attribute `Arn`; its attributes are TopicArn, TopicName",
    ],
    ["!GetAtt T", "TEMPLATE_INVALID", "`Fn::GetAtt` takes a logical ID and the name of an attribute"],
    ["!ImportValue none", "TEMPLATE_REFERENCE", "No value is given for the import `none`"],
    ["!If [None, a, b]", "TEMPLATE_REFERENCE", "There is no condition `None`"],
    ["!If [IsDev, a]", "TEMPLATE_INVALID", "`Fn::If` takes a condition and two values"],
    ["!FindInMap [Sizes, dev]", "TEMPLATE_INVALID", "`Fn::FindInMap` takes a mapping, a key and a key of"],
    [
      "!FindInMap [Sizes, dev, memory, 1]",
      "TEMPLATE_INVALID",
      "`Fn::FindInMap` takes a mapping, a key and a key",
    ],
    ["!FindInMap [Sizes, dev, memory, { Else: 1 }]", "TEMPLATE_INVALID", "`Fn::FindInMap` takes a mapping"],
    [
      "!FindInMap [Sizes, dev, memory, { DefaultValue: 1 }, 2]",
      "TEMPLATE_INVALID",
      "`Fn::FindInMap` takes a mapping",
    ],
    ["!FindInMap Sizes", "TEMPLATE_INVALID", "`Fn::FindInMap` takes a mapping, a key and a key of"],
    ["!Split ['', a]", "TEMPLATE_INVALID", "The delimiter of `Fn::Split` must not be empty"],
    ["!ToJsonString { Ref: AWS::NoValue }", "TEMPLATE_INVALID", "`Fn::ToJsonString` has no value"],
    ["!FindInMap [Sizes, dev, none]", "TEMPLATE_REFERENCE", "`Mappings` has no value at Sizes.dev.none"],
    ["!FindInMap [Sizes, constructor, name]", "TEMPLATE_REFERENCE", "`Mappings` has no value at"],
    ["!Select [2, [a, b]]", "TEMPLATE_INVALID", "`Fn::Select` has no item 2; the list has 2 items"],
    ["!Join [',', a]", "TEMPLATE_INVALID", "The list of `Fn::Join` must be a list"],
    ["!Join [',', [[a]]]", "TEMPLATE_INVALID", "An item of `Fn::Join` must be a text"],
    [
      "!Sub '${a b}'",
      "TEMPLATE_INVALID",
      "Variables of `Fn::Sub` have letters, digits, `_`, `.` and `:` only",
    ],
    ["!Sub '${Subnets}'", "TEMPLATE_INVALID", "`${Subnets}` of `Fn::Sub` must be a text"],
    [
      "!Ref Version",
      "TEMPLATE_PARAMETER",
      "The parameter `Version` needs a value: its default is the name of an SSM",
    ],
  ])("is rejected: %s", (yaml, code, message) => {
    expect(() => resolveValue(yaml)).toThrow(`t:23: A: ${message}`);
    expect(errorOf(() => resolveValue(yaml))).toMatchObject({ code, resource: "A", line: 23 });
  });

  it("bounds the length of texts that double with each resource", () => {
    const names = Array.from({ length: 40 }, (_, index) => `R${index}`);
    const resources = names.map((id, index) => {
      const name = index === 0 ? "ab" : `!Join ['', [!Ref R${index - 1}, !Ref R${index - 1}]]`;
      return `  ${id}: { Type: 'AWS::S3::Bucket', Properties: { BucketName: ${name} } }`;
    });
    expect(() => resolve(`Resources:\n${resources.join("\n")}`)).toThrow("is longer than 1048576 characters");
  });
});

it.each([
  [{ Stage: "test" }, "t:4: Parameters.Stage: The value must be one of dev, prod"],
  [{ Size: "ten" }, "t:5: Parameters.Size: The value must be a number"],
  [{ Size: " " }, "t:5: Parameters.Size: The value must be a number"],
  [{ Size: "0" }, "t:5: Parameters.Size: The value must be at least 1"],
  [{ Code: "abcdefg" }, "t:7: Parameters.Code: The value must be at most 6 characters"],
  [{ Size: "10" }, "t:5: Parameters.Size: The value must be at most 9"],
  [{ Code: "a" }, "t:7: Parameters.Code: The value must be at least 2 characters"],
  [{ Code: "secret7" }, "t:7: Parameters.Code: The value must match [a-z]+"],
  [{ None: "a" }, "t: The template has no parameter `None`; its parameters are Stage, Size, "],
])("rejects the parameters %j without their values", (parameters, message) => {
  const error = errorOf(() => resolveValue("a", { parameters }));
  expect(error.code).toBe("TEMPLATE_PARAMETER");
  expect(error.message).toContain(message);
  expect(error.message).not.toContain("secret7");
});

it("takes parameters at their limits", () => {
  for (const parameters of [
    { Size: "1", Code: "ab" },
    { Size: "9", Code: "abcdef" },
  ]) {
    expect(resolveValue("[!Ref Size, !Ref Code]", { parameters })).toEqual([
      parameters.Size,
      parameters.Code,
    ]);
  }
});

it("needs a value for a parameter without a default", () => {
  const text = "Parameters:\n  P: { Type: String }\nResources:\n  A: { Type: X }";
  expect(() => resolve(text)).toThrow("t:2: Parameters.P: The parameter has no default and needs a value");
  expect(() => resolve(text.replace("String", "Text"))).toThrow("t:2: Parameters.P: `Type` must be the type");
});

describe("resources", () => {
  const text = `
Conditions:
  No: !Equals [a, b]
Resources:
  Function:
    Type: AWS::Lambda::Function
    DeletionPolicy: Retain
    DependsOn: [Policy, Hidden]
    Metadata: { "aws:asset:path": asset.1 }
    Properties: { Role: !GetAtt Role.Arn, Url: !Sub "x\${Custom.Value}" }
  Hidden: { Type: 'AWS::SNS::Topic', Condition: No }
  Policy: { Type: 'AWS::IAM::Policy', Properties: { Roles: [!Ref Role] } }
  Role: { Type: 'AWS::IAM::Role' }
  Custom: { Type: 'Custom::Thing' }
Outputs:
  Name: { Value: !Ref Function, Export: { Name: !Sub '\${AWS::StackName}-f' } }
  Hidden: { Value: !Ref Hidden, Condition: No }
`;

  it("follow those that they depend on, without those whose condition is false", () => {
    const { resources } = resolve(text);
    expect(resources.map(({ logicalId, dependsOn }) => [logicalId, dependsOn])).toEqual([
      ["Role", []],
      ["Policy", ["Role"]],
      ["Custom", []],
      ["Function", ["Policy", "Role", "Custom"]],
    ]);
  });

  it("have their properties, references and line", () => {
    const { resources, outputs } = resolve(text);
    expect(resources.at(-1)).toEqual({
      logicalId: "Function",
      type: "AWS::Lambda::Function",
      properties: { Role: "arn:aws:iam::000000000000:role/chat-Role", Url: "xnot-run:Custom.Value" },
      dependsOn: ["Policy", "Role", "Custom"],
      metadata: { "aws:asset:path": "asset.1" },
      deletionPolicy: "Retain",
      line: 5,
      ref: "chat-Function",
      attributes: { Arn: "arn:aws:lambda:eu-west-1:000000000000:function:chat-Function" },
      known: true,
    });
    expect(resources.find(({ logicalId }) => logicalId === "Custom")).toMatchObject({
      ref: "not-run:Custom",
      known: false,
    });
    expect([...outputs]).toEqual([["Name", { value: "chat-Function", exportName: "chat-f" }]]);
  });

  it("take their references from `attributesOf`", () => {
    const { resources } = resolve(text, {
      attributesOf: (type, ...rest) =>
        type === "Custom::Thing" ? { ref: "c", attributes: { Value: "v" } } : localAttributes(type, ...rest),
    });
    expect(resources.at(-1)?.properties.Url).toBe("xv");
  });

  it.each([
    [
      "  A: { Type: X, Properties: { P: !Ref B } }\n  B: { Type: X, DependsOn: A }",
      "TEMPLATE_CYCLE",
      "t:2: A: Resources depend on each other: A → B → A",
    ],
    ["  A: { Type: X, DependsOn: A }", "TEMPLATE_CYCLE", "t:2: A: Resources depend on each other: A → A"],
    [
      "  A: { Type: X, DependsOn: B }",
      "TEMPLATE_REFERENCE",
      "t:2: A: `DependsOn` names `B`, which is not in",
    ],
    ["  A: { Type: X, Condition: C }", "TEMPLATE_REFERENCE", "t:2: A: There is no condition `C`"],
    [
      "  A: { Type: X }\nConditions:\n  C: !Not [!Condition D]\n  D: !Not [!Condition C]",
      "TEMPLATE_CYCLE",
      "t:4: Conditions.C: Conditions depend on each other: C → D → C",
    ],
    [
      "  A: { Type: X }\nConditions:\n  C: !Equals [a]",
      "TEMPLATE_INVALID",
      "t:4: Conditions.C: `Fn::Equals` takes 2 values",
    ],
    ...["!Or [!Condition D]", `!And [${"!Condition D, ".repeat(11)}]`].map((condition) => [
      `  A: { Type: X }\nConditions:\n  D: !Equals [a, a]\n  C: ${condition}`,
      "TEMPLATE_INVALID",
      "` takes 2 to 10 values",
    ]),
    [
      "  A: { Type: X, Properties: { 'Fn::If': [C, !Ref 'AWS::NoValue', {}] } }\nConditions:\n  C: !Equals [a, a]",
      "TEMPLATE_INVALID",
      "t:2: A: `Properties` must be a map",
    ],
    ...["{ Condition: D, Other: x }", "{ 'Fn::Equals': [a, a], Other: x }", "[a]"].map((condition) => [
      `  A: { Type: X }\nConditions:\n  D: !Equals [a, a]\n  C: !Not [${condition}]`,
      "TEMPLATE_INVALID",
      "t:5: Conditions.C: A condition must be `Condition`, `Fn::Equals`",
    ]),
    [
      "  A: { Type: X }\nConditions:\n  C: !Equals [!Ref A, a]",
      "TEMPLATE_REFERENCE",
      "t:4: Conditions.C: `Ref` of `A`",
    ],
    [
      "  A: { Type: X }\nOutputs:\n  O: { Value: !Ref B }",
      "TEMPLATE_REFERENCE",
      "t:4: Outputs.O: `Ref` of `B`",
    ],
    [
      "  A: { Type: X }\nOutputs:\n  O: { Value: [a] }",
      "TEMPLATE_INVALID",
      "t:4: Outputs.O: `Value` must be a text",
    ],
    [
      "  A: { Type: X, Properties: { P: !Length [] } }",
      "TEMPLATE_INVALID",
      "t:2: A: `Fn::Length` needs `Transform: AWS::LanguageExtensions`",
    ],
  ])("are rejected: %s", (resources, code, message) => {
    const error = errorOf(() => resolve(`Resources:\n${resources}`));
    expect(error.message).toContain(message);
    expect(error.code).toBe(code);
  });
});

describe("references", () => {
  const stack = {
    name: "chat",
    id: "i",
    region: "eu-west-1",
    accountId: "000000000000",
    partition: "aws",
  } as const;
  const ACCOUNT = "eu-west-1:000000000000";

  it.each([
    ["DynamoDB::Table", {}, "chat-Id", { Arn: `arn:aws:dynamodb:${ACCOUNT}:table/chat-Id` }],
    [
      "DynamoDB::Table",
      { TableName: "t", StreamSpecification: {} },
      "t",
      { StreamArn: `arn:aws:dynamodb:${ACCOUNT}:table/t/stream/2024-01-01T00:00:00.000` },
    ],
    ["Lambda::Alias", { FunctionName: "f", Name: "live" }, `arn:aws:lambda:${ACCOUNT}:function:f:live`, {}],
    ["Lambda::Version", { FunctionName: "arn:f" }, "arn:f:1", { Version: "1" }],
    ["Lambda::LayerVersion", {}, `arn:aws:lambda:${ACCOUNT}:layer:chat-Id:1`, {}],
    ["IAM::Role", { Path: "/a/" }, "chat-Id", { Arn: "arn:aws:iam::000000000000:role/a/chat-Id" }],
    ["IAM::ManagedPolicy", {}, "arn:aws:iam::000000000000:policy/chat-Id", {}],
    ["ApiGatewayV2::Stage", { StageName: "prod" }, "prod", {}],
    ["S3::Bucket", {}, "chat-id", { Arn: "arn:aws:s3:::chat-id", DomainName: "chat-id.s3.amazonaws.com" }],
    [
      "SQS::Queue",
      { FifoQueue: true },
      "https://sqs.eu-west-1.amazonaws.com/000000000000/chat-Id.fifo",
      { QueueName: "chat-Id.fifo" },
    ],
    ["SNS::Topic", { TopicName: "t" }, `arn:aws:sns:${ACCOUNT}:t`, { TopicName: "t" }],
    ["Logs::LogGroup", { LogGroupName: "/a" }, "/a", { Arn: `arn:aws:logs:${ACCOUNT}:log-group:/a:*` }],
    [
      "Events::Rule",
      { EventBusName: "bus" },
      "bus|chat-Id",
      { Arn: `arn:aws:events:${ACCOUNT}:rule/bus/chat-Id` },
    ],
    ["Scheduler::Schedule", {}, "chat-Id", { Arn: `arn:aws:scheduler:${ACCOUNT}:schedule/default/chat-Id` }],
    ["Lambda::Url", { TargetFunctionArn: "arn:f" }, "arn:f", { FunctionArn: "arn:f" }],
    ["CloudWatch::Alarm", {}, "chat-Id", { Arn: `arn:aws:cloudwatch:${ACCOUNT}:alarm:chat-Id` }],
    ["KMS::Alias", { AliasName: "alias/a" }, "alias/a", {}],
    [
      "ApiGatewayV2::DomainName",
      { DomainName: "ws.example.com" },
      "ws.example.com",
      { DomainNameArn: "arn:aws:apigateway:eu-west-1::/domainnames/ws.example.com" },
    ],
    ["SSM::Parameter", { Name: "/a", Type: "String", Value: "v" }, "/a", { Type: "String", Value: "v" }],
  ])("of AWS::%s %j have the service's form", (type, properties, ref, attributes) => {
    const found = localAttributes(`AWS::${type}`, "Id", properties, stack);
    expect(found).toMatchObject({ ref, attributes });
  });

  it("have the attributes that the service documents, for each type", () => {
    const ids = [
      "ApiMapping",
      "Authorizer",
      "Deployment",
      "Integration",
      "IntegrationResponse",
      "Model",
      "Route",
    ];
    const expected: { readonly [type: string]: readonly string[] } = {
      ...Object.fromEntries(
        [...ids, "RouteResponse"].map((type) => [`ApiGatewayV2::${type}`, [`${type}Id`]]),
      ),
      "ApiGatewayV2::Api": ["ApiId", "ApiEndpoint"],
      "ApiGatewayV2::DomainName": [
        "DomainName",
        "DomainNameArn",
        "RegionalDomainName",
        "RegionalHostedZoneId",
      ],
      "ApiGatewayV2::Stage": [],
      "CDK::Metadata": [],
      "CloudWatch::Alarm": ["Arn"],
      "CloudWatch::Dashboard": [],
      "DynamoDB::GlobalTable": ["Arn", "TableId"],
      "DynamoDB::Table": ["Arn", "TableId"],
      "Events::Rule": ["Arn"],
      "IAM::ManagedPolicy": ["PolicyArn", "PolicyId"],
      "IAM::Policy": ["Id"],
      "IAM::Role": ["Arn", "RoleId"],
      "IAM::RolePolicy": [],
      "KMS::Alias": [],
      "KMS::Key": ["Arn", "KeyId"],
      "Lambda::Alias": ["AliasArn"],
      "Lambda::EventInvokeConfig": [],
      "Lambda::EventSourceMapping": ["EventSourceMappingArn", "Id"],
      "Lambda::Function": ["Arn"],
      "Lambda::LayerVersion": ["LayerVersionArn"],
      "Lambda::Permission": ["Id"],
      "Lambda::Url": ["FunctionArn", "FunctionUrl"],
      "Lambda::Version": ["FunctionArn", "Version"],
      "Logs::LogGroup": ["Arn"],
      "S3::Bucket": ["Arn", "DomainName", "DualStackDomainName", "RegionalDomainName", "WebsiteURL"],
      "SNS::Topic": ["TopicArn", "TopicName"],
      "SQS::Queue": ["Arn", "QueueName", "QueueUrl"],
      "SSM::Parameter": ["Type", "Value"],
      "Scheduler::Schedule": ["Arn"],
      "SecretsManager::Secret": ["Id"],
    };
    const found = Object.keys(expected).map((type) => {
      const attributes = localAttributes(`AWS::${type}`, "Id", {}, stack)?.attributes;
      return [type, attributes && Object.keys(attributes)];
    });
    expect(Object.fromEntries(found)).toEqual(expected);
  });

  it("of an API are an ID of ten letters and digits, and its endpoint", () => {
    const api = localAttributes("AWS::ApiGatewayV2::Api", "Id", { ProtocolType: "WEBSOCKET" }, stack);
    expect(api?.ref).toMatch(/^[a-z0-9]{10}$/);
    expect(api?.attributes.ApiEndpoint).toBe(`wss://${api?.ref}.execute-api.eu-west-1.amazonaws.com`);
    expect(localAttributes("AWS::ApiGatewayV2::Api", "Other", {}, stack)?.ref).not.toBe(api?.ref);
  });

  it("of a secret end with six characters of its own", () => {
    const secret = localAttributes("AWS::SecretsManager::Secret", "Id", { Name: "a" }, stack);
    expect(secret?.ref).toMatch(/^arn:aws:secretsmanager:eu-west-1:000000000000:secret:a-[a-z0-9]{6}$/);
    expect(secret?.attributes.Id).toBe(secret?.ref);
  });

  it("of a key are a UUID", () => {
    const key = localAttributes("AWS::KMS::Key", "Id", {}, stack);
    expect(key?.ref).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(key?.attributes.Arn).toBe(`arn:aws:kms:eu-west-1:000000000000:key/${key?.ref}`);
  });

  it("of long names fit the service's limit and stay apart", () => {
    const name = (id: string) => localAttributes("AWS::Lambda::Function", id, {}, stack)?.ref ?? "";
    expect(name("F".repeat(59))).toBe(`chat-${"F".repeat(59)}`);
    expect(name("F".repeat(60))).toMatch(/^chat-F{50}-[0-9a-f]{8}$/);
    expect(name(`${"F".repeat(60)}1`)).not.toBe(name(`${"F".repeat(60)}2`));
  });
});

it("throws nothing but template errors for any tree of functions", () => {
  const names = fc.constantFrom("A", "B", "P", "C", "M", "AWS::Region", "AWS::NoValue", "Arn", "__proto__");
  const functions = fc.constantFrom(
    ...["Base64", "Cidr", "FindInMap", "GetAtt", "GetAZs", "If", "ImportValue", "Join", "Length", "Nope"],
    ...["Select", "Split", "Sub", "ToJsonString", "Equals", "And"],
  );
  const keys = fc.oneof(
    functions.map((name) => `Fn::${name}`),
    fc.constantFrom("Ref", "Condition", "x"),
  );
  const leaf = fc.oneof(
    names,
    fc.integer({ min: -1, max: 3 }),
    fc.boolean(),
    fc.constantFrom("${A}", "${P.Arn}", "${", "a,b"),
  );
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { maxDepth: 6, withCrossShrink: true },
      leaf,
      fc.array(tie("tree"), { maxLength: 4 }),
      fc.dictionary(keys, tie("tree"), { minKeys: 1, maxKeys: 1 }),
      fc.dictionary(keys, tie("tree"), { maxKeys: 3 }),
    ),
  }));
  let resolved = 0;
  fc.assert(
    fc.property(tree, tree, tree, fc.boolean(), (one, other, condition, extensions) => {
      const template = {
        ...(extensions && { Transform: "AWS::LanguageExtensions" }),
        Parameters: { P: { Type: "String", Default: "p" } },
        Conditions: { C: { "Fn::Equals": [condition, "P"] } },
        Mappings: { M: { A: { B: "c" } } },
        Resources: {
          A: { Type: "AWS::S3::Bucket", Properties: { BucketName: one } },
          B: { Type: "AWS::SQS::Queue", Properties: { QueueName: other } },
        },
        Outputs: { O: { Value: other } },
      };
      try {
        resolve(JSON.stringify(template));
        resolved++;
      } catch (error) {
        if (!(error instanceof TemplateError)) throw error;
      }
    }),
    { numRuns: 1_000 },
  );
  expect(resolved).toBeGreaterThan(50);
});

function errorOf(run: () => unknown): TemplateError {
  try {
    run();
  } catch (error) {
    return error as TemplateError;
  }
  throw new Error("It did not throw");
}
