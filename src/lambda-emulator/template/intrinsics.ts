import { TemplateError, type TemplateErrorCode, type TemplatePlace } from "../errors.ts";
import { isMap, type Value, type ValueList } from "./parse-text.ts";
import type { Template } from "./read-template.ts";
import { callOf, placeOf, replaceVariables, splitAttribute } from "./references.ts";

/** The value of `AWS::NoValue`. It removes the property or the item. */
export const NO_VALUE = Symbol("AWS::NoValue");
export type Evaluated = Value | typeof NO_VALUE;

/** The meaning of names in a template. */
export interface Scope {
  readonly template: Template;
  readonly region: string;
  ref(name: string, place: TemplatePlace): Evaluated;
  getAttribute(resource: string, attribute: string, place: TemplatePlace): Value;
  condition(name: string, place: TemplatePlace): boolean;
  importValue(name: string, place: TemplatePlace): string;
}

/** A resolved text may double with each resource that uses the last. CloudFormation's quota for a template bounds it. */
const MAX_TEXT = 1_048_576;

/** Replaces the intrinsic functions in a value. @throws {TemplateError} */
export function evaluate(value: Value, outer: TemplatePlace, scope: Scope): Evaluated {
  if (typeof value !== "object") return value;
  const place = placeOf(value, outer, scope.template.lines);
  if (!isMap(value)) {
    return (value as ValueList)
      .map((item) => evaluate(item, place, scope))
      .filter((item) => item !== NO_VALUE) as ValueList;
  }
  const call = callOf(value);
  if (call !== undefined) return evaluateCall(call.name, call.argument, place, scope);
  const mixed = Object.keys(value).find((name) => name.startsWith("Fn::"));
  if (mixed !== undefined) throw invalid(`\`${mixed}\` must be the only key of its map`, place);
  const entries = Object.entries(value).map(([name, each]) => [name, evaluate(each, place, scope)] as const);
  return Object.fromEntries(entries.filter(([, each]) => each !== NO_VALUE)) as Value;
}

/** Evaluates an element of `Conditions`, or a part of it. @throws {TemplateError} */
export function evaluateCondition(value: Value, outer: TemplatePlace, scope: Scope): boolean {
  const place = typeof value === "object" ? placeOf(value, outer, scope.template.lines) : outer;
  const [name, ...more] = isMap(value) ? Object.keys(value) : [];
  const argument = isMap(value) && name !== undefined ? value[name]! : "";
  const parts = Array.isArray(argument) ? (argument as ValueList) : [argument];
  const part = (each: Value) => evaluateCondition(each, place, scope);
  const expectParts = (min: number, max: number) => {
    if (parts.length >= min && parts.length <= max) return;
    throw invalid(`\`${name}\` takes ${min === max ? min : `${min} to ${max}`} values`, place);
  };
  if (more.length === 0 && name === "Condition" && typeof argument === "string") {
    return scope.condition(argument, place);
  }
  if (more.length === 0 && name === "Fn::Equals") {
    expectParts(2, 2);
    const [one, other] = parts.map((each) => comparable(evaluate(each, place, scope)));
    return one === other;
  }
  if (more.length === 0 && name === "Fn::Not") {
    expectParts(1, 1);
    return !part(parts[0]!);
  }
  if (more.length === 0 && (name === "Fn::And" || name === "Fn::Or")) {
    expectParts(2, 10);
    // All parts are evaluated, so that a fault in one does not depend on the values of parameters.
    const results = parts.map(part);
    return name === "Fn::And" ? results.every(Boolean) : results.some(Boolean);
  }
  throw invalid("A condition must be `Condition`, `Fn::Equals`, `Fn::Not`, `Fn::And` or `Fn::Or`", place);
}

type Intrinsic = (argument: Value, place: TemplatePlace, scope: Scope) => Evaluated;

const INTRINSICS: ReadonlyMap<string, Intrinsic> = new Map<string, Intrinsic>([
  ["Ref", (argument, place, scope) => scope.ref(textOf(argument, "`Ref`", place), place)],
  [
    "Fn::Base64",
    (argument, place, scope) => limited(base64(evaluateText(argument, "`Fn::Base64`", place, scope)), place),
  ],
  ["Fn::FindInMap", findInMap],
  ["Fn::GetAtt", getAtt],
  ["Fn::GetAZs", getZones],
  ["Fn::If", evaluateIf],
  [
    "Fn::ImportValue",
    (argument, place, scope) =>
      scope.importValue(evaluateText(argument, "`Fn::ImportValue`", place, scope), place),
  ],
  ["Fn::Join", join],
  ["Fn::Length", (argument, place, scope) => evaluateList(argument, "`Fn::Length`", place, scope).length],
  ["Fn::Select", select],
  ["Fn::Split", split],
  ["Fn::Sub", substitute],
  [
    "Fn::ToJsonString",
    (argument, place, scope) =>
      limited(JSON.stringify(present(evaluate(argument, place, scope), "`Fn::ToJsonString`", place)), place),
  ],
]);
const OF_LANGUAGE_EXTENSIONS = ["Fn::Length", "Fn::ToJsonString"];
const OF_CONDITIONS = ["Fn::And", "Fn::Equals", "Fn::Not", "Fn::Or"];
/** Functions of CloudFormation that are not evaluated on this machine. */
const REFUSED = ["Fn::Cidr", "Fn::ForEach", "Fn::GetStackOutput", "Fn::Transform"];

function evaluateCall(name: string, argument: Value, place: TemplatePlace, scope: Scope): Evaluated {
  const unsupported = (message: string, code: TemplateErrorCode = "TEMPLATE_UNSUPPORTED") =>
    new TemplateError(code, message, place);
  if (OF_LANGUAGE_EXTENSIONS.includes(name) && !scope.template.languageExtensions) {
    throw unsupported(`\`${name}\` needs \`Transform: AWS::LanguageExtensions\``, "TEMPLATE_INVALID");
  }
  if (OF_CONDITIONS.includes(name))
    throw unsupported(`\`${name}\` belongs in \`Conditions\``, "TEMPLATE_INVALID");
  if (REFUSED.some((each) => name === each || name.startsWith(`${each}::`))) {
    throw unsupported(`\`${name}\` is not supported on this machine`);
  }
  const intrinsic = INTRINSICS.get(name);
  if (intrinsic !== undefined) return intrinsic(argument, place, scope);
  throw unsupported(`Unknown function \`${name}\`; expected one of ${[...INTRINSICS.keys()].join(", ")}`);
}

function getAtt(argument: Value, place: TemplatePlace, scope: Scope): Value {
  const [resource, attribute, ...more] = splitAttribute(argument);
  if (typeof resource !== "string" || attribute === undefined || more.length > 0) {
    throw invalid("`Fn::GetAtt` takes a logical ID and the name of an attribute", place);
  }
  const name = evaluateText(attribute, "The attribute of `Fn::GetAtt`", place, scope);
  return scope.getAttribute(resource, name, place);
}

function evaluateIf(argument: Value, place: TemplatePlace, scope: Scope): Evaluated {
  const [name, then, otherwise] = exactly(argument, 3, "`Fn::If` takes a condition and two values", place);
  const holds = scope.condition(textOf(name!, "The condition of `Fn::If`", place), place);
  return evaluate((holds ? then : otherwise)!, place, scope);
}

function join(argument: Value, place: TemplatePlace, scope: Scope): string {
  const [delimiter, list] = exactly(argument, 2, "`Fn::Join` takes a delimiter and a list", place);
  const between = textOf(delimiter!, "The delimiter of `Fn::Join`", place);
  const items = evaluateList(list!, "The list of `Fn::Join`", place, scope);
  return limited(
    items.map((item) => textOf(item, "An item of `Fn::Join`", place)),
    place,
    between,
  );
}

function select(argument: Value, place: TemplatePlace, scope: Scope): Value {
  const [position, list] = exactly(argument, 2, "`Fn::Select` takes an index and a list", place);
  const index = evaluateText(position!, "The index of `Fn::Select`", place, scope);
  const items = evaluateList(list!, "The list of `Fn::Select`", place, scope);
  const selected = /^\d+$/.test(index) ? items[Number(index)] : undefined;
  if (selected !== undefined) return selected;
  throw invalid(`\`Fn::Select\` has no item ${index}; the list has ${items.length} items`, place);
}

function split(argument: Value, place: TemplatePlace, scope: Scope): ValueList {
  const [delimiter, source] = exactly(argument, 2, "`Fn::Split` takes a delimiter and a text", place);
  const between = textOf(delimiter!, "The delimiter of `Fn::Split`", place);
  if (between === "") throw invalid("The delimiter of `Fn::Split` must not be empty", place);
  return evaluateText(source!, "The text of `Fn::Split`", place, scope).split(between);
}

function substitute(argument: Value, place: TemplatePlace, scope: Scope): string {
  const [text, variables]: ValueList = Array.isArray(argument)
    ? exactly(argument, 2, "`Fn::Sub` takes a text and a map", place)
    : [argument, {}];
  if (typeof text !== "string" || !isMap(variables)) throw invalid("`Fn::Sub` takes a text and a map", place);
  const lookUp = (name: string): string => {
    const [resource = "", attribute] = splitAttribute(name) as string[];
    const value = Object.hasOwn(variables, name)
      ? evaluate(variables[name]!, place, scope)
      : attribute === undefined
        ? scope.ref(resource, place)
        : scope.getAttribute(resource, attribute, place);
    return textOf(value, `\`\${${name}}\` of \`Fn::Sub\``, place);
  };
  let size = text.length;
  const measured = (name: string) => {
    const value = lookUp(name);
    size += value.length;
    if (size > MAX_TEXT) throw tooLong(place);
    return value;
  };
  return replaceVariables(text, measured, place);
}

function findInMap(argument: Value, place: TemplatePlace, scope: Scope): Evaluated {
  const [map, top, second, options, ...more] = Array.isArray(argument) ? (argument as ValueList) : [];
  const hasDefault = isMap(options) && Object.keys(options).join() === "DefaultValue";
  if (
    map === undefined ||
    top === undefined ||
    second === undefined ||
    more.length > 0 ||
    (options !== undefined && !hasDefault)
  ) {
    throw invalid("`Fn::FindInMap` takes a mapping, a key and a key of its value", place);
  }
  if (hasDefault && !scope.template.languageExtensions) {
    throw invalid("`DefaultValue` needs `Transform: AWS::LanguageExtensions`", place);
  }
  const path = [map, top, second].map((each) => evaluateText(each, "A key of `Fn::FindInMap`", place, scope));
  const mappings: Value = Object.fromEntries(scope.template.mappings);
  const found = path.reduce<Value | undefined>(
    (value, key) => (isMap(value) && Object.hasOwn(value, key) ? value[key] : undefined),
    mappings,
  );
  if (found !== undefined && !isMap(found)) return found;
  if (hasDefault) return evaluate((options as { DefaultValue: Value }).DefaultValue, place, scope);
  throw new TemplateError("TEMPLATE_REFERENCE", `\`Mappings\` has no value at ${path.join(".")}`, place);
}

function getZones(argument: Value, place: TemplatePlace, scope: Scope): ValueList {
  const region = evaluateText(argument, "`Fn::GetAZs`", place, scope) || scope.region;
  return ["a", "b", "c"].map((zone) => `${region}${zone}`);
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

/** Joins texts, if the result is not too long. */
function limited(texts: string | readonly string[], place: TemplatePlace, between = ""): string {
  const all = typeof texts === "string" ? [texts] : texts;
  const length = all.reduce((sum, each) => sum + each.length + between.length, 0);
  if (length > MAX_TEXT + between.length) throw tooLong(place);
  return all.join(between);
}

function evaluateText(value: Value, subject: string, place: TemplatePlace, scope: Scope): string {
  return textOf(evaluate(value, place, scope), subject, place);
}

function evaluateList(value: Value, subject: string, place: TemplatePlace, scope: Scope): ValueList {
  const list = evaluate(value, place, scope);
  if (Array.isArray(list)) return list;
  throw invalid(`${subject} must be a list`, place);
}

/** Returns a text, number or boolean as a text. */
export function textOf(value: Evaluated, subject: string, place: TemplatePlace): string {
  if (typeof value !== "object" && value !== NO_VALUE) return String(value);
  throw invalid(`${subject} must be a text`, place);
}

function present(value: Evaluated, subject: string, place: TemplatePlace): Value {
  if (value !== NO_VALUE) return value;
  throw invalid(`${subject} has no value`, place);
}

function exactly(argument: Value, count: number, expected: string, place: TemplatePlace): ValueList {
  if (Array.isArray(argument) && argument.length === count) return argument;
  throw invalid(expected, place);
}

function comparable(value: Evaluated): string {
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function invalid(message: string, place: TemplatePlace): TemplateError {
  return new TemplateError("TEMPLATE_INVALID", message, place);
}

function tooLong(place: TemplatePlace): TemplateError {
  return invalid(`The resolved text is longer than ${MAX_TEXT} characters`, place);
}
