import { existsSync, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, extname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

/** Syntax that needs a compiler: enums, namespaces, decorators, parameter properties, `import a = require()`. */
const COMPILED_SYNTAX =
  /^[ \t]*(?:export[ \t]+)?(?:default[ \t]+)?(?:declare[ \t]+)?(?:(?:const[ \t]+)?enum|namespace|module)[ \t]+["'\w]|^[ \t]*@\w|constructor\s*\([^)]*\b(?:public|private|protected|readonly)\b|^[ \t]*(?:export[ \t]+)?import[ \t]+\w+[ \t]*=|^[ \t]*export[ \t]*=/m;

const SOURCE = /\.[cm]?ts$/;

/** Endings that TypeScript tries and Node does not, for a specifier without an extension. */
const CANDIDATES = [".ts", ".mts", ".cts", ".js", ".mjs", ".cjs", ".json", "/index.ts", "/index.js"];

/** Members of esbuild, which the project installs: it is not a dependency of this package. */
interface Compiler {
  transformSync(code: string, options: { readonly [name: string]: string }): { readonly code: string };
}

/** Resolves a relative import of a TypeScript file as TypeScript does, for imports that Node cannot resolve. */
export function resolveAsTypeScript(specifier: string, parentUrl: string | undefined): string | undefined {
  if (
    !/^\.{1,2}(?:\/|$)/.test(specifier) ||
    parentUrl === undefined ||
    !SOURCE.test(new URL(parentUrl).pathname)
  ) {
    return undefined;
  }
  const path = fileURLToPath(new URL(specifier, parentUrl));
  const compiled = path.replace(/\.([cm]?)js$/, ".$1ts");
  const candidates = [...(compiled === path ? [] : [compiled]), ...CANDIDATES.map((end) => path + end)];
  const found = candidates.find((file) => statSync(file, { throwIfNoEntry: false })?.isFile());
  return found === undefined ? undefined : pathToFileURL(found).href;
}

/**
 * Compiles a TypeScript file whose types Node cannot strip.
 * @returns `undefined` when Node can strip them, or esbuild is not installed
 * @throws esbuild's errors, with their location
 */
export function compileTypeScript(
  file: string,
): { readonly format: "commonjs" | "module"; readonly source: string } | undefined {
  if (!SOURCE.test(file)) return undefined;
  const code = readFileSync(file, "utf8");
  if (!COMPILED_SYNTAX.test(code)) return undefined;
  const compiler = findEsbuild(file);
  if (compiler === undefined) return undefined;
  const isModule =
    extname(file) !== ".cts" && (extname(file) === ".mts" || /^\s*(?:import|export)\b/m.test(code));
  const config = findTsconfig(dirname(file));
  const { code: source } = compiler.transformSync(code, {
    loader: "ts",
    format: isModule ? "esm" : "cjs",
    target: `node${process.versions.node}`,
    sourcefile: file,
    sourcemap: "inline",
    ...(config !== undefined && { tsconfigRaw: readFileSync(config, "utf8") }),
  });
  process.setSourceMapsEnabled(true);
  return { format: isModule ? "module" : "commonjs", source };
}

/** Returns whether a module failed because Node cannot strip its types and esbuild is not installed. */
export function needsCompiler(error: unknown, files: Iterable<string>): boolean {
  const { code, name } = error as NodeJS.ErrnoException;
  if (code === "ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX") return true;
  // Node does not strip decorators, so V8 reports a syntax error.
  return name === "SyntaxError" && [...files].some((file) => isUncompiled(file));
}

function isUncompiled(file: string): boolean {
  return SOURCE.test(file) && existsSync(file) && COMPILED_SYNTAX.test(readFileSync(file, "utf8"));
}

/** Finds the esbuild that the project has installed. */
function findEsbuild(file: string): Compiler | undefined {
  try {
    return createRequire(file)("esbuild") as Compiler;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "MODULE_NOT_FOUND") throw error;
    return undefined;
  }
}

function findTsconfig(folder: string): string | undefined {
  const path = join(folder, "tsconfig.json");
  if (existsSync(path)) return path;
  const parent = dirname(folder);
  return parent === folder ? undefined : findTsconfig(parent);
}
