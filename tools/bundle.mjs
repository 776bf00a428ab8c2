// @ts-check
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { capture } from "./child.mjs";
import { nodePath, SOURCE } from "./install.mjs";

/** Examples with Lambda functions: each function is a file in the example's `lambda` folder. */
export const EXAMPLES = ["chat", "streamer"];
const FUNCTIONS = ["connect", "disconnect", "router", "fanout", "dispatch", "worker", "tick"];

/** esbuild options of all bundles, of the benches too. */
export const OPTIONS = {
  bundle: true,
  // Dynamic imports stay in files of their own, which load only when needed.
  splitting: true,
  minify: true,
  format: /** @type {const} */ ("esm"),
  platform: /** @type {const} */ ("node"),
  target: "node22",
  // Prefer ES modules, so that unused code is removed.
  mainFields: ["module", "main"],
  // CommonJS packages call `require`. The name `makeRequire` is too long to collide with minified names.
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
 * @property {number} bytes size of the uploaded code
 * @property {number} lift bytes of the framework
 * @property {number} store bytes of this package's store
 */

/**
 * Bundles an example's functions, a folder each, and writes `routes.json`, which maps routes to functions.
 * @param {string} root a tree with the installed tools
 * @param {string} example name of its folder
 * @param {string} target folder for the output
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
  if (routes.code !== 0) throw new Error(`The routes of ${example} could not be read:\n${routes.output}`);
  writeFileSync(join(target, "routes.json"), routes.output);
  return made;
}

/**
 * Bundles one function: `index.mjs` and its chunks. Source maps go into a folder beside it, because they are not uploaded.
 * @param {string} entry path of the source file
 * @param {string} folder output folder, emptied first
 * @returns {Promise<Bundle>}
 */
export async function bundle(entry, folder) {
  // Imported here, because this file loads before anything is installed.
  const { build } = await import("esbuild");
  const { outputFiles, metafile } = await build({
    ...OPTIONS,
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
