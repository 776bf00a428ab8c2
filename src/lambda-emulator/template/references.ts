import { TemplateError, type TemplatePlace } from "../errors.ts";
import { isMap, type Lines, type Value, type ValueMap } from "./parse-text.ts";

/** A `Ref`, or the resource of `Fn::GetAtt`, also in `Fn::Sub`. */
export interface Reference {
  readonly kind: "Ref" | "Fn::GetAtt";
  readonly name: string;
  readonly place: TemplatePlace;
}

/**
 * Returns the references in a value.
 * @param branch tells which branch of `Fn::If` counts; `undefined` counts both
 */
export function findReferences(
  value: Value,
  place: TemplatePlace,
  lines: Lines,
  branch?: (condition: string, place: TemplatePlace) => boolean,
): readonly Reference[] {
  if (typeof value !== "object") return [];
  const at = placeOf(value, place, lines);
  const inner = (each: Value) => findReferences(each, at, lines, branch);
  const call = isMap(value) ? callOf(value) : undefined;
  if (call === undefined) return Object.values(value).flatMap(inner);
  const { name, argument } = call;
  const toReference = (kind: Reference["kind"], target: Value | undefined): readonly Reference[] =>
    typeof target === "string" ? [{ kind, name: target, place: at }] : [];
  if (name === "Ref") return toReference("Ref", argument);
  if (name === "Fn::GetAtt") {
    return [...toReference("Fn::GetAtt", splitAttribute(argument)[0]), ...inner(argument)];
  }
  if (name === "Fn::Sub") {
    const [text, own] = Array.isArray(argument) ? argument : [argument];
    const names = typeof text === "string" ? variablesOf(text) : [];
    const free = names.filter((each) => !isMap(own) || !Object.hasOwn(own, each));
    const found = free.flatMap((each) => {
      const [target] = splitAttribute(each);
      return toReference(target === each ? "Ref" : "Fn::GetAtt", target);
    });
    return [...found, ...inner(argument)];
  }
  if (name === "Fn::If" && Array.isArray(argument) && typeof argument[0] === "string" && branch) {
    const taken = argument[branch(argument[0], at) ? 1 : 2];
    return taken === undefined ? [] : inner(taken);
  }
  return inner(argument);
}

/** Returns a place inside of another. */
export function placeOf(value: object, outer: TemplatePlace, lines: Lines): TemplatePlace {
  const line = lines.get(value);
  return line === undefined ? outer : { ...outer, line };
}

/** Returns the intrinsic function of a map, whose only key it is. */
export function callOf(map: ValueMap): { readonly name: string; readonly argument: Value } | undefined {
  const [name = "", ...more] = Object.keys(map);
  if (more.length > 0 || (name !== "Ref" && !name.startsWith("Fn::"))) return undefined;
  return { name, argument: map[name]! };
}

/** Splits the argument of `Fn::GetAtt`: `A.B.C` or `["A", "B.C"]`. */
export function splitAttribute(argument: Value): ReadonlyArray<Value> {
  if (Array.isArray(argument)) return argument;
  if (typeof argument !== "string") return [];
  const dot = argument.indexOf(".");
  return dot === -1 ? [argument] : [argument.slice(0, dot), argument.slice(dot + 1)];
}

const VARIABLE = /\$\{([^}]*)\}/g;
const VARIABLE_NAME = /^[\w.:]+$/;

function variablesOf(text: string): string[] {
  return [...text.matchAll(VARIABLE)].map((match) => match[1]!).filter((name) => VARIABLE_NAME.test(name));
}

/** Replaces the variables of `Fn::Sub`. `${!Literal}` becomes `${Literal}`. @throws {TemplateError} TEMPLATE_INVALID */
export function replaceVariables(
  text: string,
  lookUp: (name: string) => string,
  place: TemplatePlace,
): string {
  return text.replace(VARIABLE, (_match, name: string) => {
    if (name.startsWith("!")) return `\${${name.slice(1)}}`;
    if (VARIABLE_NAME.test(name)) return lookUp(name);
    const rule = "Variables of `Fn::Sub` have letters, digits, `_`, `.` and `:` only";
    throw new TemplateError("TEMPLATE_INVALID", `${rule}; got \`\${${name}}\``, place);
  });
}
