import { statSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import type { Connections, LambdaContext, LambdaHandler, WebSocketEvent } from "../../apigw/index.ts";
import type { ConnectionStore, Schedule } from "../../store/index.ts";
import type { StoredRequests, StreamerDescription } from "../../streamer/index.ts";
import { CliError } from "../errors.ts";
import { findMissingPackage, installHint } from "../missing-package.ts";
import type { ModuleExports } from "./modules.ts";

/** Extensions of files that Node can load. */
const MODULE = /\.[cm]?[jt]s$/;

/** A handler on the command line or in routes.json: `./file.js` or `./file.js#export`. */
export interface Reference {
  readonly file: string;
  readonly exportName: string | undefined;
}

/** A Lift app. Detected by its members, because the application may have another copy of this package. */
export interface LiftApp {
  readonly routeKeys: Iterable<string>;
  readonly connectionStore?: ConnectionStore | undefined;
  readonly schedule?: Schedule | undefined;
  stop?(): Promise<void>;
  tick?(options: { readonly connections: Connections }): Promise<unknown>;
  webSocketHandler(options: {
    readonly connections: Connections;
  }): (event: WebSocketEvent, context: LambdaContext) => unknown;
}

/**
 * Parses `./file.js`, `./file.js#export`, or Lambda's `folder/file.export`. A path may contain `#`.
 * @param base the folder of a relative path
 * @throws {CliError} USAGE when the file does not exist or is not a module
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
  if (found === undefined) throw new CliError("USAGE", `Cannot find the module ${displayPath(file)}`);
  if (!found.isFile() || !MODULE.test(file)) {
    throw new CliError(
      "USAGE",
      `${displayPath(file)} is not a module; expected a .js, .mjs, .cjs, .ts, .mts or .cts file`,
    );
  }
  return { file, exportName };
}

const EXTENSIONS = [".js", ".mjs", ".cjs", ".ts", ".mts", ".cts"];

/** Parses `onconnect/app.handler`, the form of a function's `Handler`. The file name ends at its first dot. */
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
 * Returns the export that a reference names, or the first of `names` that the module has. Also searches the default
 * export, because Node cannot always detect the exports of a CommonJS module.
 * @throws {CliError} USAGE; the message lists the module's exports
 */
export function pickExport(
  exports: ModuleExports,
  reference: Reference,
  names: readonly string[],
): LambdaHandler | LiftApp {
  const candidates = reference.exportName === undefined ? names : [reference.exportName];
  const places = [exports, exports.default].filter(isObject);
  for (const name of candidates) {
    for (const place of places) {
      const value = readNested(place, name);
      if (isStreamer(value)) return value.app;
      if (isLiftApp(value) || typeof value === "function") return value as LambdaHandler | LiftApp;
    }
  }
  const available = [...new Set(places.flatMap(Object.keys))].join(", ") || "nothing";
  const missing = candidates.join(" or ");
  throw new CliError(
    "USAGE",
    `${displayPath(reference.file)} exports no function or Lift app as ${missing}; it exports ${available}`,
  );
}

/** Wraps the error of an import. */
export function loadError({ file }: Reference, cause: unknown): CliError {
  if (cause instanceof CliError) {
    return new CliError("FAILED", `${displayPath(file)} cannot be loaded: ${cause.message}`, {
      cause: cause.cause,
    });
  }
  // The message of a StoreError has the remedy. Compare names, because the application may have another copy of the class.
  if (cause instanceof Error && cause.name === "StoreError") {
    return new CliError("FAILED", `${displayPath(file)} cannot be loaded: ${cause.message}`);
  }
  const name = findMissingPackage(cause);
  const reason = name === undefined ? ":" : `: ${installHint(name)}`;
  return new CliError("FAILED", `${displayPath(file)} cannot be loaded${reason}`, { cause });
}

/** Reads `a.b`, the property b of the export a, as Lambda does. */
function readNested(place: Record<string, unknown>, name: string): unknown {
  if (name in place) return place[name];
  return name.split(".").reduce<unknown>((value, key) => (isObject(value) ? value[key] : undefined), place);
}

/** A Streamer. Detected by its members, because the application may have another copy of this package. */
export interface DescribedStreamer {
  readonly app: LiftApp;
  describe(): StreamerDescription;
  readonly requests?: StoredRequests | undefined;
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

/** Returns a path relative to the working directory, unless it is outside of it. */
export function displayPath(file: string): string {
  const path = relative(process.cwd(), file);
  return path.startsWith("..") ? file : path;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}
