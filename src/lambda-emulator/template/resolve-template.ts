import { TemplateError, type TemplateErrorCode, type TemplatePlace } from "../errors.ts";
import { type AttributesOf, localAttributes, type ResourceAttributes } from "./attributes.ts";
import { type Evaluated, evaluate, evaluateCondition, NO_VALUE, type Scope, textOf } from "./intrinsics.ts";
import { uuidOf } from "./names.ts";
import {
  isSsmParameter,
  type ParameterValues,
  pseudoParameters,
  readParameters,
  type Stack,
} from "./parameters.ts";
import { isMap, type Value, type ValueMap } from "./parse-text.ts";
import type { Template, TemplateResource } from "./read-template.ts";
import { findReferences } from "./references.ts";

/** Options of {@link resolveTemplate}. `stackName` is required. */
export interface ResolveOptions {
  readonly stackName: string;
  /** Default `us-east-1`. */
  readonly region?: string;
  /** Default `000000000000`. */
  readonly accountId?: string;
  /** Values of parameters; lists are separated by commas. Default none. */
  readonly parameters?: { readonly [name: string]: string };
  /** Values of other stacks' exports, by the name of the export. Default none. */
  readonly imports?: { readonly [name: string]: string };
  /** Default {@link localAttributes}. */
  readonly attributesOf?: AttributesOf;
}

/** A resource whose properties have no intrinsic functions. */
export interface ResolvedResource {
  readonly logicalId: string;
  readonly type: string;
  readonly properties: ValueMap;
  /** The resources that it refers to or names in `DependsOn`, without those whose condition is false. */
  readonly dependsOn: readonly string[];
  /** As it is written. */
  readonly metadata: ValueMap;
  readonly deletionPolicy: string | undefined;
  readonly line: number;
  /** The value of `Ref`. `not-run:<logicalId>` if `known` is false. */
  readonly ref: string;
  /** The values of `Fn::GetAtt`. Empty if `known` is false. */
  readonly attributes: { readonly [name: string]: string };
  /** Whether `attributesOf` knows the type. */
  readonly known: boolean;
}

/** An output whose condition is not false. */
export interface ResolvedOutput {
  readonly value: string;
  readonly exportName: string | undefined;
}

/** A stack that can run. */
export interface ResolvedTemplate {
  readonly file: string;
  readonly stack: Stack;
  /** Each after the resources that it depends on, otherwise in the template's order. */
  readonly resources: readonly ResolvedResource[];
  readonly outputs: ReadonlyMap<string, ResolvedOutput>;
}

/**
 * Resolves a template's parameters, conditions and intrinsic functions. `Rules` are not evaluated.
 * @throws {TemplateError}
 */
export function resolveTemplate(template: Template, options: ResolveOptions): ResolvedTemplate {
  const {
    stackName,
    region = "us-east-1",
    accountId = "000000000000",
    parameters = {},
    imports = {},
  } = options;
  const id = `arn:aws:cloudformation:${region}:${accountId}:stack/${stackName}/${uuidOf(stackName)}`;
  const stack: Stack = { name: stackName, id, region, accountId, partition: "aws" };
  const values = readParameters(template, parameters);
  const resolution = new Resolution(
    template,
    stack,
    values,
    imports,
    options.attributesOf ?? localAttributes,
  );
  const resources = resolution.resolveResources();
  return { file: template.file, stack, resources, outputs: resolution.resolveOutputs() };
}

/** Starts the placeholders for references to a resource that does not run on this machine. */
export const NOT_RUN = "not-run:";

/** Returns whether a text has a value of a resource that does not run on this machine. */
export function isUnknown(text: string): boolean {
  return text.includes(NOT_RUN);
}

/** Bounds the recursion of conditions that name others. */
const MAX_CONDITIONS = 100;

class Resolution implements Scope {
  readonly template: Template;
  readonly #stack: Stack;
  readonly #parameters: ParameterValues;
  readonly #pseudo: ReadonlyMap<string, Value>;
  readonly #imports: { readonly [name: string]: string };
  readonly #attributesOf: AttributesOf;
  readonly #conditions = new Map<string, boolean>();
  readonly #openConditions = new Set<string>();
  readonly #resolved = new Map<string, ResolvedResource>();

  constructor(
    template: Template,
    stack: Stack,
    parameters: ParameterValues,
    imports: { readonly [name: string]: string },
    attributesOf: AttributesOf,
  ) {
    this.template = template;
    this.#stack = stack;
    this.#parameters = parameters;
    this.#pseudo = pseudoParameters(stack);
    this.#imports = imports;
    this.#attributesOf = attributesOf;
  }

  get region(): string {
    return this.#stack.region;
  }

  resolveResources(): readonly ResolvedResource[] {
    for (const name of this.template.conditions.keys()) this.condition(name, { file: this.template.file });
    const { resources } = this.template;
    for (const [id, written] of resources) this.#assertReferences(written.properties, this.#placeOf(id));
    const dependencies = new Map<string, readonly string[]>();
    for (const id of resources.keys()) {
      if (this.#exists(id)) dependencies.set(id, this.#dependenciesOf(id));
    }
    for (const id of this.#inOrder(dependencies)) {
      this.#resolved.set(id, this.#resolveResource(id, resources.get(id)!, dependencies.get(id)!));
    }
    return [...this.#resolved.values()];
  }

  resolveOutputs(): ReadonlyMap<string, ResolvedOutput> {
    const { file, outputs, lines } = this.template;
    const resolved = new Map<string, ResolvedOutput>();
    for (const [name, written] of outputs) {
      const place = { file, resource: `Outputs.${name}`, line: lines.get(written) };
      this.#assertReferences(written, place);
      const { Condition: condition, Value: value, Export: exported } = written;
      if (condition !== undefined && !this.condition(textOf(condition, "`Condition`", place), place))
        continue;
      if (value === undefined) throw failure("TEMPLATE_INVALID", "An output needs a `Value`", place);
      const exportName = isMap(exported) ? exported.Name : undefined;
      resolved.set(name, {
        value: textOf(evaluate(value, place, this), "`Value`", place),
        exportName:
          exportName === undefined ? undefined : textOf(evaluate(exportName, place, this), "`Name`", place),
      });
    }
    return resolved;
  }

  ref(name: string, place: TemplatePlace): Evaluated {
    if (name === "AWS::NoValue") return NO_VALUE;
    const value = this.#pseudo.get(name) ?? this.#parameters.get(name);
    if (value !== undefined) return value;
    const declared = this.template.parameters.get(name);
    if (declared !== undefined && isSsmParameter(declared)) {
      const message = `The parameter \`${name}\` needs a value: its default is the name of an SSM parameter`;
      throw failure("TEMPLATE_PARAMETER", message, place);
    }
    return this.#resourceOf(name, "Ref", place).ref;
  }

  getAttribute(id: string, attribute: string, place: TemplatePlace): Value {
    const { attributes, known, type } = this.#resourceOf(id, "Fn::GetAtt", place);
    if (!known) return `${NOT_RUN}${id}.${attribute}`;
    if (Object.hasOwn(attributes, attribute)) return attributes[attribute]!;
    const names = Object.keys(attributes).join(", ") || "none";
    const message = `\`${id}\` of the type ${type} has no attribute \`${attribute}\`; its attributes are ${names}`;
    throw failure("TEMPLATE_REFERENCE", message, place);
  }

  condition(name: string, place: TemplatePlace): boolean {
    const known = this.#conditions.get(name);
    if (known !== undefined) return known;
    const written = this.template.conditions.get(name);
    if (written === undefined)
      throw failure("TEMPLATE_REFERENCE", `There is no condition \`${name}\``, place);
    const { file, lines } = this.template;
    const at = { file, resource: `Conditions.${name}`, line: lines.get(written) };
    if (this.#openConditions.has(name)) {
      const path = [...this.#openConditions, name].join(" → ");
      throw failure("TEMPLATE_CYCLE", `Conditions depend on each other: ${path}`, at);
    }
    if (this.#openConditions.size >= MAX_CONDITIONS) {
      throw failure("TEMPLATE_INVALID", `More than ${MAX_CONDITIONS} conditions name each other`, at);
    }
    this.#openConditions.add(name);
    const value = evaluateCondition(written, at, this);
    this.#openConditions.delete(name);
    this.#conditions.set(name, value);
    return value;
  }

  importValue(name: string, place: TemplatePlace): string {
    if (Object.hasOwn(this.#imports, name)) return this.#imports[name]!;
    throw failure(
      "TEMPLATE_REFERENCE",
      `No value is given for the import \`${name}\` of another stack`,
      place,
    );
  }

  #resourceOf(id: string, kind: string, place: TemplatePlace): ResolvedResource {
    const resource = this.#resolved.get(id);
    if (resource !== undefined) return resource;
    const message = this.template.resources.has(id)
      ? `\`${kind}\` of \`${id}\`, which does not exist: its condition is false`
      : `\`${kind}\` of \`${id}\`, which is not in the template`;
    throw failure("TEMPLATE_REFERENCE", message, place);
  }

  #resolveResource(id: string, written: TemplateResource, dependsOn: readonly string[]): ResolvedResource {
    const place = this.#placeOf(id);
    const { type, line, metadata } = written;
    const properties = evaluate(written.properties, place, this);
    if (properties === NO_VALUE || !isMap(properties)) {
      throw failure("TEMPLATE_INVALID", "`Properties` must be a map", place);
    }
    const policy = written.deletionPolicy;
    const deletionPolicy =
      policy === undefined ? undefined : textOf(evaluate(policy, place, this), "`DeletionPolicy`", place);
    const found = this.#attributesOf(type, id, properties, this.#stack);
    const described: ResourceAttributes = found ?? { ref: `${NOT_RUN}${id}`, attributes: {} };
    return {
      logicalId: id,
      ...{ type, properties, dependsOn, metadata, deletionPolicy, line },
      ref: described.ref,
      attributes: described.attributes,
      known: found !== undefined,
    };
  }

  #placeOf(id: string): TemplatePlace {
    return { file: this.template.file, resource: id, line: this.template.resources.get(id)?.line };
  }

  #exists(id: string): boolean {
    const { condition } = this.template.resources.get(id)!;
    return condition === undefined || this.condition(condition, this.#placeOf(id));
  }

  /** Like CloudFormation, checks the branches that are not taken and the resources that are not created, too. */
  #assertReferences(value: Value, place: TemplatePlace): void {
    const { resources, parameters, lines } = this.template;
    for (const { kind, name, place: at } of findReferences(value, place, lines)) {
      const isParameter = parameters.has(name) || this.#pseudo.has(name) || name === "AWS::NoValue";
      if (resources.has(name) || (kind === "Ref" && isParameter)) continue;
      throw failure("TEMPLATE_REFERENCE", `\`${kind}\` of \`${name}\`, which is not in the template`, at);
    }
  }

  #dependenciesOf(id: string): readonly string[] {
    const { resources, lines } = this.template;
    const { properties, dependsOn } = resources.get(id)!;
    const place = this.#placeOf(id);
    const missing = dependsOn.find((each) => !resources.has(each));
    if (missing !== undefined) {
      throw failure(
        "TEMPLATE_REFERENCE",
        `\`DependsOn\` names \`${missing}\`, which is not in the template`,
        place,
      );
    }
    const branch = (condition: string, at: TemplatePlace) => this.condition(condition, at);
    const references = findReferences(properties, place, lines, branch).map(({ name }) => name);
    const all = new Set([...dependsOn, ...references]);
    return [...all].filter((each) => resources.has(each) && this.#exists(each));
  }

  /** Sorts resources so that each follows its dependencies. @throws {TemplateError} TEMPLATE_CYCLE */
  #inOrder(dependencies: ReadonlyMap<string, readonly string[]>): Iterable<string> {
    const done = new Set<string>();
    const open = new Set<string>();
    const visit = (id: string): void => {
      if (done.has(id)) return;
      if (open.has(id)) {
        const path = [...open, id];
        const circle = path.slice(path.indexOf(id)).join(" → ");
        throw failure("TEMPLATE_CYCLE", `Resources depend on each other: ${circle}`, this.#placeOf(id));
      }
      open.add(id);
      for (const each of dependencies.get(id)!) visit(each);
      open.delete(id);
      done.add(id);
    };
    for (const id of dependencies.keys()) visit(id);
    return done;
  }
}

function failure(code: TemplateErrorCode, message: string, place: TemplatePlace): TemplateError {
  return new TemplateError(code, message, place);
}
