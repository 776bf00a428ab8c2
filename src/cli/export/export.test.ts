import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { expect, it, onTestFinished } from "vitest";
import { parse } from "yaml";
import { run } from "../run.ts";

// biome-ignore lint/suspicious/noExplicitAny: templates are not typed
type Template = any;

const ASSET = { S3Bucket: { "Fn::Sub": "cdk-hnb659fds-assets-${AWS::AccountId}" }, S3Key: "1.zip" };
const role = { "Fn::GetAtt": ["Role", "Arn"] };
const echo = {
  Type: "AWS::Lambda::Function",
  Metadata: { "aws:asset:path": "asset.1", "aws:cdk:path": "Chat/Echo" },
  DependsOn: ["Role", "Inline"],
  Properties: { Code: ASSET, Handler: "index.handler", Runtime: "nodejs24.x", Role: role },
};
const TEMPLATE: Template = {
  Description: "A chat",
  Parameters: { BootstrapVersion: { Type: "String", Default: "1" }, Secret: { Type: "String", Default: "" } },
  Rules: { CheckBootstrapVersion: { Assertions: [] } },
  Conditions: { CDKMetadataAvailable: { "Fn::Equals": ["a", "a"] } },
  Resources: {
    CDKMetadata: { Type: "AWS::CDK::Metadata", Condition: "CDKMetadataAvailable" },
    Role: { Type: "AWS::IAM::Role", Metadata: { note: 1, cdk_nag: {} } },
    EchoFunction0123ABCD: echo,
    EchoFunction4567ABCD: { ...echo, Properties: { ...echo.Properties, TracingConfig: { Mode: "Active" } } },
    Inline: { ...echo, DependsOn: "Role", Properties: { ...echo.Properties, Code: { ZipFile: "1" } } },
    Zip: { ...echo, Metadata: { "aws:asset:path": "asset.2.zip" }, DependsOn: "Role" },
    Topic: {
      Type: "AWS::SNS::Topic",
      DependsOn: "Zip",
      Properties: {
        TopicName: { "Fn::Sub": "${EchoFunction0123ABCD}-${Zip.Arn}-${Role}-${!Zip}" },
        DisplayName: { "Fn::GetAtt": "Zip.Arn" },
        Tags: [{ Key: "user", Value: "EchoFunction0123ABCD ${aws:username}" }],
      },
    },
  },
  Outputs: { Name: { Value: { Ref: "EchoFunction0123ABCD" } } },
};

/** Runs `lift-ws export` on a template with its assets. */
async function exportTemplate(template: Template = TEMPLATE, existing: readonly string[] = []) {
  const folder = mkdtempSync(join(tmpdir(), "lift-ws-export-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const out = join(folder, "out");
  for (const name of ["asset.1", "out"]) mkdirSync(join(folder, name));
  for (const name of ["asset.1/index.mjs", "asset.2.zip", ...existing])
    writeFileSync(join(folder, name), name);
  const file = join(folder, "Chat.template.json");
  writeFileSync(file, JSON.stringify(template, null, 1));
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const code = await run(["export", file, "--out", out], { stdout, stderr });
  const read = (name: string) => readFileSync(join(out, name), "utf8");
  return { code, out, read, output: String(stdout.read() ?? ""), error: String(stderr.read() ?? "") };
}

it("writes three templates, and the code beside them", async () => {
  const { code, out, read, output, error } = await exportTemplate();
  expect({ code, error }).toEqual({ code: 0, error: "" });
  const names = ["cloudformation.json", "sam.yaml", "serverless.yml", "functions"];
  expect(output.trim().split("\n")).toEqual(names.map((name) => join(out, name)));
  expect(readdirSync(join(out, "functions")).sort()).toEqual(["Echo", "EchoFunction4567ABCD", "Zip.zip"]);
  expect(read("functions/Echo/index.mjs")).toBe("asset.1/index.mjs");
});

it("writes a plain CloudFormation template", async () => {
  const { read } = await exportTemplate();
  const { CDKMetadata: _, Role, ...others } = TEMPLATE.Resources;
  const written = JSON.parse(read("cloudformation.json"));
  const withCode = (id: string, Code: unknown) => ({
    [id]: {
      ...others[id],
      Metadata: undefined,
      Properties: { ...others[id].Properties, Code },
    },
  });
  expect(written).toEqual({
    Description: "A chat",
    Parameters: { Secret: TEMPLATE.Parameters.Secret },
    Outputs: TEMPLATE.Outputs,
    Resources: {
      Role: { ...Role, Metadata: { note: 1 } },
      ...withCode("EchoFunction0123ABCD", "./functions/Echo"),
      ...withCode("EchoFunction4567ABCD", "./functions/EchoFunction4567ABCD"),
      ...withCode("Inline", { ZipFile: "1" }),
      ...withCode("Zip", "./functions/Zip.zip"),
      Topic: others.Topic,
    },
  });
});

it("writes SAM's functions, and those with properties that SAM lacks as they are", async () => {
  const { read } = await exportTemplate({ ...TEMPLATE, Transform: "AWS::LanguageExtensions" });
  const { Transform, Resources } = parse(read("sam.yaml"));
  expect(Transform).toEqual(["AWS::LanguageExtensions", "AWS::Serverless-2016-10-31"]);
  const types = Object.entries<Template>(Resources).map(([id, { Type, Properties }]) => [
    id,
    Type,
    Properties?.CodeUri ?? Properties?.Code,
  ]);
  expect(types.slice(1, 5)).toEqual([
    ["EchoFunction0123ABCD", "AWS::Serverless::Function", "./functions/Echo"],
    ["EchoFunction4567ABCD", "AWS::Lambda::Function", "./functions/EchoFunction4567ABCD"],
    ["Inline", "AWS::Lambda::Function", { ZipFile: "1" }],
    ["Zip", "AWS::Serverless::Function", "./functions/Zip.zip"],
  ]);
});

it("writes the Serverless Framework's functions, with its names for them", async () => {
  const { read } = await exportTemplate();
  const { service, functions, resources } = parse(read("serverless.yml"));
  expect(service).toBe("Chat");
  const own = { runtime: "nodejs24.x", role, disableLogs: true };
  expect(functions).toEqual({
    Echo: {
      ...own,
      handler: "functions/Echo/index.handler",
      package: { patterns: ["functions/Echo/**"] },
      dependsOn: ["Inline"],
    },
    EchoFunction4567ABCD: {
      ...own,
      handler: "functions/EchoFunction4567ABCD/index.handler",
      package: { patterns: ["functions/EchoFunction4567ABCD/**"] },
      dependsOn: ["Inline"],
    },
    Zip: { ...own, handler: "index.handler", package: { artifact: "functions/Zip.zip" } },
  });
  expect(resources).toEqual({
    Description: "A chat",
    Parameters: { Secret: TEMPLATE.Parameters.Secret },
    Outputs: { Name: { Value: { Ref: "EchoLambdaFunction" } } },
    Resources: {
      Role: { Type: "AWS::IAM::Role", Metadata: { note: 1 } },
      Inline: { ...TEMPLATE.Resources.Inline, Metadata: undefined },
      Topic: {
        Type: "AWS::SNS::Topic",
        DependsOn: "ZipLambdaFunction",
        Properties: {
          TopicName: { "Fn::Sub": "${EchoLambdaFunction}-${ZipLambdaFunction.Arn}-${Role}-${!Zip}" },
          DisplayName: { "Fn::GetAtt": "ZipLambdaFunction.Arn" },
          // The framework would read `${aws:…}` as a variable of its own.
          Tags: [{ Key: "user", Value: { "Fn::Join": ["$", ["EchoFunction0123ABCD ", "{aws:username}"]] } }],
        },
      },
    },
    extensions: {
      EchoLambdaFunction: { Properties: {} },
      EchoFunction4567ABCDLambdaFunction: { Properties: { TracingConfig: { Mode: "Active" } } },
      ZipLambdaFunction: { Properties: {} },
    },
  });
});

it("quotes texts that another parser reads as a date or a boolean", async () => {
  const resources = {
    Topic: { Type: "AWS::SNS::Topic", Properties: { A: "2012-10-17", B: "yes", C: "0123" } },
  };
  const { read } = await exportTemplate({ Resources: resources });
  for (const text of ['A: "2012-10-17"', 'B: "yes"', 'C: "0123"']) expect(read("sam.yaml")).toContain(text);
});

it.each([
  [
    "a file in CDK's bucket that is no code",
    { Resources: { Nested: { Type: "AWS::CloudFormation::Stack", Properties: { TemplateURL: ASSET } } } },
    [],
    1,
    "Nested: Needs a file in CDK's bucket; only the code of functions can be exported",
  ],
  [
    "a function without its code",
    { Resources: { Echo: { ...echo, Metadata: { "aws:asset:path": "asset.9" } } } },
    [],
    1,
    /Echo: The code \S+asset\.9 does not exist/,
  ],
  [
    "a SAM template",
    { ...TEMPLATE, Transform: "AWS::Serverless-2016-10-31" },
    [],
    1,
    "A SAM template cannot be exported; give the template of `cdk synth`",
  ],
  ["a folder with files", TEMPLATE, ["out/serverless.yml"], 2, "out is not empty"],
])("writes nothing for %s", async (_name, template, existing, code, message) => {
  const result = await exportTemplate(template, existing);
  expect(result.error).toMatch(message);
  expect(result.code).toBe(code);
  expect(readdirSync(result.out)).toHaveLength(existing.length);
});
