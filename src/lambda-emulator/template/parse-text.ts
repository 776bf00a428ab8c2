import {
  type Document,
  isAlias,
  isScalar,
  isSeq,
  isMap as isYamlMap,
  LineCounter,
  type Node,
  parseDocument,
} from "yaml";
import { TemplateError } from "../errors.ts";

/** A value in a template. CloudFormation has no null. */
export type Value = string | number | boolean | ValueList | ValueMap;
export type ValueList = readonly Value[];
export interface ValueMap {
  readonly [name: string]: Value;
}

/** Returns whether a value is a map. */
export function isMap(value: unknown): value is ValueMap {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The line of each map and list of a template. It is the line of the value's key, if it has one. */
export type Lines = WeakMap<object, number>;

/** CloudFormation's quota for a template in S3, in bytes. */
const MAX_BYTES = 1_048_576;
/** Bounds the recursion of everything that walks a template. */
const MAX_DEPTH = 100;
const CORE_TAG = /^tag:yaml\.org,2002:(?:str|int|float|bool|null|map|seq)$/;

/**
 * Parses JSON or YAML. A short tag becomes the function's long form: `!Ref A` is `{ Ref: "A" }`, and `!Sub x` is
 * `{ "Fn::Sub": "x" }`.
 * @throws {TemplateError} TEMPLATE_SYNTAX, TEMPLATE_INVALID
 */
export function parseText(text: string, file: string): { readonly value: Value; readonly lines: Lines } {
  if (Buffer.byteLength(text) > MAX_BYTES) {
    throw new TemplateError("TEMPLATE_INVALID", `The template is larger than ${MAX_BYTES} bytes`, { file });
  }
  const withoutMark = text.replace(/^\uFEFF/, "");
  if (withoutMark.trimStart().startsWith("{")) assertJson(withoutMark, file);
  const lineCounter = new LineCounter();
  const { contents } = parseYaml(withoutMark, file, lineCounter);
  if (contents === null) throw new TemplateError("TEMPLATE_SYNTAX", "The template is empty", { file });
  const conversion = new Conversion(file, lineCounter);
  return { value: conversion.convert(contents), lines: conversion.lines };
}

/** YAML accepts more than JSON, and its messages do not fit JSON. */
function assertJson(text: string, file: string): void {
  const message = findJsonFault(text);
  if (message === undefined) return;
  const line = text.slice(0, findFaultPosition(text, message)).split("\n").length;
  // V8 adds the position, or the text around the fault, which may have line breaks. So may the token.
  const reason = message
    .replace(/(?:, (?:\.\.\.)?".*is not valid JSON|(?: in JSON)? at position \d+.*)$/s, "")
    .replace("'\n'", "'\\n'")
    .replace("'\r'", "'\\r'");
  throw new TemplateError("TEMPLATE_SYNTAX", `Invalid JSON: ${reason}`, { file, line });
}

function findJsonFault(text: string): string | undefined {
  try {
    JSON.parse(text);
    return undefined;
  } catch (error) {
    return (error as SyntaxError).message;
  }
}

/**
 * Returns the position of the first character that cannot follow those before it. V8 gives it for some faults only, so this
 * looks for the longest beginning of the text that lacks nothing but an end.
 */
function findFaultPosition(text: string, message: string): number {
  const isBeginning = (length: number) => {
    const fault = findJsonFault(text.slice(0, length));
    return fault === undefined || (positionIn(fault, length) ?? -1) >= length;
  };
  const given = positionIn(message, text.length);
  if (given !== undefined) return given;
  let [longest, tooLong] = [0, text.length];
  while (tooLong - longest > 1) {
    const middle = Math.floor((longest + tooLong) / 2);
    if (isBeginning(middle)) longest = middle;
    else tooLong = middle;
  }
  return longest;
}

function positionIn(message: string, length: number): number | undefined {
  if (message === "Unexpected end of JSON input") return length;
  const position = /at position (\d+)/.exec(message)?.[1];
  return position === undefined ? undefined : Number(position);
}

function parseYaml(text: string, file: string, lineCounter: LineCounter): Document.Parsed {
  let document: Document.Parsed;
  try {
    // `core` is YAML 1.2: a policy's version 2012-10-17 stays a text.
    const options = { lineCounter, schema: "core", resolveKnownTags: false, prettyErrors: false } as const;
    document = parseDocument(text, options);
  } catch (cause) {
    // The parser is recursive.
    throw new TemplateError("TEMPLATE_SYNTAX", "The template cannot be parsed", { file }, { cause });
  }
  const [error] = document.errors;
  if (error === undefined) return document;
  const { line } = lineCounter.linePos(error.pos[0]);
  const reason = error.code === "DUPLICATE_KEY" ? "Duplicate key" : `Invalid YAML: ${error.message}`;
  throw new TemplateError("TEMPLATE_SYNTAX", reason, { file, line }, { cause: error });
}

class Conversion {
  readonly lines: Lines = new WeakMap();
  readonly #file: string;
  readonly #lineCounter: LineCounter;

  constructor(file: string, lineCounter: LineCounter) {
    this.#file = file;
    this.#lineCounter = lineCounter;
  }

  /** @param keyLine the line of the value's key, if it has one */
  convert(node: Node, keyLine?: number, depth = 0): Value {
    const line = keyLine ?? this.#lineOf(node);
    if (depth > MAX_DEPTH) throw this.#invalid(`Nested more than ${MAX_DEPTH} levels`, line);
    if (isAlias(node)) throw this.#invalid("CloudFormation has no YAML aliases", line);
    const value = this.#untagged(node, line, depth);
    const { tag } = node;
    if (tag === undefined || tag === "!" || CORE_TAG.test(tag)) return value;
    if (!/^!\w+$/.test(tag)) throw this.#invalid(`Unknown tag \`${tag}\``, line);
    const name = tag.slice(1);
    return this.#at(line, { [name === "Ref" || name === "Condition" ? name : `Fn::${name}`]: value });
  }

  #untagged(node: Node, line: number, depth: number): Value {
    if (isSeq(node)) {
      return this.#at(
        line,
        node.items.map((item) => this.convert(item as Node, undefined, depth + 1)),
      );
    }
    if (!isYamlMap(node)) return this.#scalar(node, line);
    const pairs = node.items.map(({ key, value }) => {
      const keyLine = this.#lineOf(key as Node);
      const name = this.#key(key, keyLine);
      if (value === null || (isScalar(value) && value.value === null)) throw this.#null(keyLine, name);
      return [name, this.convert(value as Node, keyLine, depth + 1)] as const;
    });
    // A key may be `__proto__`, which `fromEntries` defines as an own property.
    const map = Object.fromEntries(pairs);
    if (Object.keys(map).length < pairs.length) throw this.#invalid("Duplicate key", line);
    return this.#at(line, map);
  }

  #scalar(node: Node, line: number): Value {
    const { value, source = "" } = isScalar(node) ? node : { value: null };
    if (value === null || value === undefined) throw this.#null(line);
    if (typeof value === "string" || typeof value === "boolean") return value;
    // Numbers of accounts may start with 0 and have more digits than a number can hold.
    const isExact =
      !/^[-+]?0\d/.test(source) &&
      Number.isFinite(value) &&
      (!/^\d+$/.test(source) || Number.isSafeInteger(value));
    return typeof value === "number" && isExact ? value : source;
  }

  #key(key: unknown, line: number): string {
    if (isScalar(key) && key.tag === undefined) {
      if (typeof key.value === "string") return key.value;
      if (key.value !== null) return key.source ?? String(key.value);
    }
    throw this.#invalid("A key must be a text", line);
  }

  #at<T extends ValueList | ValueMap>(line: number, value: T): T {
    this.lines.set(value, line);
    return value;
  }

  #lineOf(node: Node): number {
    return this.#lineCounter.linePos(node.range?.[0] ?? 0).line;
  }

  #null(line: number, key?: string): TemplateError {
    return this.#invalid(
      `Null values are not allowed${key === undefined ? "" : `: \`${key}\` has no value`}`,
      line,
    );
  }

  #invalid(message: string, line: number): TemplateError {
    return new TemplateError("TEMPLATE_INVALID", message, { file: this.#file, line });
  }
}
