import { TemplateError } from "../errors.ts";
import { isMap, type Lines, type Value, type ValueList, type ValueMap } from "./parse-text.ts";
import { callOf } from "./references.ts";

/** The transform of SAM. */
export const SAM = "AWS::Serverless-2016-10-31";

/** A SAM policy template: the names of actions, separated by spaces, on resources whose only variable is a parameter. */
interface PolicyTemplate {
  readonly service: string;
  readonly actions: string;
  readonly resources: readonly string[];
}

const TABLE_READ = "GetItem Scan Query BatchGetItem DescribeTable";
const BUCKET_READ = "GetObject ListBucket GetBucketLocation GetObjectVersion GetLifecycleConfiguration";

/** https://github.com/aws/serverless-application-model/blob/develop/samtranslator/policy_templates_data/policy_templates.json */
const POLICY_TEMPLATES: ReadonlyMap<string, PolicyTemplate> = new Map([
  [
    "DynamoDBCrudPolicy",
    onTable(`${TABLE_READ} DeleteItem PutItem UpdateItem BatchWriteItem ConditionCheckItem`),
  ],
  ["DynamoDBReadPolicy", onTable(TABLE_READ)],
  ["DynamoDBWritePolicy", onTable("PutItem UpdateItem BatchWriteItem")],
  ["LambdaInvokePolicy", on("lambda", "InvokeFunction", "function:${FunctionName}*")],
  ["EventBridgePutEventsPolicy", on("events", "PutEvents", "event-bus/${EventBusName}")],
  ["SQSSendMessagePolicy", on("sqs", "SendMessage*", "${QueueName}")],
  ["SNSPublishMessagePolicy", on("sns", "Publish", "${TopicName}")],
  ["S3ReadPolicy", onBucket(BUCKET_READ)],
  ["S3CrudPolicy", onBucket(`${BUCKET_READ} PutObject PutObjectAcl PutLifecycleConfiguration DeleteObject`)],
]);

/** Properties of AWS::Serverless::Function that AWS::Lambda::Function has in the same form. */
const SAME =
  "Architectures DeadLetterConfig Description Environment EphemeralStorage FunctionName Handler KmsKeyArn Layers LoggingConfig MemorySize PackageType ReservedConcurrentExecutions Role Runtime SnapStart Timeout VpcConfig".split(
    " ",
  );

/**
 * Expands the functions and simple tables of a SAM template, with their roles, schedules, table streams and URLs. Other
 * resources of SAM, and other events of functions, keep a type of SAM, which no part of the emulator runs.
 * @param lines receives the lines of the new resources
 * @throws {TemplateError} TEMPLATE_INVALID, TEMPLATE_UNSUPPORTED
 */
export function expandSam({ Globals, ...template }: ValueMap, file: string, lines: Lines): ValueMap {
  const { Resources: written } = template;
  if (!isMap(written)) return template;
  const resources = new Map<string, Value>();
  for (const [id, resource] of Object.entries(written)) {
    const line = typeof resource === "object" ? lines.get(resource) : undefined;
    for (const [name, each] of expand(id, resource, line)) {
      if (line !== undefined && typeof each === "object") lines.set(each, line);
      resources.set(name, each);
    }
  }
  return { ...template, Resources: Object.fromEntries(resources) };

  function expand(id: string, resource: Value, line: number | undefined): [name: string, resource: Value][] {
    if (!isMap(resource)) return [[id, resource]];
    const { Type, Properties = {}, ...attributes } = resource;
    if (!isMap(Properties)) return [[id, resource]];
    const fail = (message: string) =>
      new TemplateError("TEMPLATE_UNSUPPORTED", message, { file, resource: id, line });
    if (Type === "AWS::Serverless::SimpleTable") {
      return [[id, { ...attributes, Type: "AWS::DynamoDB::Table", Properties: expandTable(Properties) }]];
    }
    if (Type !== "AWS::Serverless::Function") return [[id, resource]];
    const globals = isMap(Globals) && isMap(Globals.Function) ? Globals.Function : {};
    return expandFunction(id, merge(globals, Properties) as ValueMap, attributes, fail);
  }
}

function expandTable({ PrimaryKey, TableName, SSESpecification }: ValueMap): ValueMap {
  const { Name = "id", Type = "String" } = isMap(PrimaryKey) ? PrimaryKey : {};
  return {
    ...(TableName !== undefined && { TableName }),
    ...(SSESpecification !== undefined && { SSESpecification }),
    AttributeDefinitions: [{ AttributeName: Name, AttributeType: String(Type).charAt(0) }],
    KeySchema: [{ AttributeName: Name, KeyType: "HASH" }],
  };
}

type Fail = (message: string) => TemplateError;

function expandFunction(
  id: string,
  properties: ValueMap,
  attributes: ValueMap,
  fail: Fail,
): [name: string, resource: Value][] {
  const { CodeUri = ".", InlineCode, ImageUri, Role, Tracing, FunctionUrlConfig } = properties;
  const condition: ValueMap = attributes.Condition === undefined ? {} : { Condition: attributes.Condition };
  const same = Object.fromEntries(
    SAME.flatMap((name) => (name in properties ? [[name, properties[name]!]] : [])),
  );
  const { Metadata } = attributes;
  const [, bucket, key] = /^s3:\/\/([^/]+)\/(.+)$/.exec(String(CodeUri)) ?? [];
  let code: ValueMap = {};
  if (InlineCode !== undefined) code = { ZipFile: InlineCode };
  else if (ImageUri !== undefined) code = { ImageUri };
  else if (isMap(CodeUri)) code = { S3Bucket: CodeUri.Bucket ?? "", S3Key: CodeUri.Key ?? "" };
  else if (bucket !== undefined) code = { S3Bucket: bucket, S3Key: key! };
  const isLocal = Object.keys(code).length === 0;
  const events = Object.entries(isMap(properties.Events) ? properties.Events : {});
  const expanded = events.flatMap(([name, event]) => expandEvent(id, name, event));
  const result: [string, Value][] = [
    [
      id,
      {
        ...attributes,
        Metadata: { ...(isMap(Metadata) && Metadata), ...(isLocal && { "aws:asset:path": CodeUri }) },
        Type: "AWS::Lambda::Function",
        Properties: {
          ...same,
          Code: code,
          Role: Role ?? { "Fn::GetAtt": [`${id}Role`, "Arn"] },
          ...(Tracing !== undefined && { TracingConfig: { Mode: Tracing } }),
        },
      },
    ],
  ];
  if (Role === undefined) {
    const readsStream = events.some(([, event]) => isMap(event) && event.Type === "DynamoDB");
    const managed = [
      "AWSLambdaBasicExecutionRole",
      ...(Tracing === "Active" ? ["AWSXRayDaemonWriteAccess"] : []),
      ...(properties.VpcConfig === undefined ? [] : ["AWSLambdaVPCAccessExecutionRole"]),
      ...(readsStream ? ["AWSLambdaDynamoDBExecutionRole"] : []),
    ];
    const role = expandRole(id, managed, properties, fail);
    result.push([`${id}Role`, { ...condition, Type: "AWS::IAM::Role", Properties: role }]);
  }
  if (isMap(FunctionUrlConfig)) {
    const url = { ...FunctionUrlConfig, TargetFunctionArn: { Ref: id } };
    expanded.push([`${id}Url`, { Type: "AWS::Lambda::Url", Properties: url }]);
    if (FunctionUrlConfig.AuthType === "NONE") {
      const permit = (grant: ValueMap): ValueMap => ({
        Type: "AWS::Lambda::Permission",
        Properties: { ...grant, Principal: "*", FunctionName: { Ref: id } },
      });
      expanded.push(
        [
          `${id}UrlPublicPermissions`,
          permit({ Action: "lambda:InvokeFunctionUrl", FunctionUrlAuthType: "NONE" }),
        ],
        [
          `${id}URLInvokeAllowPublicAccess`,
          permit({ Action: "lambda:InvokeFunction", InvokedViaFunctionUrl: true }),
        ],
      );
    }
  }
  return [...result, ...expanded.map(([name, each]): [string, Value] => [name, { ...condition, ...each }])];
}

function expandRole(id: string, managed: readonly string[], properties: ValueMap, fail: Fail): ValueMap {
  const { Policies = [], PermissionsBoundary } = properties;
  const arns: Value[] = managed.map(toPolicyArn);
  const documents: Value[] = [];
  for (const policy of [Policies].flat() as ValueList) {
    if (typeof policy === "string") arns.push(toPolicyArn(policy));
    else if (!isMap(policy)) throw fail("A policy must be a name, an ARN, a document or a policy template");
    else if (policy.Statement !== undefined) documents.push(policy);
    else if (callOf(policy)?.name === "Fn::If") throw fail("`Fn::If` in `Policies` is not expanded here");
    else if (callOf(policy) !== undefined) arns.push(policy);
    else documents.push(expandPolicyTemplate(policy, fail));
  }
  return {
    ManagedPolicyArns: arns,
    Policies: documents.map((PolicyDocument, index) => ({
      PolicyName: `${id}RolePolicy${index}`,
      PolicyDocument,
    })),
    ...(PermissionsBoundary !== undefined && { PermissionsBoundary }),
  };
}

function toPolicyArn(name: string): string {
  if (name.startsWith("arn:")) return name;
  const path = /^AWSLambda\w*Role$/.test(name) ? "service-role/" : "";
  return `arn:aws:iam::aws:policy/${path}${name}`;
}

function expandPolicyTemplate(policy: ValueMap, fail: Fail): ValueMap {
  const [name = "", ...more] = Object.keys(policy);
  const template = POLICY_TEMPLATES.get(name);
  const parameters = policy[name];
  if (template === undefined || more.length > 0 || !isMap(parameters)) {
    const known = [...POLICY_TEMPLATES.keys()].join(", ");
    throw fail(`The policy template \`${name}\` is not known on this machine; known are ${known}`);
  }
  const { service, actions, resources } = template;
  return {
    Statement: [
      {
        Effect: "Allow",
        Action: actions.split(" ").map((action) => `${service}:${action}`),
        Resource: resources.map((text) => ({ "Fn::Sub": [text, parameters] })),
      },
    ],
  };
}

/** The name and the resource that an event of a function becomes. */
function expandEvent(id: string, name: string, event: Value): [name: string, resource: ValueMap][] {
  const { Type = "unknown", Properties = {} } = isMap(event) ? event : {};
  const properties = isMap(Properties) ? Properties : {};
  const target: ValueMap = { "Fn::GetAtt": [id, "Arn"] };
  if (Type === "DynamoDB") {
    const { Stream = "", ...source } = properties;
    const mapping = { ...source, EventSourceArn: Stream, FunctionName: { Ref: id } };
    return [[`${id}${name}`, { Type: "AWS::Lambda::EventSourceMapping", Properties: mapping }]];
  }
  if (Type === "Schedule" && properties.Schedule !== undefined) {
    const { Schedule, Input, Enabled = true, Name } = properties;
    const rule: ValueMap = {
      ScheduleExpression: Schedule,
      State: String(Enabled) === "false" ? "DISABLED" : "ENABLED",
      Targets: [{ Id: name, Arn: target, ...(Input !== undefined && { Input }) }],
      ...(Name !== undefined && { Name }),
    };
    const permission: ValueMap = {
      Action: "lambda:InvokeFunction",
      FunctionName: { Ref: id },
      Principal: "events.amazonaws.com",
      SourceArn: { "Fn::GetAtt": [`${id}${name}`, "Arn"] },
    };
    return [
      [`${id}${name}`, { Type: "AWS::Events::Rule", Properties: rule }],
      [`${id}${name}Permission`, { Type: "AWS::Lambda::Permission", Properties: permission }],
    ];
  }
  return [[`${id}${name}`, { Type: `AWS::Serverless::Function event ${String(Type)}`, Properties: {} }]];
}

/** Merges `Globals`, as SAM does: maps by key, lists one after the other, and else the function's own value. */
function merge(global: Value, own: Value): Value {
  if (Array.isArray(global) && Array.isArray(own)) return [...global, ...own];
  if (!isMap(global) || !isMap(own) || callOf(global) || callOf(own)) return own;
  const merged = Object.entries(own).map(([name, value]) => [
    name,
    Object.hasOwn(global, name) ? merge(global[name]!, value) : value,
  ]);
  return { ...global, ...Object.fromEntries(merged) };
}

function on(service: string, actions: string, ...names: readonly string[]): PolicyTemplate {
  const arn = `arn:\${AWS::Partition}:${service}:\${AWS::Region}:\${AWS::AccountId}:`;
  return { service, actions, resources: names.map((name) => arn + name) };
}

function onTable(actions: string): PolicyTemplate {
  return on("dynamodb", actions, "table/${TableName}", "table/${TableName}/index/*");
}

function onBucket(actions: string): PolicyTemplate {
  const arn = "arn:${AWS::Partition}:s3:::${BucketName}";
  return { service: "s3", actions, resources: [arn, `${arn}/*`] };
}
