import { execFile } from "node:child_process";
import { createRequire, registerHooks } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
import { CliError } from "../errors.ts";
import { compileTypeScript, needsCompiler, resolveAsTypeScript } from "./typescript.ts";

/** Files of this package. They are not reloaded, because the gateway holds instances of their classes. */
const OWN_FILES = new URL("../..", import.meta.url).href;

const INSTALLED = "/node_modules/";

const { cache } = createRequire(import.meta.url);

const NEEDS_COMPILER =
  "Node cannot strip this TypeScript (an enum, a namespace, a decorator or a parameter property): npm install --save-dev esbuild to compile it";

/** The exports of a loaded module. */
export type ModuleExports = { readonly [name: string]: unknown };

/**
 * Loads a project's modules, and reloads them after a change, with everything that they import from outside
 * `node_modules`, CommonJS and ESM. Modules that were loaded before are not changed.
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

  /** All project files loaded so far, including those of failed attempts. */
  get files(): ReadonlySet<string> {
    return this.#files;
  }

  /** Makes later loads read every file again. */
  startGeneration(): void {
    this.#generation++;
    for (const file of this.#files) delete cache[file];
  }

  /**
   * Loads a module.
   * @throws the error that the module throws; a syntax error has its location
   * @throws {CliError} FAILED when Node cannot strip a file's types and esbuild is not installed
   */
  async load(file: string): Promise<ModuleExports> {
    try {
      return (await import(pathToFileURL(file).href)) as ModuleExports;
    } catch (error) {
      if (needsCompiler(error, this.#files)) throw new CliError("FAILED", NEEDS_COMPILER, { cause: error });
      throw await withLocation(error, this.#files);
    }
  }

  /** Resolves like Node, and if that fails, like TypeScript. */
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

  /** Records a project file, and gives it a new URL in each generation, because ESM caches by URL. */
  #claim(url: string, required: boolean): string {
    if (!url.startsWith("file:") || url.includes(INSTALLED) || url.startsWith(OWN_FILES)) return url;
    this.#files.add(fileURLToPath(url));
    // `require` caches by path, and startGeneration has cleared that cache.
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
 * Adds its location to the syntax error of an ES module. Node prints the location only when the error ends the process, so
 * this runs `node --check` for each file, in reverse load order.
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
