import { idOf, nameOf, uuidOf } from "./names.ts";
import type { Stack } from "./parameters.ts";
import type { Value, ValueMap } from "./parse-text.ts";

/** The values of `Ref` and `Fn::GetAtt` for a resource. */
export interface ResourceAttributes {
  readonly ref: string;
  readonly attributes: { readonly [name: string]: string };
}

/**
 * Returns the values of a resource's references.
 * @returns `undefined` for a type that it does not know
 */
export type AttributesOf = (
  type: string,
  logicalId: string,
  properties: ValueMap,
  stack: Stack,
) => ResourceAttributes | undefined;

/** A resource of a known type. */
class Resource {
  readonly id: string;
  readonly properties: ValueMap;
  readonly stack: Stack;

  constructor(id: string, properties: ValueMap, stack: Stack) {
    this.id = id;
    this.properties = properties;
    this.stack = stack;
  }

  /** Returns a property if it is a text, a number or a boolean. */
  text(property: string): string | undefined {
    const value: Value | undefined = Object.hasOwn(this.properties, property)
      ? this.properties[property]
      : undefined;
    return value === undefined || typeof value === "object" ? undefined : String(value);
  }

  /** Returns the explicit name, or one from the stack and the logical ID. */
  name(property: string, maxLength: number): string {
    return this.text(property) ?? nameOf(this.stack, this.id, maxLength);
  }

  /** An ID as the service would make one, the same each time. */
  get generatedId(): string {
    return idOf(this.stack, this.id);
  }

  get uuid(): string {
    return uuidOf(`${this.stack.name}/${this.id}`);
  }

  arn(service: string, rest: string): string {
    const { partition, region, accountId } = this.stack;
    return `arn:${partition}:${service}:${region}:${accountId}:${rest}`;
  }

  /** The ARN of a function that a property names by name or by ARN. */
  functionArn(property: string): string {
    const name = this.text(property) ?? "";
    return name.startsWith("arn:") ? name : this.arn("lambda", `function:${name}`);
  }
}

type Describe = (resource: Resource) => ResourceAttributes;

/** Describes a resource whose `Ref` is an ID, which one attribute has too. */
const withId =
  (attribute: string): Describe =>
  ({ generatedId }) => ({ ref: generatedId, attributes: { [attribute]: generatedId } });

const describeTable: Describe = (it) => {
  const name = it.name("TableName", 255);
  const arn = it.arn("dynamodb", `table/${name}`);
  const streams = Object.hasOwn(it.properties, "StreamSpecification");
  const stream = streams ? { StreamArn: `${arn}/stream/2024-01-01T00:00:00.000` } : {};
  return { ref: name, attributes: { Arn: arn, TableId: it.uuid, ...stream } };
};

const TYPES: ReadonlyMap<string, Describe> = new Map<string, Describe>([
  ["AWS::ApiGatewayV2::Api", describeApi],
  ["AWS::ApiGatewayV2::ApiMapping", withId("ApiMappingId")],
  ["AWS::ApiGatewayV2::Authorizer", withId("AuthorizerId")],
  ["AWS::ApiGatewayV2::Deployment", withId("DeploymentId")],
  ["AWS::ApiGatewayV2::DomainName", describeDomainName],
  ["AWS::ApiGatewayV2::Integration", withId("IntegrationId")],
  ["AWS::ApiGatewayV2::IntegrationResponse", withId("IntegrationResponseId")],
  ["AWS::ApiGatewayV2::Model", withId("ModelId")],
  ["AWS::ApiGatewayV2::Route", withId("RouteId")],
  ["AWS::ApiGatewayV2::RouteResponse", withId("RouteResponseId")],
  ["AWS::ApiGatewayV2::Stage", (it) => ({ ref: it.text("StageName") ?? "$default", attributes: {} })],
  ["AWS::CDK::Metadata", (it) => ({ ref: it.generatedId, attributes: {} })],
  [
    "AWS::CloudWatch::Alarm",
    (it) => named(it, "AlarmName", 255, (name) => it.arn("cloudwatch", `alarm:${name}`)),
  ],
  ["AWS::CloudWatch::Dashboard", (it) => ({ ref: it.name("DashboardName", 255), attributes: {} })],
  ["AWS::DynamoDB::GlobalTable", describeTable],
  ["AWS::DynamoDB::Table", describeTable],
  [
    "AWS::Events::EventBus",
    (it) => {
      const name = it.name("Name", 256);
      return { ref: name, attributes: { Arn: it.arn("events", `event-bus/${name}`), Name: name } };
    },
  ],
  ["AWS::Events::Rule", describeRule],
  ["AWS::IAM::ManagedPolicy", describeManagedPolicy],
  ["AWS::IAM::Policy", (it) => ({ ref: it.name("PolicyName", 128), attributes: { Id: it.generatedId } })],
  ["AWS::IAM::Role", describeRole],
  ["AWS::IAM::RolePolicy", (it) => ({ ref: it.name("PolicyName", 128), attributes: {} })],
  ["AWS::KMS::Alias", (it) => ({ ref: it.text("AliasName") ?? "", attributes: {} })],
  [
    "AWS::KMS::Key",
    (it) => ({ ref: it.uuid, attributes: { Arn: it.arn("kms", `key/${it.uuid}`), KeyId: it.uuid } }),
  ],
  ["AWS::Lambda::Alias", describeAlias],
  ["AWS::Lambda::EventInvokeConfig", (it) => ({ ref: it.generatedId, attributes: {} })],
  ["AWS::Lambda::EventSourceMapping", describeEventSource],
  [
    "AWS::Lambda::Function",
    (it) => named(it, "FunctionName", 64, (name) => it.arn("lambda", `function:${name}`)),
  ],
  ["AWS::Lambda::LayerVersion", describeLayer],
  ["AWS::Lambda::Permission", withId("Id")],
  ["AWS::Lambda::Url", describeFunctionUrl],
  ["AWS::Lambda::Version", describeVersion],
  [
    "AWS::Logs::LogGroup",
    (it) => named(it, "LogGroupName", 512, (name) => it.arn("logs", `log-group:${name}:*`)),
  ],
  ["AWS::S3::Bucket", describeBucket],
  ["AWS::SNS::Topic", describeTopic],
  ["AWS::SQS::Queue", describeQueue],
  ["AWS::SSM::Parameter", describeSsmParameter],
  ["AWS::Scheduler::Schedule", describeSchedule],
  ["AWS::SecretsManager::Secret", describeSecret],
]);

/**
 * Returns the references of the resource types that run on this machine, in the service's form. Names that a template does
 * not give are `<stack>-<logicalId>`, the same each time.
 */
export const localAttributes: AttributesOf = (type, logicalId, properties, stack) =>
  TYPES.get(type)?.(new Resource(logicalId, properties, stack));

function named(
  it: Resource,
  property: string,
  maxLength: number,
  arnOf: (name: string) => string,
): ResourceAttributes {
  const name = it.name(property, maxLength);
  return { ref: name, attributes: { Arn: arnOf(name) } };
}

function describeApi(it: Resource): ResourceAttributes {
  const id = it.generatedId;
  const scheme = it.text("ProtocolType") === "HTTP" ? "https" : "wss";
  const endpoint = `${scheme}://${id}.execute-api.${it.stack.region}.amazonaws.com`;
  return { ref: id, attributes: { ApiId: id, ApiEndpoint: endpoint } };
}

function describeDomainName(it: Resource): ResourceAttributes {
  const name = it.text("DomainName") ?? "";
  const { region, partition } = it.stack;
  const attributes = {
    DomainName: name,
    DomainNameArn: `arn:${partition}:apigateway:${region}::/domainnames/${name}`,
    RegionalDomainName: `d-${it.generatedId}.execute-api.${region}.amazonaws.com`,
    RegionalHostedZoneId: "Z00000000000000000000",
  };
  return { ref: name, attributes };
}

function describeRule(it: Resource): ResourceAttributes {
  const name = it.name("Name", 64);
  const bus = it.text("EventBusName")?.split("/").at(-1) ?? "default";
  const path = bus === "default" ? name : `${bus}/${name}`;
  return { ref: path.replace("/", "|"), attributes: { Arn: it.arn("events", `rule/${path}`) } };
}

function describeSchedule(it: Resource): ResourceAttributes {
  const name = it.name("Name", 64);
  return {
    ref: name,
    attributes: { Arn: it.arn("scheduler", `schedule/${it.text("GroupName") ?? "default"}/${name}`) },
  };
}

function describeRole(it: Resource): ResourceAttributes {
  const { partition, accountId } = it.stack;
  const name = it.name("RoleName", 64);
  const arn = `arn:${partition}:iam::${accountId}:role${it.text("Path") ?? "/"}${name}`;
  return { ref: name, attributes: { Arn: arn, RoleId: `AROA${it.generatedId.toUpperCase()}` } };
}

function describeManagedPolicy(it: Resource): ResourceAttributes {
  const { partition, accountId } = it.stack;
  const name = it.name("ManagedPolicyName", 128);
  const arn = `arn:${partition}:iam::${accountId}:policy${it.text("Path") ?? "/"}${name}`;
  return { ref: arn, attributes: { PolicyArn: arn, PolicyId: `ANPA${it.generatedId.toUpperCase()}` } };
}

function describeAlias(it: Resource): ResourceAttributes {
  const arn = `${it.functionArn("FunctionName")}:${it.text("Name") ?? ""}`;
  return { ref: arn, attributes: { AliasArn: arn } };
}

function describeVersion(it: Resource): ResourceAttributes {
  const arn = `${it.functionArn("FunctionName")}:1`;
  return { ref: arn, attributes: { FunctionArn: arn, Version: "1" } };
}

function describeFunctionUrl(it: Resource): ResourceAttributes {
  const arn = it.functionArn("TargetFunctionArn");
  const url = `https://${it.generatedId}.lambda-url.${it.stack.region}.on.aws/`;
  return { ref: arn, attributes: { FunctionArn: arn, FunctionUrl: url } };
}

function describeLayer(it: Resource): ResourceAttributes {
  const arn = it.arn("lambda", `layer:${it.name("LayerName", 64)}:1`);
  return { ref: arn, attributes: { LayerVersionArn: arn } };
}

function describeEventSource(it: Resource): ResourceAttributes {
  const arn = it.arn("lambda", `event-source-mapping:${it.uuid}`);
  return { ref: it.uuid, attributes: { EventSourceMappingArn: arn, Id: it.uuid } };
}

function describeBucket(it: Resource): ResourceAttributes {
  const { region, partition } = it.stack;
  const name = it.text("BucketName") ?? nameOf(it.stack, it.id, 63).toLowerCase();
  const attributes = {
    Arn: `arn:${partition}:s3:::${name}`,
    DomainName: `${name}.s3.amazonaws.com`,
    DualStackDomainName: `${name}.s3.dualstack.${region}.amazonaws.com`,
    RegionalDomainName: `${name}.s3.${region}.amazonaws.com`,
    WebsiteURL: `http://${name}.s3-website-${region}.amazonaws.com`,
  };
  return { ref: name, attributes };
}

function describeTopic(it: Resource): ResourceAttributes {
  const name = fifoName(it, "TopicName", 256, "FifoTopic");
  const arn = it.arn("sns", name);
  return { ref: arn, attributes: { TopicArn: arn, TopicName: name } };
}

function describeQueue(it: Resource): ResourceAttributes {
  const name = fifoName(it, "QueueName", 80, "FifoQueue");
  const url = `https://sqs.${it.stack.region}.amazonaws.com/${it.stack.accountId}/${name}`;
  return { ref: url, attributes: { Arn: it.arn("sqs", name), QueueName: name, QueueUrl: url } };
}

function fifoName(it: Resource, property: string, maxLength: number, fifo: string): string {
  if (it.text(fifo) !== "true") return it.name(property, maxLength);
  return it.text(property) ?? `${nameOf(it.stack, it.id, maxLength - ".fifo".length)}.fifo`;
}

function describeSecret(it: Resource): ResourceAttributes {
  const arn = it.arn("secretsmanager", `secret:${it.name("Name", 512)}-${it.generatedId.slice(0, 6)}`);
  return { ref: arn, attributes: { Id: arn } };
}

function describeSsmParameter(it: Resource): ResourceAttributes {
  const attributes = { Type: it.text("Type") ?? "String", Value: it.text("Value") ?? "" };
  return { ref: it.name("Name", 1011), attributes };
}
