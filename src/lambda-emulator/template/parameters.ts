import { TemplateError, type TemplatePlace } from "../errors.ts";
import type { Value, ValueMap } from "./parse-text.ts";
import type { Template } from "./read-template.ts";

/** Values of parameters, by name. */
export type ParameterValues = ReadonlyMap<string, Value>;

/** Its default is the name of an SSM parameter, whose value only AWS knows. */
const SSM_VALUE = /^AWS::SSM::Parameter::Value<(.+)>$/;
const TYPE =
  /^(?:String|Number|CommaDelimitedList|List<(?:String|Number|AWS::[\w:]+)>|AWS::(?:EC2|Route53)::[\w:]+|AWS::SSM::Parameter::(?:Name|Value<.+>))$/;
const LIST = /^(?:CommaDelimitedList|List<.+>)$/;

/**
 * Returns the values of a template's parameters. A parameter of the type `AWS::SSM::Parameter::Value<…>` that has no given
 * value is absent, because CDK's templates declare one for their rules only.
 * @param given values by name; lists are separated by commas
 * @throws {TemplateError} TEMPLATE_PARAMETER, TEMPLATE_INVALID
 */
export function readParameters(
  template: Template,
  given: { readonly [name: string]: string },
): ParameterValues {
  const { file, parameters, lines } = template;
  const unknown = Object.keys(given).find((name) => !parameters.has(name));
  if (unknown !== undefined) {
    const expected = parameters.size === 0 ? "none" : [...parameters.keys()].join(", ");
    const message = `The template has no parameter \`${unknown}\`; its parameters are ${expected}`;
    throw new TemplateError("TEMPLATE_PARAMETER", message, { file });
  }
  const values = new Map<string, Value>();
  for (const [name, declared] of parameters) {
    const place = { file, resource: `Parameters.${name}`, line: lines.get(declared) };
    const value = readParameter(declared, Object.hasOwn(given, name) ? given[name] : undefined, place);
    if (value !== undefined) values.set(name, value);
  }
  return values;
}

/** Returns whether a parameter's value is the value of an SSM parameter. */
export function isSsmParameter({ Type: type }: ValueMap): boolean {
  return typeof type === "string" && SSM_VALUE.test(type);
}

function readParameter(
  declared: ValueMap,
  given: string | undefined,
  place: TemplatePlace,
): Value | undefined {
  const { Type: type, Default: fallback } = declared;
  if (typeof type !== "string" || !TYPE.test(type)) {
    throw new TemplateError("TEMPLATE_INVALID", "`Type` must be the type of a parameter", place);
  }
  if (fallback !== undefined && typeof fallback === "object") {
    throw new TemplateError("TEMPLATE_INVALID", "`Default` must be a text", place);
  }
  if (given === undefined && isSsmParameter(declared)) return undefined;
  const text = given ?? (fallback === undefined ? undefined : String(fallback));
  if (text === undefined) {
    throw new TemplateError("TEMPLATE_PARAMETER", "The parameter has no default and needs a value", place);
  }
  const valueType = SSM_VALUE.exec(type)?.[1] ?? type;
  const isList = LIST.test(valueType);
  const items = isList ? text.split(",").map((item) => item.trim()) : [text];
  for (const item of items) assertValue(item, valueType, declared, place);
  return isList ? (text === "" ? [] : items) : text;
}

/** Messages have no value: it may be secret. */
function assertValue(value: string, type: string, declared: ValueMap, place: TemplatePlace): void {
  const fail = (expected: string) =>
    new TemplateError("TEMPLATE_PARAMETER", `The value must ${expected}`, place);
  const { AllowedValues: allowed, AllowedPattern: pattern } = declared;
  const isNumber = type === "Number" || type === "List<Number>";
  if (isNumber && (value.trim() === "" || !Number.isFinite(Number(value)))) throw fail("be a number");
  if (Array.isArray(allowed) && !allowed.some((each) => String(each) === value)) {
    throw fail(`be one of ${allowed.map(String).join(", ")}`);
  }
  if (pattern !== undefined && !toPattern(pattern, place).test(value)) throw fail(`match ${String(pattern)}`);
  const [measured, min, max, unit] = isNumber
    ? [Number(value), declared.MinValue, declared.MaxValue, ""]
    : [value.length, declared.MinLength, declared.MaxLength, " characters"];
  if (min !== undefined && measured < Number(min)) throw fail(`be at least ${String(min)}${unit}`);
  if (max !== undefined && measured > Number(max)) throw fail(`be at most ${String(max)}${unit}`);
}

/** CloudFormation's patterns match the whole value. */
function toPattern(pattern: Value, place: TemplatePlace): RegExp {
  try {
    return new RegExp(`^(?:${String(pattern)})$`, "s");
  } catch (cause) {
    throw new TemplateError("TEMPLATE_INVALID", "Invalid `AllowedPattern`", place, { cause });
  }
}

/** Returns the values of the pseudo parameters, other than `AWS::NoValue`. */
export function pseudoParameters(stack: Stack): ReadonlyMap<string, Value> {
  return new Map<string, Value>([
    ["AWS::AccountId", stack.accountId],
    ["AWS::NotificationARNs", []],
    ["AWS::Partition", stack.partition],
    ["AWS::Region", stack.region],
    ["AWS::StackId", stack.id],
    ["AWS::StackName", stack.name],
    ["AWS::URLSuffix", "amazonaws.com"],
  ]);
}

/** The stack that a template becomes. */
export interface Stack {
  readonly name: string;
  /** Its ARN. */
  readonly id: string;
  readonly region: string;
  readonly accountId: string;
  readonly partition: "aws";
}
