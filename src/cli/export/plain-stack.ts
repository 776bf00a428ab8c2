import {
  findFunctionCode,
  isMap,
  parseText,
  readTemplate,
  TemplateError,
  type ValueMap,
} from "../../lambda-emulator/index.ts";

/** A template without the parts that only CDK needs. Its functions have the path of their code. */
export interface PlainStack {
  /** All sections but the resources. */
  readonly sections: ValueMap;
  /** By logical ID. */
  readonly resources: ReadonlyMap<string, ValueMap>;
  /** The functions whose code is not in the template, by logical ID. */
  readonly functions: ReadonlyMap<string, ExportedFunction>;
}

/** A function whose code is copied. */
export interface ExportedFunction {
  /** A short name, unique in the stack. */
  readonly name: string;
  /** Where its code is for the templates: `functions/<name>`, or a zip file. */
  readonly path: string;
  /** The folder or zip file to copy. */
  readonly source: string;
}

const FUNCTION = "AWS::Lambda::Function";
/** CDK adds these to check its bucket, and to count its users. */
const CDK_ELEMENTS = new Map([
  ["Conditions", "CDKMetadataAvailable"],
  ["Parameters", "BootstrapVersion"],
  ["Rules", "CheckBootstrapVersion"],
]);
const CDK_METADATA = /^(?:aws:(?:cdk|asset):|cdk_nag$)/;
const CDK_BUCKET = /cdk-\w+-assets-/;

/**
 * Reads a template of CDK.
 * @param file its path, beside which CDK wrote the code of the functions
 * @throws {TemplateError} ASSET_MISSING for a function without its code; TEMPLATE_UNSUPPORTED for other files in CDK's bucket
 */
export function readPlainStack(text: string, file: string): PlainStack {
  const template = readTemplate(text, file);
  const written = parseText(text, file).value as { readonly [section: string]: ValueMap };
  if ([written.Transform].flat().some((name) => String(name).startsWith("AWS::Serverless-"))) {
    const message = "A SAM template cannot be exported; give the template of `cdk synth`";
    throw new TemplateError("TEMPLATE_UNSUPPORTED", message, { file });
  }
  const resources = new Map<string, ValueMap>();
  const functions = new Map<string, ExportedFunction>();
  for (const [logicalId, { type, line, metadata, properties }] of template.resources) {
    if (type === "AWS::CDK::Metadata") continue;
    const resource = withoutCdkMetadata(written.Resources![logicalId] as ValueMap, metadata);
    const hasCode = type === FUNCTION && !isInline(properties);
    const code = hasCode && findFunctionCode({ logicalId, line, metadata, properties }, file);
    if (code && code.kind !== "inline") {
      const name = uniqueName(logicalId, [...functions.values()]);
      const path = `functions/${name}${code.kind === "archive" ? ".zip" : ""}`;
      functions.set(logicalId, { name, path, source: code.path });
      resources.set(logicalId, { ...resource, Properties: { ...properties, Code: `./${path}` } });
    } else if (CDK_BUCKET.test(JSON.stringify(properties))) {
      const message = "Needs a file in CDK's bucket; only the code of functions can be exported";
      throw new TemplateError("TEMPLATE_UNSUPPORTED", message, { file, resource: logicalId, line });
    } else resources.set(logicalId, resource);
  }
  return { sections: withoutCdkElements(written), resources, functions };
}

function isInline({ Code: code }: ValueMap): boolean {
  return isMap(code) && code.ZipFile !== undefined;
}

/** Returns `StreamerTick` for `StreamerTickFunctionD0ED52E5`. */
function uniqueName(logicalId: string, others: readonly ExportedFunction[]): string {
  const short = logicalId.replace(/(.)(?:Function)?[0-9A-F]{8}$/, "$1");
  return others.some(({ name }) => name === short) ? logicalId : short;
}

function withoutCdkMetadata({ Metadata: _, ...resource }: ValueMap, metadata: ValueMap): ValueMap {
  const kept = Object.entries(metadata).filter(([key]) => !CDK_METADATA.test(key));
  return kept.length === 0 ? resource : { ...resource, Metadata: Object.fromEntries(kept) };
}

function withoutCdkElements({ Resources: _, ...sections }: { [section: string]: ValueMap }): ValueMap {
  const left = Object.entries(sections).map(([section, elements]) => {
    if (!isMap(elements)) return [section, elements] as const;
    const { [CDK_ELEMENTS.get(section) ?? ""]: _, ...others } = elements;
    return [section, others] as const;
  });
  return Object.fromEntries(left.filter(([, elements]) => Object.keys(elements).length > 0));
}
