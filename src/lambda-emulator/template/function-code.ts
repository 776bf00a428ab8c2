import { existsSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { TemplateError, type TemplatePlace } from "../errors.ts";
import { isMap, type ValueMap } from "./parse-text.ts";
import type { ResolvedResource } from "./resolve-template.ts";

/** The code of a function or layer. `archive` is a zip file. */
export type FunctionCode =
  | { readonly kind: "folder"; readonly path: string }
  | { readonly kind: "archive"; readonly path: string }
  | { readonly kind: "inline"; readonly text: string };

/**
 * Finds the code of a Lambda function or layer: inline, a path as `aws cloudformation package` takes it, or the asset that CDK
 * wrote beside the template. CDK names the asset in the resource's metadata and in `<stack>.assets.json`.
 * @param templateFile the path of the template
 * @throws {TemplateError} ASSET_MISSING, TEMPLATE_INVALID, TEMPLATE_UNSUPPORTED
 */
export function findFunctionCode(
  resource: Pick<ResolvedResource, "logicalId" | "line" | "properties" | "metadata">,
  templateFile: string,
): FunctionCode {
  const { logicalId, line, properties, metadata } = resource;
  const place = { file: templateFile, resource: logicalId, line };
  const code = properties.Code ?? properties.Content;
  if (typeof code === "string") return codeAt(code, place);
  if (!isMap(code)) throw new TemplateError("TEMPLATE_INVALID", "The function has no `Code`", place);
  if (code.ImageUri !== undefined) {
    throw new TemplateError(
      "TEMPLATE_UNSUPPORTED",
      "Container images are not supported on this machine",
      place,
    );
  }
  if (typeof code.ZipFile === "string") return { kind: "inline", text: code.ZipFile };
  const named = metadata["aws:asset:path"];
  const path = typeof named === "string" ? named : findAssetPath(code, templateFile);
  if (path === undefined) {
    const object = [code.S3Bucket, code.S3Key].filter((each) => typeof each === "string").join("/");
    const message = `The code ${object} is not on this machine: the resource has no \`aws:asset:path\` in its metadata, and no assets.json beside the template has its \`S3Key\``;
    throw new TemplateError("ASSET_MISSING", message, place);
  }
  return codeAt(path, place);
}

/** @param path relative to the template */
function codeAt(path: string, place: TemplatePlace): FunctionCode {
  // It would be the template's folder.
  if (path === "") throw new TemplateError("TEMPLATE_INVALID", "The path of the code is empty", place);
  const absolute = resolve(dirname(place.file), path);
  const stats = statSync(absolute, { throwIfNoEntry: false });
  if (stats === undefined) {
    const message = `The code ${absolute} does not exist; run \`cdk synth\``;
    throw new TemplateError("ASSET_MISSING", message, place);
  }
  return { kind: stats.isDirectory() ? "folder" : "archive", path: absolute };
}

/** Looks up the object of an asset in `<stack>.assets.json`. */
function findAssetPath({ S3Key: key }: ValueMap, templateFile: string): string | undefined {
  const name = basename(templateFile).replace(/(?:\.template)?\.[^.]+$/, ".assets.json");
  const manifest = join(dirname(templateFile), name);
  if (typeof key !== "string" || !existsSync(manifest)) return undefined;
  const { files } = readManifest(manifest);
  const assets = isMap(files) ? Object.values(files) : [];
  const asset = assets.find(
    (each) => isMap(each) && isMap(each.destinations) && hasKey(each.destinations, key),
  );
  const source = isMap(asset) ? asset.source : undefined;
  return isMap(source) && typeof source.path === "string" ? source.path : undefined;
}

function hasKey(destinations: ValueMap, key: string): boolean {
  return Object.values(destinations).some((each) => isMap(each) && each.objectKey === key);
}

function readManifest(file: string): ValueMap {
  try {
    const manifest: unknown = JSON.parse(readFileSync(file, "utf8"));
    return isMap(manifest) ? manifest : {};
  } catch (cause) {
    throw new TemplateError("TEMPLATE_SYNTAX", "The assets cannot be read", { file }, { cause });
  }
}
