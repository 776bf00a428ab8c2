import { stringify } from "yaml";
import type { ValueMap } from "../../lambda-emulator/index.ts";
import { type ExportedFunction, type PlainStack, readPlainStack } from "./plain-stack.ts";
import { toServerless } from "./serverless.ts";

/** A stack for other tools than CDK. */
export interface ExportedStack {
  /** The templates' texts, by file name. */
  readonly templates: ReadonlyMap<string, string>;
  readonly functions: readonly ExportedFunction[];
}

/**
 * Turns a template of CDK into one for CloudFormation, one for SAM and one for the Serverless Framework. They have the same
 * resources; only the functions are written differently.
 * @param file the template's path, beside which CDK wrote the code of the functions
 * @param name the stack's name
 * @throws {TemplateError}
 */
export function exportStack(text: string, file: string, name: string): ExportedStack {
  const stack = readPlainStack(text, file);
  const plain = { ...stack.sections, Resources: Object.fromEntries(stack.resources) };
  const templates = new Map([
    ["cloudformation.json", `${JSON.stringify(plain, null, 2)}\n`],
    ["sam.yaml", toYaml(toSam(stack))],
    ["serverless.yml", toYaml(toServerless(stack, name))],
  ]);
  return { templates, functions: [...stack.functions.values()] };
}

function toYaml(value: ValueMap): string {
  // Parsers of YAML 1.1, such as that of SAM, read a policy's version 2012-10-17 as a date unless it is quoted.
  return stringify(value, { version: "1.1", aliasDuplicateObjects: false, lineWidth: 0 });
}

/** SAM's functions have these under the same name and with the same meaning. */
const SAM_PROPERTIES = [
  "Architectures",
  "Description",
  "Environment",
  "EphemeralStorage",
  "FunctionName",
  "Handler",
  "KmsKeyArn",
  "Layers",
  "LoggingConfig",
  "MemorySize",
  "ReservedConcurrentExecutions",
  "Role",
  "Runtime",
  "Timeout",
  "VpcConfig",
];

function toSam({ sections, resources, functions }: PlainStack): ValueMap {
  const written = [...resources].map(([id, resource]) => {
    const { Code, ...properties } = (resource.Properties ?? {}) as ValueMap;
    // A function with other properties keeps Lambda's type, whose code SAM uploads too.
    const fits = Object.keys(properties).every((name) => SAM_PROPERTIES.includes(name));
    if (!functions.has(id) || !fits) return [id, resource];
    return [
      id,
      { ...resource, Type: "AWS::Serverless::Function", Properties: { CodeUri: Code, ...properties } },
    ];
  });
  const { Transform, ...others } = sections;
  const sam = "AWS::Serverless-2016-10-31";
  return {
    Transform: Transform === undefined ? sam : [Transform, sam].flat(),
    ...others,
    Resources: Object.fromEntries(written),
  };
}
