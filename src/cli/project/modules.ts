import { execFile } from "node:child_process";
import { createRequire, registerHooks } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
import { CliError } from "../errors.ts";
import { compileTypeScript, needsCompiler, resolveAsTypeScript } from "./typescript.ts";

/** This package's own files: loaded anew they would be other classes than those that the gateway holds. */
const OWN_FILES = new URL("../..", import.meta.url).href;

const INSTALLED = "/node_modules/";

const { cache } = createRequire(import.meta.url);

const NEEDS_COMPILER =
  "Node can't strip this TypeScript (an enum, a namespace, a decorator, a parameter property): npm install --save-dev esbuild, and it is compiled";

export type ModuleExports = { readonly [name: string]: unknown };

/**
 * Loads a project's modules, and again after a change: the named ones and all that they import from outside
 * `node_modules`, CommonJS and ESM. Modules that were handed out before stay as they are.
 */
export class ProjectModules {
  readonly #files = new Set<string>();
  #generation = 0;

  constructor() {
    registerHooks({
      resolve: (specifier, context, nextResolve) => {
        const resolved = this.#resolve(specifier, context.parentURL, (it) => nextResolve(it, context));
        return { ...resolved, url: this.#claim(resolved.url, context.conditions.includes("require")) };
      },
      load: (url, context, nextLoad) => {
        const file = url.startsWith("file:") ? fileURLToPath(url.replace(/\?.*/, "")) : "";
        const compiled = this.#files.has(file) ? compileTypeScript(file) : undefined;
        return compiled === undefined ? nextLoad(url, context) : { ...compiled, shortCircuit: true };
      },
    });
  }

  /** The project's files that were loaded so far, those of failed attempts included. */
  get files(): ReadonlySet<string> {
    return this.#files;
  }

  /** From here on every file is read anew. */
  startGeneration(): void {
    this.#generation++;
    for (const file of this.#files) delete cache[file];
  }

  /**
   * @throws what the module throws; a syntax error says where it stands
   * @throws {CliError} FAILED, when Node can't strip a file's types and there is nothing to compile it
   */
  async load(file: string): Promise<ModuleExports> {
    try {
      return (await import(pathToFileURL(file).href)) as ModuleExports;
    } catch (error) {
      if (needsCompiler(error, this.#files)) throw new CliError("FAILED", NEEDS_COMPILER, { cause: error });
      throw await withLocation(error, this.#files);
    }
  }

  /** As Node does, and where it finds nothing, as TypeScript does. */
  #resolve<Resolved>(
    specifier: string,
    parent: string | undefined,
    next: (specifier: string) => Resolved,
  ): Resolved {
    try {
      return next(specifier);
    } catch (error) {
      const found = isUnresolved(error) ? resolveAsTypeScript(specifier, parent) : undefined;
      if (found === undefined) throw error;
      return next(found);
    }
  }

  /** Remembers a project's file, and gives it a URL of its own in each generation: ESM caches by URL. */
  #claim(url: string, required: boolean): string {
    if (!url.startsWith("file:") || url.includes(INSTALLED) || url.startsWith(OWN_FILES)) return url;
    this.#files.add(fileURLToPath(url));
    // What is required is cached by its path, and startGeneration has removed that.
    if (required || this.#generation === 0) return url;
    const versioned = new URL(url);
    versioned.searchParams.set("lift-ws", String(this.#generation));
    return versioned.href;
  }
}

function isUnresolved(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return (
    code === "ERR_MODULE_NOT_FOUND" || code === "MODULE_NOT_FOUND" || code === "ERR_UNSUPPORTED_DIR_IMPORT"
  );
}

/**
 * Node prints where a syntax error stands only when it ends the process by it; an ES module's error does not hold
 * it. So ask Node, file by file, the last one first.
 */
async function withLocation(error: unknown, files: ReadonlySet<string>): Promise<unknown> {
  if (!(error instanceof SyntaxError) || !error.stack?.startsWith("SyntaxError")) return error;
  const scripts = [...files].filter((name) => /\.m?js$/.test(name));
  for (const file of scripts.reverse()) {
    const report = await checkSyntax(file);
    if (report?.includes(error.message)) {
      const [located = report] = report.split(/\n\s+at /);
      error.stack = located;
      return error;
    }
  }
  return error;
}

function checkSyntax(file: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile(process.execPath, ["--check", file], (error, _stdout, stderr) => {
      resolve(error === null ? undefined : stderr);
    });
  });
}
