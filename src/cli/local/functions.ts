import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type ApiHosts, LambdaFunction, type ResolvedResource, unzip } from "../../lambda-emulator/index.ts";
import type { Metric } from "./alarms.ts";
import { embeddedMetrics, invocationMetrics } from "./metrics.ts";
import type { Callers } from "./roles.ts";
import type { Stack, StackFunction } from "./stack.ts";

/** What all functions of a stack share. */
export interface FunctionsOptions {
  readonly callers: Callers;
  /** Variables beside those of the template, which win. */
  readonly defaults: { readonly [name: string]: string };
  /** Variables that win over those of the template: the endpoints on this machine. */
  readonly overrides: { readonly [name: string]: string };
  readonly apiHosts: ApiHosts;
  readonly log: (name: string, line: string) => void;
  /** Receives what CloudWatch would. */
  readonly onMetric: (metric: Metric) => void;
}

/** Lambda's limit. */
const LONGEST_TIMEOUT_MS = 900_000;

/** The functions of a stack, each in processes of its own. */
export class StackFunctions {
  readonly #options: FunctionsOptions;
  #stack: Stack;
  #functions = new Map<string, LambdaFunction>();
  readonly #folders: string[] = [];
  /** Folders by the archive and its date, because a reload seldom changes all archives. */
  readonly #extracted = new Map<string, string>();
  /** Previous functions whose events have not ended. */
  readonly #stopping = new Set<Promise<void>>();

  /** @throws {TemplateError} TEMPLATE_PARAMETER for a variable whose value is not known */
  constructor(stack: Stack, options: FunctionsOptions) {
    this.#stack = stack;
    this.#options = options;
    try {
      for (const each of stack.functions) this.#add(each);
    } catch (error) {
      this.#removeFolders();
      throw error;
    }
  }

  get names(): string[] {
    return this.#stack.functions.map(({ resource }) => nameOf(resource));
  }

  /** Returns the function with a name or an ARN, with or without a version or alias; `undefined` if it does not run here. */
  find(text: string): LambdaFunction | undefined {
    return this.#functions.get(functionNameOf(text));
  }

  /** Invokes a function that `find` returns, as it is by now. */
  invoke(text: string, event: unknown): Promise<unknown> {
    return this.find(text)!.invoke(event);
  }

  /**
   * Runs the functions of a changed stack from the next event on. Running events end in the previous processes.
   * @throws {TemplateError} as the constructor does; the previous functions then stay
   */
  replace(stack: Stack): void {
    const previous = { stack: this.#stack, functions: this.#functions };
    [this.#stack, this.#functions] = [stack, new Map()];
    try {
      for (const each of stack.functions) this.#add(each);
    } catch (error) {
      [this.#stack, this.#functions] = [previous.stack, previous.functions];
      throw error;
    }
    for (const each of previous.functions.values()) {
      const stopped = each.stop({ drainMs: LONGEST_TIMEOUT_MS });
      this.#stopping.add(stopped);
      void stopped.then(() => this.#stopping.delete(stopped));
    }
  }

  async stop(): Promise<void> {
    await Promise.all([...[...this.#functions.values()].map((each) => each.stop()), ...this.#stopping]);
    this.#removeFolders();
  }

  #removeFolders(): void {
    for (const folder of this.#folders) rmSync(folder, { recursive: true });
  }

  #add(each: StackFunction): void {
    const { resource } = each;
    const { ref } = resource;
    const { variables: own, handler, timeoutMs, memoryMB, concurrency } = each.settings;
    const { callers, defaults, overrides, apiHosts, log, onMetric } = this.#options;
    const variables = { ...own, ...overrides };
    const secret = Object.keys(variables).find((name) => variables[name]!.includes("{{resolve:"));
    if (secret !== undefined) {
      const message = `The variable ${secret} refers to a secret that is not on this machine: set it in an --env-file`;
      throw this.#stack.error("TEMPLATE_PARAMETER", message, resource);
    }
    const { accessKeyId, secretAccessKey } = callers.of(ref);
    const created = new LambdaFunction({
      name: ref,
      directory: this.#folderOf(each),
      handler,
      environment: {
        ...defaults,
        ...variables,
        AWS_ACCESS_KEY_ID: accessKeyId,
        AWS_SECRET_ACCESS_KEY: secretAccessKey,
      },
      timeoutMs,
      memoryMB,
      ...(concurrency !== undefined && { concurrency }),
      region: this.#stack.template.stack.region,
      apiHosts,
      sdkFolders: [dirname(this.#stack.template.file), process.cwd()],
      log(line) {
        log(nameOf(resource), line);
        for (const metric of embeddedMetrics(line)) onMetric(metric);
      },
      onInvoked(outcome) {
        for (const metric of invocationMetrics(ref, outcome)) onMetric(metric);
      },
    });
    this.#functions.set(ref, created);
  }

  #folderOf({ code, resource }: StackFunction): string {
    if (code.kind === "folder") return code.path;
    const key = code.kind === "inline" ? code.text : `${code.path} ${statSync(code.path).mtimeMs}`;
    const extracted = this.#extracted.get(key);
    if (extracted !== undefined) return extracted;
    const folder = mkdtempSync(join(tmpdir(), "lift-ws-code-"));
    this.#folders.push(folder);
    if (code.kind === "inline") writeFileSync(join(folder, "index.js"), code.text);
    else this.#unzip(code.path, folder, resource);
    this.#extracted.set(key, folder);
    return folder;
  }

  #unzip(file: string, folder: string, resource: ResolvedResource): void {
    try {
      unzip(file, folder);
    } catch (error) {
      const message = `Cannot read the code ${file}: ${(error as Error).message}`;
      throw this.#stack.error("TEMPLATE_INVALID", message, resource);
    }
  }
}

/** Returns a name for people: CDK's path without the stack, or the logical id. */
function nameOf({ logicalId, metadata }: ResolvedResource): string {
  const path = metadata["aws:cdk:path"];
  if (typeof path !== "string") return logicalId;
  return path.replace(/^[^/]+\//, "").replace(/(\/(Function|Resource))+$/, "");
}

/** Returns the function's name from `name`, `name:alias`, an ARN, or the URI of an integration. */
export function functionNameOf(text: string): string {
  const [, named] = /:function:([\w-]+)/.exec(text) ?? [];
  return named ?? text.split(":", 1)[0]!;
}
