import { isMap, type Value, type ValueMap } from "../../lambda-emulator/index.ts";
import type { ExportedFunction, PlainStack } from "./plain-stack.ts";

/**
 * Returns a configuration of the Serverless Framework. It makes the functions under logical IDs of its own, so references to
 * them are renamed. Each keeps its role, and properties without a name in the framework are in `resources.extensions`.
 * @see https://www.serverless.com/framework/docs/providers/aws/guide/serverless.yml
 */
export function toServerless({ sections, resources, functions }: PlainStack, service: string): ValueMap {
  const ids = new Map([...functions].map(([id, each]) => [id, logicalIdOf(each)]));
  const renamed = [...resources].map(([id, resource]) => [id, rename(resource, ids) as ValueMap] as const);
  const written = renamed
    .filter(([id]) => functions.has(id))
    .map(([id, resource]) => ({
      ...functions.get(id)!,
      id: ids.get(id)!,
      ...toFunction(resource, functions.get(id)!),
    }));
  return {
    service,
    provider: { name: "aws", versionFunctions: false },
    package: { individually: true, excludeDevDependencies: false, patterns: ["!**"] },
    functions: Object.fromEntries(written.map(({ name, settings }) => [name, settings])),
    resources: {
      ...sections,
      ...(sections.Outputs !== undefined && { Outputs: rename(sections.Outputs, ids) }),
      Resources: Object.fromEntries(renamed.filter(([id]) => !functions.has(id))),
      extensions: Object.fromEntries(written.map(({ id, extension }) => [id, extension])),
    },
  };
}

/** The framework's rule: https://www.serverless.com/framework/docs/providers/aws/guide/resources */
function logicalIdOf({ name }: ExportedFunction): string {
  return `${name[0]!.toUpperCase()}${name.slice(1)}LambdaFunction`;
}

function toFunction(
  { Type: _, Properties, DependsOn, Condition, ...attributes }: ValueMap,
  { path }: ExportedFunction,
): { readonly settings: ValueMap; readonly extension: ValueMap } {
  const { Code, Handler, Runtime, Architectures, MemorySize, Timeout, Role, Environment, ...others } =
    Properties as ValueMap;
  const isArchive = path.endsWith(".zip");
  // The framework adds the role itself.
  const [role] = isMap(Role) ? [Role["Fn::GetAtt"] ?? []].flat() : [];
  const dependsOn = [DependsOn ?? []].flat().filter((id) => id !== role);
  const settings = {
    handler: isArchive ? Handler : `${path}/${Handler}`,
    package: isArchive ? { artifact: path } : { patterns: [`${path}/**`] },
    runtime: Runtime,
    architecture: Array.isArray(Architectures) ? Architectures[0] : undefined,
    memorySize: MemorySize,
    timeout: Timeout,
    role: Role,
    environment: isMap(Environment) ? Environment.Variables : undefined,
    // The template has the log group, and the right to write to it.
    disableLogs: true,
    condition: Condition,
    dependsOn: dependsOn.length > 0 ? dependsOn : undefined,
  };
  const given = Object.entries(settings).filter((entry): entry is [string, Value] => entry[1] !== undefined);
  return { settings: Object.fromEntries(given), extension: { ...attributes, Properties: others } };
}

/** The framework takes a policy's `${aws:username}` for a variable of its own. */
const VARIABLE = /\$\{[a-z]\w*[:(]/;

/** Renames resources wherever a value refers to them. */
function rename(value: Value, ids: ReadonlyMap<string, string>, key = ""): Value {
  const idOf = (id: string) => ids.get(id) ?? id;
  if (typeof value === "string") {
    if (key === "Ref" || key === "DependsOn") return idOf(value);
    if (key === "Fn::GetAtt") return value.replace(/^[^.]+/, idOf);
    if (key === "Fn::Sub") return value.replace(/(?<=\$\{)\w+/g, idOf);
    return VARIABLE.test(value) ? { "Fn::Join": ["$", value.split("$")] } : value;
  }
  if (Array.isArray(value)) {
    if (key === "Fn::GetAtt") return [idOf(String(value[0])), ...value.slice(1)];
    return value.map((each) => rename(each, ids, key));
  }
  if (!isMap(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, rename(each, ids, name)]));
}
