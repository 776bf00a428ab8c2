import type { IncomingMessage } from "node:http";
import {
  isUnknown,
  matchesWildcards,
  type ResolvedResource,
  type ValueMap,
} from "../../lambda-emulator/index.ts";
import { mapsOf, type PropertyReader, show, textOf } from "./properties.ts";

const CORS_METHODS = ["DELETE", "GET", "HEAD", "POST", "PUT"];

/** @throws {TemplateError} TEMPLATE_INVALID for a rule that S3 refuses */
export function assertCorsRules(stack: PropertyReader, resource: ResolvedResource): void {
  const [cors] = mapsOf(resource.properties.CorsConfiguration);
  if (cors === undefined) return;
  const fail = (message: string) => stack.error("TEMPLATE_INVALID", message, resource);
  const rules = mapsOf(cors.CorsRules);
  if (rules.length === 0 || rules.length !== [cors.CorsRules].flat().length) {
    throw fail(`\`CorsRules\` must be a list of rules; got ${show(cors.CorsRules)}`);
  }
  for (const rule of rules) {
    if (textsOf(rule, "AllowedOrigins").length === 0) throw fail("A CORS rule needs `AllowedOrigins`");
    const methods = textsOf(rule, "AllowedMethods");
    const isMethod = (each: string) => CORS_METHODS.includes(each) || isUnknown(each);
    if (methods.length > 0 && methods.every(isMethod)) continue;
    throw fail(`\`AllowedMethods\` must be of ${CORS_METHODS.join(", ")}; got ${show(rule.AllowedMethods)}`);
  }
}

/** Returns the headers of a response to a page by the first CORS rule that fits; none if no rule does. */
export function corsHeaders(
  { properties }: ResolvedResource,
  { headers }: IncomingMessage,
  method: string,
): { [name: string]: string } {
  const { origin } = headers;
  if (origin === undefined) return {};
  const [cors] = mapsOf(properties.CorsConfiguration);
  const asked = String(headers["access-control-request-headers"] ?? "")
    .split(",")
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== "");
  const rule = mapsOf(cors?.CorsRules).find(
    (each) =>
      textsOf(each, "AllowedOrigins").some((pattern) => matchesWildcards(pattern, origin)) &&
      textsOf(each, "AllowedMethods").includes(method) &&
      asked.every((name) =>
        textsOf(each, "AllowedHeaders").some((pattern) => matchesWildcards(pattern.toLowerCase(), name)),
      ),
  );
  if (rule === undefined) return {};
  const isAny = textsOf(rule, "AllowedOrigins").includes("*");
  const exposed = textsOf(rule, "ExposedHeaders");
  const age = textOf(rule, "MaxAge");
  return {
    "access-control-allow-origin": isAny ? "*" : origin,
    "access-control-allow-methods": textsOf(rule, "AllowedMethods").join(", "),
    ...(asked.length > 0 && { "access-control-allow-headers": asked.join(", ") }),
    ...(exposed.length > 0 && { "access-control-expose-headers": exposed.join(", ") }),
    ...(age !== undefined && { "access-control-max-age": age }),
    vary: "Origin, Access-Control-Request-Headers, Access-Control-Request-Method",
  };
}

function textsOf(properties: ValueMap, name: string): string[] {
  return ([properties[name] ?? []].flat() as unknown[]).map(String);
}
