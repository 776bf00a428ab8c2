import {
  isMap,
  isUnknown,
  type ResolvedResource,
  type TemplateError,
  type TemplateErrorCode,
  type Value,
  type ValueMap,
} from "../../lambda-emulator/index.ts";

/** The stack of a resource whose properties are read. */
export interface PropertyReader {
  error(code: TemplateErrorCode, message: string, resource?: ResolvedResource): TemplateError;
  skip(logicalId: string, reason: string): void;
}

/** Returns a property that must be a text. Numbers and booleans are read as texts, as CloudFormation does. */
export function textOf(properties: ValueMap, name: string): string | undefined {
  const value = properties[name];
  return value === undefined || typeof value === "object" ? undefined : String(value);
}

const TABLE = {
  KeySchema: "list",
  AttributeDefinitions: "list",
  GlobalSecondaryIndexes: "list",
  LocalSecondaryIndexes: "list",
  StreamSpecification: "map",
  TimeToLiveSpecification: "map",
} as const;

/** Properties that must be a map, or a list of maps: a text in their place would be read as nothing. */
const SHAPES: { readonly [type: string]: { readonly [property: string]: "list" | "map" } } = {
  "AWS::CloudWatch::Alarm": { Dimensions: "list" },
  "AWS::DynamoDB::GlobalTable": TABLE,
  "AWS::DynamoDB::Table": TABLE,
  "AWS::Events::Rule": { EventPattern: "map", Targets: "list" },
  "AWS::Lambda::EventSourceMapping": { DestinationConfig: "map" },
  "AWS::Lambda::Url": { Cors: "map" },
  "AWS::S3::Bucket": { CorsConfiguration: "map" },
  "AWS::Scheduler::Schedule": { Target: "map" },
};

/**
 * Checks the shapes of the properties that run here. A value of a resource that does not run has none.
 * @throws {TemplateError} TEMPLATE_INVALID
 */
export function assertShapes(stack: PropertyReader, resource: ResolvedResource): void {
  for (const [name, shape] of Object.entries(SHAPES[resource.type] ?? {})) {
    const value = resource.properties[name];
    if (value === undefined || (typeof value === "string" && isUnknown(value))) continue;
    if (isMap(value) || (shape === "list" && Array.isArray(value) && value.every(isMap))) continue;
    const expected = shape === "list" ? "a list of maps" : "a map";
    throw stack.error("TEMPLATE_INVALID", `\`${name}\` must be ${expected}; got ${show(value)}`, resource);
  }
}

/** Returns a property as a list of maps. */
export function mapsOf(value: Value | undefined): readonly ValueMap[] {
  return value === undefined ? [] : ([value].flat() as Value[]).filter(isMap);
}

/**
 * Reads a property that must be a whole number.
 * @param least the smallest value @param most the largest
 * @returns `undefined` without the property. Also for a value of a resource that does not run here, which is listed
 * @throws {TemplateError} TEMPLATE_INVALID
 */
export function readInteger(
  stack: PropertyReader,
  resource: ResolvedResource,
  name: string,
  [least, most]: readonly [least: number, most: number],
): number | undefined {
  const { properties, logicalId } = resource;
  const value = properties[name];
  if (value === undefined) return undefined;
  const text = textOf(properties, name);
  if (text !== undefined && isUnknown(text)) {
    stack.skip(logicalId, `\`${name}\` of a resource that does not run, here the default`);
    return undefined;
  }
  const number = text !== undefined && /^-?\d+$/.test(text) ? Number(text) : undefined;
  if (number !== undefined && number >= least && number <= most) return number;
  const range = most === Number.POSITIVE_INFINITY ? `of ${least} or more` : `from ${least} to ${most}`;
  throw stack.error(
    "TEMPLATE_INVALID",
    `\`${name}\` must be a whole number ${range}; got ${show(value)}`,
    resource,
  );
}

const LONGEST_SHOWN = 60;

/** Formats a value for a message in one line. */
export function show(value: Value | undefined): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > LONGEST_SHOWN ? `${text.slice(0, LONGEST_SHOWN)}…` : text;
}
