import { globSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { App, Duration, RemovalPolicy, Stack, Validations } from "aws-cdk-lib";
import { Match, Template } from "aws-cdk-lib/assertions";
import { AwsSolutionsChecks } from "cdk-nag";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { Streamer, type StreamerProps } from "../../src/cdk/index.ts";
import { exportStack } from "../../src/cli/export/export-stack.ts";
import { embeddedMetrics } from "../../src/cli/local/metrics.ts";
import {
  findFunctionCode,
  isAllowed,
  type ResolvedTemplate,
  readRolePolicies,
  readTemplate,
  resolveTemplate,
} from "../../src/lambda-emulator/index.ts";
import { jsonLogger, Lift } from "../../src/lift/index.ts";
import { emfCollector, webSocketMetrics } from "../../src/lift/middleware/metrics/index.ts";
import { lambdaContext, messageEvent, recordingConnections } from "../../src/lift/testing/index.ts";
import {
  CONNECTION_TABLE,
  createTableInput,
  MEMBER_TABLE,
  MESSAGE_TABLE,
  MESSAGE_TABLE_STREAM_SOURCE,
  REQUEST_TABLE,
  REQUEST_TABLE_STREAM_SOURCE,
  SCHEDULE_TABLE,
} from "../../src/store/dynamodb/index.ts";
import { inBackticks, sections, tableRows } from "../support/markdown.ts";

const ROOT = join(import.meta.dirname, "../..");
const TABLES = {
  Connections: CONNECTION_TABLE,
  Schedule: SCHEDULE_TABLE,
  Messages: MESSAGE_TABLE,
  Members: MEMBER_TABLE,
  Requests: REQUEST_TABLE,
};
const FUNCTIONS = ["Connect", "Disconnect", "Router", "Fanout", "Dispatch", "Worker", "Tick"];

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "lift-ws-cdk-"));
  writeFileSync(join(folder, "app.ts"), "export const streamer: any = { app: {} };\n");
});

afterAll(() => rmSync(folder, { recursive: true }));

// biome-ignore lint/suspicious/noExplicitAny: CloudFormation's properties are not typed
type Properties = any;

/** Synthesizes a stack with a Streamer. cdk-nag's findings fail the synthesis. */
function synthesize(props: Partial<StreamerProps> = {}) {
  const app = new App({ outdir: mkdtempSync(join(folder, "out-")) });
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  const stack = new Stack(app, "Chat");
  const streamer = new Streamer(stack, "S", {
    entry: join(folder, "app.ts"),
    bundling: { conditions: ["@lift-ws/source"] },
    ...props,
  });
  const { directory } = app.synth();
  const template = Template.fromStack(stack);
  /** Returns the properties of the one resource of a type whose id starts with a name. */
  const find = (type: string, name = ""): Properties => {
    const found = Object.entries(template.findResources(type)).filter(([id]) => id.startsWith(`S${name}`));
    expect(found.map(([id]) => id)).toHaveLength(1);
    return found[0]![1].Properties;
  };
  return { streamer, template, find, directory };
}

let defaults: ReturnType<typeof synthesize>;
beforeAll(() => {
  defaults = synthesize();
});

describe("the tables", () => {
  it.each(Object.entries(TABLES))("are those of the stores: %s", (name, definition) => {
    const {
      TableName: _,
      AttributeDefinitions,
      StreamSpecification,
      ...input
    } = createTableInput("", definition);
    const { StreamViewType } = StreamSpecification ?? {};
    const table = defaults.find("AWS::DynamoDB::Table", name);
    expect(table).toMatchObject({
      ...input,
      ...(StreamViewType && { StreamSpecification: { StreamViewType } }),
      TimeToLiveSpecification: { AttributeName: definition.timeToLive, Enabled: true },
      PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
      DeletionProtectionEnabled: true,
    });
    expect(new Set(table.AttributeDefinitions)).toEqual(new Set(AttributeDefinitions));
  });

  it("are deleted with the stack if it is asked for", () => {
    const { template } = synthesize({ removalPolicy: RemovalPolicy.DESTROY });
    const types = ["AWS::DynamoDB::Table", "AWS::Logs::LogGroup"];
    const kept = types.flatMap((type) =>
      Object.values(template.findResources(type, { DeletionPolicy: "Retain" })),
    );
    expect(kept).toEqual([]);
    template.allResourcesProperties("AWS::DynamoDB::Table", { DeletionProtectionEnabled: false });
  });
});

describe("the functions", () => {
  it("run on Node 24 and arm64, with the names of the tables", () => {
    const { template } = defaults;
    template.resourceCountIs("AWS::Lambda::Function", FUNCTIONS.length);
    template.allResourcesProperties("AWS::Lambda::Function", {
      Runtime: "nodejs24.x",
      Architectures: ["arm64"],
      Environment: {
        Variables: Match.objectLike(
          Object.fromEntries(
            Object.keys(TABLES).map((name) => [`${name.toUpperCase()}_TABLE`, Match.anyValue()]),
          ),
        ),
      },
    });
  });

  it("may do this and nothing else", () => {
    expect(grants(defaults.template)).toMatchSnapshot();
  });

  it("have settings of their own", () => {
    const { find, template } = synthesize({
      environment: { LEVEL: "info" },
      functions: {
        connect: { provisionedConcurrentExecutions: 2, memorySize: 1_024, environment: { LEVEL: "warn" } },
      },
    });
    expect(find("AWS::Lambda::Function", "Connect")).toMatchObject({
      MemorySize: 1_024,
      Environment: { Variables: { LEVEL: "warn" } },
    });
    expect(find("AWS::Lambda::Function", "Router").Environment.Variables.LEVEL).toBe("info");
    const alias = Object.keys(template.findResources("AWS::Lambda::Alias"));
    expect(JSON.stringify(find("AWS::ApiGatewayV2::Integration", "Apiconnect"))).toContain(alias[0]);
  });

  it("are bundled from the entry, and `$connect` from an entry of its own", () => {
    writeFileSync(join(folder, "connect.ts"), 'export const handler = () => "a small bundle";\n');
    const { directory } = synthesize({ connectEntry: join(folder, "connect.ts") });
    const bundles = readdirSync(directory)
      .filter((name) => name.startsWith("asset."))
      .map((name) => readFileSync(join(directory, name, "index.mjs"), "utf8"));
    const counts = [
      "a small bundle",
      "webSocketHandler",
      "fanOutHandler",
      "dispatchHandler",
      "workerHandler",
      "tickHandler",
    ].map((text) => [text, bundles.filter((bundle) => bundle.includes(text)).length]);
    expect(counts).toEqual(counts.map(([text]) => [text, 1]));
  });

  it("fail to bundle an entry that does not exist, and the error names it", () => {
    expect(() => synthesize({ entry: join(folder, "nowhere.ts") })).toThrow(/nowhere\.ts/);
  });
});

describe("the event sources", () => {
  it.each([
    ["Fanout", MESSAGE_TABLE_STREAM_SOURCE],
    ["Dispatch", REQUEST_TABLE_STREAM_SOURCE],
  ])("have the settings of the store: %s", (name, source) => {
    expect(defaults.find("AWS::Lambda::EventSourceMapping", name)).toMatchObject({
      StartingPosition: source.startingPosition,
      BatchSize: source.batchSize,
      MaximumBatchingWindowInSeconds: source.batchWindowSeconds,
      MaximumRecordAgeInSeconds: source.maxRecordAgeSeconds,
      BisectBatchOnFunctionError: source.bisectOnError,
      FunctionResponseTypes: ["ReportBatchItemFailures"],
      FilterCriteria: { Filters: [{ Pattern: JSON.stringify(source.filter) }] },
      DestinationConfig: { OnFailure: { Destination: expect.anything() } },
    });
  });

  it("call the scheduled functions every minute", () => {
    for (const name of ["Tick", "Dispatch"]) {
      expect(defaults.find("AWS::Events::Rule", name)).toMatchObject({
        ScheduleExpression: "rate(1 minute)",
      });
    }
  });
});

describe("the API", () => {
  it("routes connects, disconnects and all messages", () => {
    const routes = Object.values(defaults.template.findResources("AWS::ApiGatewayV2::Route"));
    expect(routes.map(({ Properties }) => Properties.RouteKey)).toEqual([
      "$connect",
      "$disconnect",
      "$default",
    ]);
  });

  it("logs no path, query or header, which may have a token", () => {
    const { AccessLogSettings } = defaults.find("AWS::ApiGatewayV2::Stage");
    const variables = Object.values(JSON.parse(AccessLogSettings.Format) as Record<string, string>);
    expect(
      variables.filter((each) => /path|query|header|messageId|authorizer\.(?!error)/i.test(each)),
    ).toEqual([]);
  });
});

describe("the alarms", () => {
  it("each have an action, and a dashboard beside them", () => {
    const { template, streamer } = defaults;
    const topic = Object.keys(template.findResources("AWS::SNS::Topic"))[0];
    template.allResourcesProperties("AWS::CloudWatch::Alarm", { AlarmActions: [{ Ref: topic }] });
    template.resourceCountIs("AWS::CloudWatch::Alarm", streamer.monitoring!.alarms.length);
    template.resourceCountIs("AWS::CloudWatch::Dashboard", 1);
  });

  it("watch what the metrics middleware emits, with the same dimensions", async () => {
    const event = messageEvent("fail", '{"action":"fail"}');
    const { stage: stageName } = event.requestContext;
    const { find } = synthesize({ stageName, monitoring: { metricsNamespace: "Chat" } });
    const { Namespace, MetricName, Dimensions } = find("AWS::CloudWatch::Alarm", "MonitoringEventsFailed");
    const lines: string[] = [];
    const collector = emfCollector({ namespace: "Chat", write: (line) => lines.push(line) });
    const app = new Lift({ logger: jsonLogger({ level: "silent" }) })
      .use(webSocketMetrics({ collector }))
      .webSocket("fail", () => {
        throw new Error("No");
      });
    await app.webSocketHandler({ connections: recordingConnections() })(event, lambdaContext());
    const dimensions = Object.fromEntries(Dimensions.map(({ Name, Value }: Properties) => [Name, Value]));
    expect(lines.flatMap(embeddedMetrics)).toContainEqual({
      namespace: Namespace,
      name: MetricName,
      dimensions,
      value: 1,
    });
  });

  it("each name the page of their kind in docs/runbooks, and each page has an alarm", () => {
    const { template } = synthesize({ monitoring: { metricsNamespace: "Chat" } });
    const alarms = Object.entries(template.findResources("AWS::CloudWatch::Alarm"));
    const pages = alarms.map(([id, { Properties }]) => {
      const [page = "", name = ""] = /docs\/runbooks\/([\w-]+)\.md/.exec(Properties.AlarmDescription) ?? [];
      // Such as SMonitoringRouterErrors4DBB5AC3.
      expect(id.slice(0, -8).toLowerCase()).toMatch(new RegExp(`${name.replaceAll("-", "")}$`));
      return page;
    });
    const others = ["docs/runbooks/README.md", "docs/runbooks/rollout.md"];
    const written = globSync("docs/runbooks/*.md", { cwd: ROOT });
    expect([...new Set(pages), ...others].sort()).toEqual(written.sort());
  });

  it("have pages whose commands find each resource by its type and a part of its id", () => {
    const readme = readFileSync(join(ROOT, "docs/runbooks/README.md"), "utf8");
    const lookups = [...readme.matchAll(/id_of (AWS\S+) ["\w${}]*?(?:\$\{NAME\})?(\w+)/g)].flatMap(
      ([text, type = "", part]) =>
        text.includes("NAME") ? FUNCTIONS.map((name) => [type, name + part]) : [[type, part!]],
    );
    const found = lookups.map(([type, part]) =>
      Object.keys(defaults.template.findResources(type!)).filter((id) => id.includes(part!)),
    );
    expect(found.map(({ length }) => length)).toEqual(lookups.map(() => 1));
    expect(lookups).toHaveLength(2 * FUNCTIONS.length + 4);
  });

  it("are left out if it is asked for", () => {
    const { template } = synthesize({ monitoring: false });
    for (const type of ["Alarm", "Dashboard"]) template.resourceCountIs(`AWS::CloudWatch::${type}`, 0);
    template.resourceCountIs("AWS::SNS::Topic", 0);
  });
});

describe("docs/reference/cdk.md", () => {
  const text = sections(readFileSync(join(ROOT, "docs/reference/cdk.md"), "utf8")).get("Permissions") ?? "";
  const rows = tableRows(text).map((cells) => cells.map(inBackticks));

  it("lists what each function may do", () => {
    const itemActions = inBackticks(/^Actions on items.*?\. /ms.exec(text)?.[0] ?? "").join(" ");
    const listed = rows.flatMap(([[name = ""] = [], tables = [], actions]) =>
      actions === undefined ? [] : [[name, tables, actions.filter((action) => action !== "blobs")]],
    );
    const granted = Object.entries(grants(synthesize({ blobs: true }).template)).map(([name, resources]) => {
      const tables = Object.keys(TABLES).filter((table) => `{S${table}.Arn}` in resources);
      const others = Object.entries(resources).filter(
        ([resource]) =>
          resource !== `{S${name}Log.Arn}` && !tables.some((table) => resource.startsWith(`{S${table}.Arn}`)),
      );
      for (const table of tables) expect(resources[`{S${table}.Arn}`]).toBe(`Allow ${itemActions}`);
      const actions = others.flatMap(([, allowed]) => allowed.replace("Allow ", "").split(" "));
      return [name.toLowerCase(), tables.map((table) => table.toLowerCase()), actions];
    });
    const sorted = (list: typeof granted) =>
      list.map(([name, ...sets]) => [name, ...sets.map((set) => [...(set ?? [])].sort())]).sort();
    expect(sorted(listed)).toEqual(sorted(granted));
  });

  it("lists the resource of each other action", () => {
    const [explained, used] = [2, 3].map((length) =>
      rows
        .filter((cells) => cells.length === length)
        .flatMap((cells) => (length === 2 ? cells[0]! : cells[2]!)),
    );
    expect(new Set(explained)).toEqual(new Set(used!.filter((action) => action !== "blobs")));
  });
});

it("gives a bucket for blobs to the functions that run the application", () => {
  const { find, template } = synthesize({ blobs: true });
  const { Roles } = find("AWS::IAM::Policy", "UseBlobs");
  expect(Roles.map(({ Ref }: { Ref: string }) => Ref.replace(/Role.*/, ""))).toEqual(["SRouter", "SWorker"]);
  template.allResourcesProperties("AWS::Lambda::Function", {
    Environment: { Variables: Match.objectLike({ BLOB_BUCKET: Match.anyValue() }) },
  });
});

it("lets pages of the given origins use the bucket, and deletes blobs of an age", () => {
  const { template } = synthesize({
    blobs: { origins: ["https://chat.example.com"], expiration: Duration.days(7) },
  });
  template.hasResourceProperties("AWS::S3::Bucket", {
    CorsConfiguration: {
      CorsRules: [
        {
          AllowedOrigins: ["https://chat.example.com"],
          AllowedMethods: ["PUT", "GET"],
          AllowedHeaders: ["content-type"],
          MaxAge: 600,
        },
      ],
    },
    LifecycleConfiguration: { Rules: [Match.objectLike({ ExpirationInDays: 7 })] },
  });
  synthesize({ blobs: true }).template.hasResourceProperties("AWS::S3::Bucket", {
    CorsConfiguration: Match.absent(),
  });
});

describe("the templates for other tools", () => {
  let original: ResolvedTemplate;
  let exported: ReturnType<typeof exportStack>;
  beforeAll(() => {
    const file = join(defaults.directory, "Chat.template.json");
    const text = readFileSync(file, "utf8");
    original = resolve(text, file);
    exported = exportStack(text, file, "Chat");
  });

  const EXPAND = {
    "cloudformation.json": (text: string) => text,
    "sam.yaml": (text: string) => text,
    "serverless.yml": (text: string) => JSON.stringify(expandServerless(parse(text))),
  };

  it.each(Object.entries(EXPAND))("grant the same, and have the same resources: %s", (name, expand) => {
    const written = resolve(expand(exported.templates.get(name)!));
    const granted = allowedCalls(original);
    expect(Object.keys(granted)).toHaveLength(FUNCTIONS.length);
    expect(allowedCalls(written)).toEqual(granted);
    expect(describeResources(written)).toEqual(describeResources(original));
    expect(written.outputs).toEqual(original.outputs);
  });

  it.each(Object.entries(EXPAND))("are not taken for equal with one right less: %s", (name, expand) => {
    const text = exported.templates.get(name)!.replace("execute-api:ManageConnections", "execute-api:Invoke");
    const [written, granted] = [allowedCalls(resolve(expand(text))), allowedCalls(original)];
    const changed = Object.keys(granted).filter((role) => !isDeepStrictEqual(written[role], granted[role]));
    expect(changed).toHaveLength(6);
    expect(Object.values(written).flat()).not.toEqual(
      expect.arrayContaining([expect.stringContaining("ManageConnections")]),
    );
  });

  it("have the code of each function", () => {
    const functions = original.resources.filter(({ type }) => type === "AWS::Lambda::Function");
    expect(exported.functions.map(({ source }) => source)).toEqual(
      functions.map((each) => (findFunctionCode(each, original.file) as { path: string }).path),
    );
    expect(exported.functions.map(({ name }) => name.slice(1)).sort()).toEqual(FUNCTIONS.toSorted());
  });

  it("have nothing of CDK", () => {
    const text = [...exported.templates.values()].join("");
    expect(text).not.toMatch(/aws:cdk|aws:asset|AWS::CDK|BootstrapVersion|cdk-hnb659fds|cdk_nag/);
  });
});

/** Resolves a template, in which functions have the same logical IDs as in those of the other tools. */
function resolve(text: string, file = "template"): ResolvedTemplate {
  const same = text.replaceAll(/\b(S[A-Z][a-z]+)(Function[0-9A-F]{8}|LambdaFunction)\b/g, "$1Function");
  return resolveTemplate(readTemplate(same, file), { stackName: "chat" });
}

/** Returns the calls that each role may make, of all calls that the statements of the roles name. */
function allowedCalls(template: ResolvedTemplate): { [role: string]: string[] } {
  const documents = template.resources.flatMap(({ properties }: Properties) => [
    ...(properties.Policies ?? []).map(({ PolicyDocument }: Properties) => PolicyDocument),
    ...(properties.PolicyDocument?.Statement[0].Principal ? [] : [properties.PolicyDocument ?? []].flat()),
  ]);
  const statements: Properties[] = documents.flatMap(({ Statement }) => Statement);
  const named = (key: string): string[] => [...new Set(statements.flatMap((each) => each[key]))].sort();
  const calls = named("Action").flatMap((action) =>
    named("Resource").map((resource) => ({ action, resource: resource.replaceAll("*", "any") })),
  );
  const allowed = [...readRolePolicies(template)].map(([role, policies]) => {
    const own = calls.filter((call) => isAllowed(policies, call).allowed);
    return [role, own.map(({ action, resource }) => `${action} ${resource}`)];
  });
  return Object.fromEntries(allowed);
}

/** Returns all that matters of a template's resources, but where the code is. */
function describeResources({ resources }: ResolvedTemplate) {
  const own = resources.filter(({ type }) => type !== "AWS::CDK::Metadata");
  const described = own.map(({ logicalId, type, properties, dependsOn, deletionPolicy }) => {
    const { Code: _, ...others } = properties;
    return [logicalId, { type, properties: others, dependsOn: dependsOn.toSorted(), deletionPolicy }];
  });
  return Object.fromEntries(described);
}

/** Does what the Serverless Framework does with functions that have a role and no events. */
function expandServerless({ functions, resources }: Properties) {
  const { extensions, Resources, ...sections } = resources;
  const expanded = Object.entries<Properties>(functions).map(([name, it]) => {
    const id = `${name}LambdaFunction`;
    const { Properties, ...attributes } = extensions[id];
    const folder = `functions/${name}`;
    expect(it.package).toEqual({ patterns: [`${folder}/**`] });
    const own = {
      Code: `./${folder}`,
      Handler: it.handler.replace(`${folder}/`, ""),
      Runtime: it.runtime,
      Architectures: [it.architecture],
      MemorySize: it.memorySize,
      Timeout: it.timeout,
      Role: it.role,
      Environment: { Variables: it.environment },
    };
    const DependsOn = [...(it.dependsOn ?? []), it.role["Fn::GetAtt"][0]];
    return [
      id,
      { ...attributes, Type: "AWS::Lambda::Function", DependsOn, Properties: { ...own, ...Properties } },
    ];
  });
  return { ...sections, Resources: { ...Resources, ...Object.fromEntries(expanded) } };
}

/** Returns what each role may do: its actions, by resource. */
function grants(template: Template): Record<string, Record<string, string>> {
  const found: Record<string, Record<string, string>> = {};
  const add = (role: string, statements: Properties[]) => {
    const name = /^S([A-Z][a-z]+)Role/.exec(role)![1]!;
    for (const { Effect, Action, Resource } of statements) {
      const resources = [Resource].flat().map((it) => nameOf(it));
      found[name] = { ...found[name], [resources.join(" ")]: `${Effect} ${[Action].flat().join(" ")}` };
    }
  };
  for (const [id, { Properties }] of Object.entries(template.findResources("AWS::IAM::Role"))) {
    for (const { PolicyDocument } of Properties.Policies ?? []) add(id, PolicyDocument.Statement);
  }
  for (const { Properties } of Object.values(template.findResources("AWS::IAM::Policy"))) {
    for (const { Ref } of Properties.Roles) add(Ref, Properties.PolicyDocument.Statement);
  }
  return found;
}

/** Returns an ARN in the template as text, without CDK's hashes. */
function nameOf(value: Properties): string {
  if (typeof value === "string") return value;
  if (value.Ref) return `{${value.Ref.replace(/[0-9A-F]{8}$/, "")}}`;
  if (value["Fn::GetAtt"])
    return `{${value["Fn::GetAtt"][0].replace(/[0-9A-F]{8}$/, "")}.${value["Fn::GetAtt"][1]}}`;
  return value["Fn::Join"][1].map(nameOf).join(value["Fn::Join"][0]);
}
