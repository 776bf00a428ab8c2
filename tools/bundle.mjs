// @ts-check
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { capture } from "./child.mjs";
import { nodePath, SOURCE } from "./install.mjs";

/** Whose functions are made: each is a file in the example's folder lambda. */
export const EXAMPLES = ["chat", "streamer"];
const FUNCTIONS = ["connect", "disconnect", "router", "fanout", "tick"];

/** What every bundle is made with: the examples', and those that the bench compares them with. */
const FLAGS = {
  bundle: true,
  // What is imported later is in files of its own: in one file it would be loaded with the rest.
  splitting: true,
  minify: true,
  format: /** @type {const} */ ("esm"),
  platform: /** @type {const} */ ("node"),
  target: "node22",
  // The packages' ES modules: of them, what nobody calls is left out.
  mainFields: ["module", "main"],
  // The packages that are CommonJS still call `require`. No minified name is as long as that of what makes it.
  banner: {
    js: 'import{createRequire as makeRequire}from"node:module";const require=makeRequire(import.meta.url);',
  },
  outExtension: { ".js": ".mjs" },
  sourcemap: /** @type {const} */ ("external"),
  legalComments: /** @type {const} */ ("none"),
  conditions: ["@lift-ws/source"],
  metafile: /** @type {const} */ (true),
  write: /** @type {const} */ (false),
  logLevel: /** @type {const} */ ("warning"),
};

/**
 * @typedef {object} Bundle
 * @property {number} bytes what is uploaded
 * @property {number} lift its share that is the framework
 * @property {number} store its share that is this package's store
 */

/**
 * Makes an example's functions, a folder each, and `routes.json`, which says which of them answers what.
 * @param {string} root a tree with the installed tools
 * @param {string} example its folder's name
 * @param {string} target the folder they go into
 * @returns {Promise<[name: string, bundle: Bundle][]>}
 */
export async function bundleExample(root, example, target) {
  const source = join(root, "examples", example, "lambda");
  /** @type {[string, Bundle][]} */
  const made = [];
  for (const name of FUNCTIONS.filter((it) => existsSync(join(source, `${it}.ts`)))) {
    made.push([name, await bundle(join(source, `${name}.ts`), join(target, name))]);
  }
  const routes = await capture(nodePath(root), [SOURCE, join(source, "routes.ts")]);
  if (routes.code !== 0) throw new Error(`The routes of ${example} can't be told:\n${routes.output}`);
  writeFileSync(join(target, "routes.json"), routes.output);
  return made;
}

/**
 * Makes one function's folder, `index.mjs` in it and what that imports; the source maps in a folder beside it, as they
 * are not uploaded.
 * @param {string} entry a file
 * @param {string} folder emptied first
 * @returns {Promise<Bundle>}
 */
export async function bundle(entry, folder) {
  // Not above: this file is loaded before anything is installed.
  const { build } = await import("esbuild");
  const { outputFiles, metafile } = await build({
    ...FLAGS,
    entryPoints: { index: entry },
    outdir: folder,
  });
  const maps = `${folder}.maps`;
  for (const made of [folder, maps]) {
    rmSync(made, { recursive: true, force: true });
    mkdirSync(made, { recursive: true });
  }
  for (const { path, contents } of outputFiles) {
    const isMap = path.endsWith(".map");
    writeFileSync(isMap ? join(maps, basename(path)) : path, contents);
  }
  return sizes(metafile);
}

/** @param {import("esbuild").Metafile} metafile */
function sizes({ outputs }) {
  const code = Object.entries(outputs).filter(([file]) => !file.endsWith(".map"));
  const inputs = code.flatMap(([, output]) => Object.entries(output.inputs));
  const share = (/** @type {RegExp} */ part) =>
    inputs.filter(([file]) => part.test(file)).reduce((sum, [, { bytesInOutput }]) => sum + bytesInOutput, 0);
  return {
    bytes: code.reduce((sum, [, output]) => sum + output.bytes, 0),
    lift: share(/(^|\/)src\/(lift|apigw)\//),
    store: share(/(^|\/)src\/store\//),
  };
}
