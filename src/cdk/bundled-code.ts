import { resolve } from "node:path";
import { AssetHashType } from "aws-cdk-lib";
import * as lambda from "aws-cdk-lib/aws-lambda";
import { type BuildOptions, buildSync } from "esbuild";

/** Options of esbuild that an application may set. */
export type BundlingOptions = Pick<
  BuildOptions,
  "alias" | "conditions" | "define" | "external" | "loader" | "minify" | "sourcemap" | "tsconfig"
>;

export const RUNTIME = lambda.Runtime.NODEJS_24_X;

/** The package conditions with which this process resolves its own imports, such as `--conditions=development`. */
function ownConditions(): string[] {
  const options = [...process.execArgv, ...(process.env.NODE_OPTIONS ?? "").split(" ")];
  return options.flatMap((option) => /^--conditions=(.+)$/.exec(option)?.[1] ?? []);
}

/**
 * Bundles code with esbuild into `index.mjs` and the chunks that it loads later.
 * @param code TypeScript that exports `handler`
 * @param directory the folder from which the code's imports are resolved. Default: the working directory
 * @throws esbuild's error, which names the file and line
 */
export function bundledCode(code: string, directory = ".", options: BundlingOptions = {}): lambda.Code {
  const resolveDir = resolve(directory);
  const tryBundle = (outdir: string): boolean => {
    buildSync({
      stdin: { contents: code, resolveDir, sourcefile: "index.ts", loader: "ts" },
      outdir,
      entryNames: "index",
      outExtension: { ".js": ".mjs" },
      bundle: true,
      // Dynamic imports stay in files of their own, which load only when needed.
      splitting: true,
      minify: true,
      format: "esm",
      platform: "node",
      target: "node24",
      // Prefer ES modules, so that unused code is removed.
      mainFields: ["module", "main"],
      // CommonJS packages call `require`. The name `makeRequire` is too long to collide with minified names.
      banner: {
        js: 'import{createRequire as makeRequire}from"node:module";const require=makeRequire(import.meta.url);',
      },
      legalComments: "none",
      logLevel: "warning",
      conditions: ownConditions(),
      ...options,
    });
    return true;
  };
  return lambda.Code.fromAsset(resolveDir, {
    // The same output is the same asset, wherever it was bundled.
    assetHashType: AssetHashType.OUTPUT,
    bundling: {
      image: RUNTIME.bundlingImage,
      // Never run. CDK takes two assets with the same folder and the same command for one.
      command: ["esbuild", code, JSON.stringify(options)],
      local: { tryBundle },
    },
  });
}
