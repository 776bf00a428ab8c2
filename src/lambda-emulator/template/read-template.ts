import { TemplateError, type TemplateErrorCode } from "../errors.ts";
import { expandSam, SAM } from "./expand-sam.ts";
import { isMap, type Lines, parseText, type Value, type ValueMap } from "./parse-text.ts";

/** A template as it is written, checked at the top level only. */
export interface Template {
  /** Its file, for messages. */
  readonly file: string;
  readonly lines: Lines;
  /** Whether it has the transform of `Fn::Length`, `Fn::ToJsonString` and the default of `Fn::FindInMap`. */
  readonly languageExtensions: boolean;
  readonly parameters: Section;
  readonly mappings: Section;
  readonly conditions: Section;
  readonly resources: ReadonlyMap<string, TemplateResource>;
  readonly outputs: Section;
}

/** The elements of a part of a template, by name. */
export type Section = ReadonlyMap<string, ValueMap>;

/** A resource as it is written. */
export interface TemplateResource {
  readonly type: string;
  readonly line: number;
  readonly condition: string | undefined;
  readonly dependsOn: readonly string[];
  readonly properties: ValueMap;
  readonly metadata: ValueMap;
  readonly deletionPolicy: Value | undefined;
}

/** CloudFormation's quota. */
const MAX_RESOURCES = 500;
const LANGUAGE_EXTENSIONS = "AWS::LanguageExtensions";

const TOP_LEVEL = new Set([
  "AWSTemplateFormatVersion",
  "Conditions",
  "Description",
  "Hooks",
  "Mappings",
  "Metadata",
  "Outputs",
  "Parameters",
  "Resources",
  "Rules",
  "Transform",
]);
const RESOURCE_ATTRIBUTES = new Set([
  "Condition",
  "CreationPolicy",
  "DeletionPolicy",
  "DependsOn",
  "Metadata",
  "Properties",
  "Type",
  "UpdatePolicy",
  "UpdateReplacePolicy",
]);

/**
 * Reads a CloudFormation template.
 * @param text JSON or YAML
 * @param file its file, for messages
 * @throws {TemplateError} TEMPLATE_SYNTAX, TEMPLATE_INVALID, TEMPLATE_UNSUPPORTED
 */
export function readTemplate(text: string, file = "template"): Template {
  const { value: written, lines } = parseText(text, file);
  const fail = (message: string, code: TemplateErrorCode = "TEMPLATE_INVALID", line?: number) =>
    new TemplateError(code, message, { file, line });
  if (!isMap(written)) throw fail("A template must be a map");
  const transforms = [written.Transform ?? []].flat();
  for (const transform of transforms) assertTransform(transform, fail);
  const value = transforms.includes(SAM) ? expandSam(written, file, lines) : written;
  const unknown = Object.keys(value).find((name) => !TOP_LEVEL.has(name));
  if (unknown !== undefined) {
    throw fail(`Unknown section \`${unknown}\`; expected one of ${[...TOP_LEVEL].join(", ")}`);
  }
  const section = (name: string): Section => {
    const elements = value[name] ?? {};
    const line = typeof elements === "object" ? lines.get(elements) : undefined;
    if (!isMap(elements)) throw fail(`\`${name}\` must be a map`, "TEMPLATE_INVALID", line);
    for (const [key, element] of Object.entries(elements)) {
      if (key.startsWith("Fn::")) throw fail(`\`${key}\` is not expanded here`, "TEMPLATE_UNSUPPORTED", line);
      if (!isMap(element)) throw fail(`\`${name}.${key}\` must be a map`, "TEMPLATE_INVALID", line);
    }
    return new Map(Object.entries(elements as { readonly [name: string]: ValueMap }));
  };
  const resources = section("Resources");
  if (resources.size === 0) throw fail("The template has no `Resources`");
  if (resources.size > MAX_RESOURCES) throw fail(`A template has at most ${MAX_RESOURCES} resources`);
  return {
    file,
    lines,
    languageExtensions: transforms.includes(LANGUAGE_EXTENSIONS),
    parameters: section("Parameters"),
    mappings: section("Mappings"),
    conditions: section("Conditions"),
    resources: new Map([...resources].map(([id, each]) => [id, readResource(id, each, file, lines)])),
    outputs: section("Outputs"),
  };
}

type Fail = (message: string, code: TemplateErrorCode) => TemplateError;

function assertTransform(transform: Value, fail: Fail): void {
  if (transform === LANGUAGE_EXTENSIONS || transform === SAM) return;
  const name = typeof transform === "string" ? ` \`${transform}\`` : "";
  const remedy = `Only ${LANGUAGE_EXTENSIONS} and ${SAM} are supported`;
  throw fail(`The transform${name} is not expanded on this machine. ${remedy}`, "TEMPLATE_UNSUPPORTED");
}

function readResource(id: string, written: ValueMap, file: string, lines: Lines): TemplateResource {
  const line = lines.get(written) ?? 1;
  const fail = (message: string) =>
    new TemplateError("TEMPLATE_INVALID", message, { file, resource: id, line });
  if (!/^[A-Za-z0-9]{1,255}$/.test(id)) throw fail("A logical ID has letters and digits only");
  const unknown = Object.keys(written).find((name) => !RESOURCE_ATTRIBUTES.has(name));
  if (unknown !== undefined) {
    throw fail(`Unknown attribute \`${unknown}\`; expected one of ${[...RESOURCE_ATTRIBUTES].join(", ")}`);
  }
  const { Type: type, Condition: condition, Properties: properties = {}, Metadata: metadata = {} } = written;
  if (typeof type !== "string" || type === "") throw fail("`Type` must be a text");
  if (condition !== undefined && typeof condition !== "string") throw fail("`Condition` must be a text");
  if (!isMap(properties)) throw fail("`Properties` must be a map");
  if (!isMap(metadata)) throw fail("`Metadata` must be a map");
  const dependsOn = [written.DependsOn ?? []].flat();
  if (!dependsOn.every((each) => typeof each === "string")) {
    throw fail("`DependsOn` must be a logical ID or a list of them");
  }
  return { type, line, condition, dependsOn, properties, metadata, deletionPolicy: written.DeletionPolicy };
}
