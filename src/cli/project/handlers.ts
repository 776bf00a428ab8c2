import { statSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import type { Connections, LambdaContext, LambdaHandler, WebSocketEvent } from "../../apigw/index.ts";
import type { ConnectionStore, Schedule } from "../../store/index.ts";
import type { StreamerDescription } from "../../streamer/index.ts";
import { CliError } from "../errors.ts";
import { findMissingPackage, installHint } from "../missing-package.ts";
import type { ModuleExports } from "./modules.ts";

/** What Node loads without more ado. */
const MODULE = /\.[cm]?[jt]s$/;

/** A handler as a person names it: `./file.js`, or `./file.js#export`. */
export interface Reference {
  readonly file: string;
  readonly exportName: string | undefined;
}

/** A Lift app, told by its shape: the application may have another copy of this package. */
export interface LiftApp {
  readonly routeKeys: Iterable<string>;
  readonly connectionStore?: ConnectionStore | undefined;
  readonly schedule?: Schedule | undefined;
  tick?(options: { readonly connections: Connections }): Promise<unknown>;
  webSocketHandler(options: {
    readonly connections: Connections;
  }): (event: WebSocketEvent, context: LambdaContext) => unknown;
}

/**
 * Reads `./file.js`, `./file.js#export`, or Lambda's `folder/file.export`. A path may hold `#` itself.
 * @param base what the path is relative to
 * @throws {CliError} USAGE, when there is no such file or it is no module
 */
export function parseReference(text: string, base: string): Reference {
  const whole = resolve(base, text);
  if (isFile(whole)) return toReference(whole, undefined);
  const mark = text.lastIndexOf("#");
  if (mark !== -1) return toReference(resolve(base, text.slice(0, mark)), text.slice(mark + 1));
  return parseLambdaHandler(whole) ?? toReference(whole, undefined);
}

function toReference(file: string, exportName: string | undefined): Reference {
  const found = statSync(file, { throwIfNoEntry: false });
  if (found === undefined) throw new CliError("USAGE", `There is no module ${displayPath(file)}`);
  if (!found.isFile() || !MODULE.test(file)) {
    throw new CliError(
      "USAGE",
      `${displayPath(file)} is no module: give a .js, .mjs, .cjs, .ts, .mts or .cts file`,
    );
  }
  return { file, exportName };
}

const EXTENSIONS = [".js", ".mjs", ".cjs", ".ts", ".mts", ".cts"];

/** `onconnect/app.handler`, as a function's `Handler` says it: the file's name ends at its first dot. */
function parseLambdaHandler(path: string): Reference | undefined {
  const [, name, exportName] = /^([^.]+)\.(.+)$/.exec(basename(path)) ?? [];
  if (name === undefined || exportName === undefined || EXTENSIONS.includes(`.${exportName}`))
    return undefined;
  const files = EXTENSIONS.map((extension) => join(dirname(path), `${name}${extension}`));
  const file = files.find(isFile);
  return file === undefined ? undefined : { file, exportName };
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

/**
 * The export that `reference` names, or else the first of `names` that the module has. CommonJS modules, whose
 * exports Node can't always tell, are looked into as well.
 * @throws {CliError} USAGE, telling what the module does export
 */
export function pickExport(
  exports: ModuleExports,
  reference: Reference,
  names: readonly string[],
): LambdaHandler | LiftApp {
  const wanted = reference.exportName === undefined ? names : [reference.exportName];
  const places = [exports, exports.default].filter(isObject);
  for (const name of wanted) {
    for (const place of places) {
      const value = readNested(place, name);
      if (isStreamer(value)) return value.app;
      if (isLiftApp(value) || typeof value === "function") return value as LambdaHandler | LiftApp;
    }
  }
  const there = [...new Set(places.flatMap(Object.keys))].join(", ") || "nothing";
  const missing = wanted.join(" or ");
  throw new CliError(
    "USAGE",
    `${displayPath(reference.file)} exports no function or Lift app as ${missing}; it exports ${there}`,
  );
}

/** Wraps what a module threw when it was imported. */
export function loadError({ file }: Reference, cause: unknown): CliError {
  if (cause instanceof CliError) {
    return new CliError("FAILED", `${displayPath(file)} can't be loaded: ${cause.message}`, {
      cause: cause.cause,
    });
  }
  // A store's error says the remedy. The application may have another copy of the class.
  if (cause instanceof Error && cause.name === "StoreError") {
    return new CliError("FAILED", `${displayPath(file)} can't be loaded: ${cause.message}`);
  }
  const name = findMissingPackage(cause);
  const reason = name === undefined ? ":" : `, as ${installHint(name)}`;
  return new CliError("FAILED", `${displayPath(file)} can't be loaded${reason}`, { cause });
}

/** `a.b` is the property b of the export a, as in Lambda. */
function readNested(place: Record<string, unknown>, name: string): unknown {
  if (name in place) return place[name];
  return name.split(".").reduce<unknown>((value, key) => (isObject(value) ? value[key] : undefined), place);
}

/** A Streamer, told by its shape: the application may have another copy of this package. */
export interface DescribedStreamer {
  readonly app: LiftApp;
  describe(): StreamerDescription;
}

export function isStreamer(value: unknown): value is DescribedStreamer {
  return isObject(value) && typeof value.describe === "function" && isLiftApp(value.app);
}

export function isLiftApp(value: unknown): value is LiftApp {
  return (
    isObject(value) &&
    typeof value.webSocketHandler === "function" &&
    isObject(value.routeKeys) &&
    Symbol.iterator in value.routeKeys
  );
}

/** As a person here would type it. */
export function displayPath(file: string): string {
  const path = relative(process.cwd(), file);
  return path.startsWith("..") ? file : path;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}
