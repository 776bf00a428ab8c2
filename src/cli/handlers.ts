import { statSync } from "node:fs";
import { relative, resolve } from "node:path";
import type { Connections, LambdaContext, LambdaHandler, WebSocketEvent } from "../apigw/index.ts";
import type { ConnectionStore, Schedule } from "../store/index.ts";
import { CliError } from "./errors.ts";
import { howToInstall, missingPackage } from "./missing-package.ts";
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
 * @param base what the path is relative to
 * @throws {CliError} USAGE, when there is no such file or it is no module
 */
export function parseReference(text: string, base: string): Reference {
  const mark = text.lastIndexOf("#");
  const path = mark === -1 ? text : text.slice(0, mark);
  const file = resolve(base, path);
  const found = statSync(file, { throwIfNoEntry: false });
  if (found === undefined) throw new CliError("USAGE", `There is no module ${shown(file)}`);
  if (!found.isFile() || !MODULE.test(file)) {
    throw new CliError(
      "USAGE",
      `${shown(file)} is no module: give a .js, .mjs, .cjs, .ts, .mts or .cts file`,
    );
  }
  return { file, exportName: mark === -1 ? undefined : text.slice(mark + 1) };
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
      const value = place[name];
      if (isLiftApp(value) || typeof value === "function") return value as LambdaHandler | LiftApp;
    }
  }
  const there = [...new Set(places.flatMap(Object.keys))].join(", ") || "nothing";
  const missing = wanted.join(" or ");
  throw new CliError(
    "USAGE",
    `${shown(reference.file)} exports no function or Lift app as ${missing}; it exports ${there}`,
  );
}

/** Wraps what a module threw when it was imported. */
export function cannotLoad({ file }: Reference, cause: unknown): CliError {
  // A store's error says the remedy. The application may have another copy of the class.
  if (cause instanceof Error && cause.name === "StoreError") {
    return new CliError("FAILED", `${shown(file)} can't be loaded: ${cause.message}`);
  }
  const name = missingPackage(cause);
  const reason = name === undefined ? ":" : `, as ${howToInstall(name)}`;
  return new CliError("FAILED", `${shown(file)} can't be loaded${reason}`, { cause });
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
export function shown(file: string): string {
  const path = relative(process.cwd(), file);
  return path.startsWith("..") ? file : path;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}
