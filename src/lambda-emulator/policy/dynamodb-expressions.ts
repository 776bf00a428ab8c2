import { isRecord } from "../../internal/options.ts";

/** A request's body, or a part of it that has expressions. */
export type Body = { readonly [name: string]: unknown };

const EXPRESSIONS = [
  "ConditionExpression",
  "FilterExpression",
  "KeyConditionExpression",
  "ProjectionExpression",
  "UpdateExpression",
];
/** Parameters from before there were expressions. Their keys are attributes. */
const LEGACY = ["AttributeUpdates", "Expected", "KeyConditions", "QueryFilter", "ScanFilter"];
const KEYWORDS = new Set(["add", "and", "between", "delete", "in", "not", "or", "remove", "set"]);

/** Returns the top-level attributes that a request names, also those of its key or item. */
export function attributesOf(body: Body): string[] {
  const names = EXPRESSIONS.flatMap((name) => namesIn(body[name], body));
  const maps = [...LEGACY, "Key", "Item"].flatMap((name) =>
    isRecord(body[name]) ? Object.keys(body[name]) : [],
  );
  const listed = Array.isArray(body.AttributesToGet) ? body.AttributesToGet.map(String) : [];
  return [...new Set([...names, ...maps, ...listed])];
}

/** Returns the attributes in an expression, without the names of functions, keywords, values and inner attributes. */
function namesIn(expression: unknown, body: Body): string[] {
  if (typeof expression !== "string") return [];
  const tokens = expression.matchAll(/(?<![\w#:.]|\.\s+)(#?\w+)(\s*\()?/g);
  return [...tokens]
    .filter(
      ([, token = "", call]) =>
        call === undefined && !KEYWORDS.has(token.toLowerCase()) && !/^\d/.test(token),
    )
    .map(([, token = ""]) => nameOf(token, body));
}

/** Returns an attribute's name, which may stand in `ExpressionAttributeNames`. */
function nameOf(token: string, { ExpressionAttributeNames: names }: Body): string {
  if (!isRecord(names) || !Object.hasOwn(names, token)) return token;
  return String(names[token]);
}

/**
 * Returns the partition key that a `Query` asks for.
 * @returns `undefined` if it has no equality on the attribute
 */
export function queriedKey(body: Body, partitionKey: string): string | undefined {
  const { KeyConditionExpression: expression, KeyConditions: legacy } = body;
  if (typeof expression === "string") {
    for (const [name, value] of equalitiesIn(expression)) {
      const values = body.ExpressionAttributeValues;
      if (nameOf(name, body) !== partitionKey || !isRecord(values)) continue;
      return Object.hasOwn(values, value) ? keyText(values[value]) : undefined;
    }
    return undefined;
  }
  const condition =
    isRecord(legacy) && Object.hasOwn(legacy, partitionKey) ? legacy[partitionKey] : undefined;
  if (!isRecord(condition) || condition.ComparisonOperator !== "EQ") return undefined;
  return Array.isArray(condition.AttributeValueList) ? keyText(condition.AttributeValueList[0]) : undefined;
}

/** Returns the name and the value of each equality, such as `pk = :v`, `:v = pk` or `(pk) = (:v)`. */
function equalitiesIn(expression: string): (readonly [name: string, value: string])[] {
  const bare = expression.replace(/\(\s*([#:]?\w+)\s*\)/g, " $1 ");
  const pairs = bare.matchAll(/(?<![\w#:.])([#:]?\w+)\s*=\s*([#:]?\w+)(?![\w.[])/g);
  return [...pairs].map(([, one = "", other = ""]) => (one.startsWith(":") ? [other, one] : [one, other]));
}

/** Returns a key's value as a text: that of the type S, N or B. */
export function keyText(value: unknown): string | undefined {
  if (!isRecord(value)) return undefined;
  const [text, ...more] = Object.values(value);
  return typeof text === "string" && more.length === 0 ? text : undefined;
}
