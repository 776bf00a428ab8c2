import { readdirSync, readFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import {
  type FunctionCode,
  findFunctionCode,
  isUnknown,
  type Policy,
  type ResolvedResource,
  type ResolvedTemplate,
  readRolePolicies,
  readTemplate,
  resolveTemplate,
  TemplateError,
  type TemplateErrorCode,
} from "../../lambda-emulator/index.ts";
import { CliError } from "../errors.ts";
import { displayPath } from "../project/handlers.ts";
import { type FunctionSettings, readFunctionSettings } from "./function-settings.ts";
import { assertShapes, mapsOf, show, textOf } from "./properties.ts";

/** What is read from a template. */
export interface StackSettings {
  /** The path of the template. */
  readonly file: string;
  readonly stackName: string;
  readonly region: string;
  readonly parameters: { readonly [name: string]: string };
}

/** The types that run here. Their resources do what they do on AWS. */
const RUN = new Set([
  "AWS::ApiGatewayV2::Api",
  "AWS::ApiGatewayV2::Authorizer",
  "AWS::ApiGatewayV2::Deployment",
  "AWS::ApiGatewayV2::Integration",
  "AWS::ApiGatewayV2::Route",
  "AWS::ApiGatewayV2::RouteResponse",
  "AWS::ApiGatewayV2::Stage",
  "AWS::CDK::Metadata",
  "AWS::CloudWatch::Alarm",
  "AWS::DynamoDB::GlobalTable",
  "AWS::DynamoDB::Table",
  "AWS::Events::EventBus",
  "AWS::Events::Rule",
  "AWS::IAM::ManagedPolicy",
  "AWS::IAM::Policy",
  "AWS::IAM::Role",
  "AWS::IAM::RolePolicy",
  "AWS::Lambda::Alias",
  "AWS::Lambda::EventSourceMapping",
  "AWS::Lambda::Function",
  "AWS::Lambda::Permission",
  "AWS::Lambda::Url",
  "AWS::Lambda::Version",
  "AWS::S3::Bucket",
  "AWS::Scheduler::Schedule",
]);

/** Another account's role may be given. */
const ROLE_ARN = /^arn:aws[a-z-]*:iam::\d+:role\/[\w+=,.@/-]+$/;

/** A stage that API Gateway accepts. */
const STAGE_NAME = /^(?:[a-zA-Z0-9_-]{1,128}|\$default)$/;

/** A function that runs here, with what is behind its properties. */
export interface StackFunction {
  readonly resource: ResolvedResource;
  readonly code: FunctionCode;
  readonly settings: FunctionSettings;
  /** The name of its role. */
  readonly roleName: string;
  /** The role's policies. `undefined`: the role is not in the template, so calls of the function are not checked. */
  readonly policies: readonly Policy[] | undefined;
}

/** A resolved template, with what it runs and what it does not. */
export class Stack {
  readonly template: ResolvedTemplate;
  /** The WebSocket API. */
  readonly api: ResolvedResource;
  /** Its stage. */
  readonly stage: ResolvedResource;
  readonly functions: readonly StackFunction[];
  readonly #notRun = new Map<string, string[]>();

  /** @throws {TemplateError} */
  constructor(template: ResolvedTemplate) {
    this.template = template;
    this.#assertDistinct();
    for (const resource of template.resources) assertShapes(this, resource);
    this.api = this.#onlyApi();
    this.stage = this.#onlyStage();
    this.functions = this.#readFunctions();
    for (const { type, logicalId } of template.resources) if (!RUN.has(type)) this.skip(logicalId, type);
  }

  /** The template, and the code of its functions without their packages. */
  get files(): string[] {
    const folders = this.functions.flatMap(({ code }) => (code.kind === "folder" ? [code.path] : []));
    const archives = this.functions.flatMap(({ code }) => (code.kind === "archive" ? [code.path] : []));
    const code = folders.flatMap((folder) =>
      readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile() && !/[\\/]node_modules([\\/]|$)/.test(entry.parentPath))
        .map((entry) => join(entry.parentPath, entry.name)),
    );
    return [this.template.file, ...archives, ...code].map((file) => resolve(file));
  }

  /** What the template has and this does not run: names by type, or by another reason. */
  get notRun(): ReadonlyMap<string, readonly string[]> {
    return this.#notRun;
  }

  /** Notes that something does not run. */
  skip(logicalId: string, reason: string): void {
    this.#notRun.set(reason, [...(this.#notRun.get(reason) ?? []), logicalId]);
  }

  ofType(...types: readonly string[]): ResolvedResource[] {
    return this.template.resources.filter(({ type }) => types.includes(type));
  }

  /** Returns the resources of a type that belong to the API. */
  ofApi(kind: string): ResolvedResource[] {
    return this.ofType(`AWS::ApiGatewayV2::${kind}`).filter(
      ({ properties }) => properties.ApiId === this.api.ref,
    );
  }

  /** Creates an error that names a resource and its line. */
  error(code: TemplateErrorCode, message: string, resource?: ResolvedResource): TemplateError {
    const { file } = this.template;
    return new TemplateError(code, message, { file, resource: resource?.logicalId, line: resource?.line });
  }

  /** Lists functions that do not run here. Their roles and their code are not read. */
  #readFunctions(): StackFunction[] {
    const roles = new Map(this.ofType("AWS::IAM::Role").map(({ ref, attributes }) => [attributes.Arn, ref]));
    const functions = this.ofType("AWS::Lambda::Function").flatMap((resource) => {
      const code = this.#codeOf(resource);
      if (typeof code === "string") {
        this.skip(resource.logicalId, code);
        return [];
      }
      return [
        { resource, code, settings: readFunctionSettings(this, resource), role: this.#roleOf(resource) },
      ];
    });
    const names = functions.flatMap(({ role }) => roles.get(role) ?? []);
    const policies = readRolePolicies(this.template, names);
    return functions.map(({ role, ...each }) => {
      const own = roles.get(role);
      // The name of another stack's role may be that of one in the template.
      return own === undefined
        ? { ...each, roleName: role.split("/").at(-1)!, policies: undefined }
        : { ...each, roleName: own, policies: policies.get(own) };
    });
  }

  /**
   * Returns the ARN of a function's role. Lambda takes no name: calls of a function with the name of a role would be those of
   * an unknown role, which are not checked.
   */
  #roleOf(resource: ResolvedResource): string {
    const { Role: role } = resource.properties;
    if (role === undefined)
      throw this.error("TEMPLATE_INVALID", "The function has no `Role` with an ARN", resource);
    const arn = typeof role === "string" ? role : "";
    const own = this.ofType("AWS::IAM::Role").find(({ ref }) => ref === arn.split("/").at(-1));
    // An account has one role of a name, so another path is a mistake.
    const isElsewhere =
      ROLE_ARN.test(arn) && (own === undefined || !arn.includes(`:${this.template.stack.accountId}:`));
    if (arn === own?.attributes.Arn || isElsewhere || isUnknown(arn)) return arn;
    const remedy = own === undefined ? "" : `; use !GetAtt ${own.logicalId}.Arn`;
    throw this.error(
      "TEMPLATE_INVALID",
      `\`Role\` must be the ARN of a role; got ${show(role)}${remedy}`,
      resource,
    );
  }

  /** Refuses two resources with one ARN: the service creates the first one only. */
  #assertDistinct(): void {
    const owners = new Map<string, string>();
    for (const resource of this.template.resources) {
      const { attributes, logicalId } = resource;
      const arn = attributes.Arn ?? attributes.PolicyArn;
      if (arn === undefined) continue;
      const owner = owners.get(arn);
      if (owner !== undefined) {
        throw this.error("TEMPLATE_INVALID", `\`${owner}\` has the same name: ${arn}`, resource);
      }
      owners.set(arn, logicalId);
    }
  }

  /** Returns the code of a function, or the reason why it does not run here. */
  #codeOf(resource: ResolvedResource): FunctionCode | string {
    const { properties } = resource;
    const [code] = mapsOf(properties.Code);
    if (code?.ImageUri !== undefined) return "a function in a container image";
    const runtime = textOf(properties, "Runtime") ?? "no runtime";
    if (!runtime.startsWith("nodejs")) return `a function on ${runtime}`;
    if ([properties.Layers ?? []].flat().length > 0) return "a function with layers";
    return findFunctionCode(resource, this.template.file);
  }

  #onlyApi(): ResolvedResource {
    const isWebSocket = ({ properties }: ResolvedResource) => properties.ProtocolType === "WEBSOCKET";
    const [api, ...others] = this.ofType("AWS::ApiGatewayV2::Api").filter(isWebSocket);
    if (api === undefined) {
      const message =
        "The template has no WebSocket API: no AWS::ApiGatewayV2::Api with the ProtocolType WEBSOCKET";
      throw this.error("TEMPLATE_INVALID", message);
    }
    for (const { logicalId } of others) this.skip(logicalId, "a second WebSocket API");
    return api;
  }

  #onlyStage(): ResolvedResource {
    const [stage, ...others] = this.ofApi("Stage");
    if (stage === undefined) throw this.error("TEMPLATE_INVALID", "The WebSocket API has no stage", this.api);
    for (const { logicalId } of others) this.skip(logicalId, "a second stage");
    const { StageName: name } = stage.properties;
    if (!STAGE_NAME.test(textOf(stage.properties, "StageName") ?? "")) {
      const message = `\`StageName\` must have 1 to 128 letters, digits, _ and -; got ${show(name)}`;
      throw this.error("TEMPLATE_INVALID", message, stage);
    }
    if (name === "healthz") {
      const message = "The stage `healthz` cannot run here, because the gateway answers /healthz itself";
      throw this.error("TEMPLATE_UNSUPPORTED", message, stage);
    }
    return stage;
  }
}

/** Reads a template. @throws {CliError} as {@link readTemplateFile} does */
export function readStack({ file, stackName, ...options }: StackSettings): Stack {
  return readTemplateFile(
    file,
    (text, path) => new Stack(resolveTemplate(readTemplate(text, path), { stackName, ...options })),
  );
}

/** Calls `read` with a template. @throws {CliError} USAGE when the file cannot be read; FAILED, naming the resource and line */
export function readTemplateFile<Result>(file: string, read: (text: string, path: string) => Result): Result {
  const path = displayPath(file);
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new CliError("USAGE", `Cannot read ${path} (${(error as NodeJS.ErrnoException).code})`);
  }
  try {
    return read(text, path);
  } catch (error) {
    if (error instanceof TemplateError) throw new CliError("FAILED", error.message);
    throw error;
  }
}

/** Returns a stack's name from its template's: `Chat` from `cdk.out/Chat.template.json`. */
export function stackNameOf(file: string): string {
  const name = basename(file).replace(/(\.template)?\.(json|ya?ml)$/i, "");
  return name.replace(/[^a-zA-Z0-9-]+/g, "-").replace(/^[^a-zA-Z]+/, "") || "stack";
}
