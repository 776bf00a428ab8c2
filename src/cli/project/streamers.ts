import { CliError } from "../errors.ts";
import {
  type DescribedStreamer,
  displayPath,
  isLiftApp,
  isObject,
  isStreamer,
  type Reference,
} from "./handlers.ts";
import type { ModuleExports } from "./modules.ts";

/**
 * Returns the Streamer that a reference names, or the only one that the module exports.
 * @throws {CliError} USAGE; the message says what to export
 */
export function pickStreamer(exports: ModuleExports, reference: Reference): DescribedStreamer {
  const places = [exports, exports.default].filter(isObject);
  const all = new Map(places.flatMap((place) => Object.entries(place)));
  const { exportName } = reference;
  const name = displayPath(reference.file);
  if (exportName !== undefined) return pickByName(all, exportName, name);
  const streamers = [...all].filter(([, value]) => isStreamer(value));
  const [streamer, second] = new Set(streamers.map(([, value]) => value as DescribedStreamer));
  if (streamer === undefined) {
    throw new CliError("USAGE", `${name} exports no Streamer; it exports ${listNames(all)}: ${EXPORT_HINT}`);
  }
  if (second === undefined) return streamer;
  const names = streamers.map(([name]) => name);
  throw new CliError(
    "USAGE",
    `${name} exports several Streamers, ${names.join(", ")}: name one, as in ${name}#${names[0]}`,
  );
}

const EXPORT_HINT = "export the result of createStreamer";

function pickByName(
  all: ReadonlyMap<string, unknown>,
  exportName: string,
  module: string,
): DescribedStreamer {
  const value = all.get(exportName);
  if (isStreamer(value)) return value;
  const reason = all.has(exportName)
    ? `${module}#${exportName} is ${describeValue(value)}`
    : `${module} has no export ${exportName}; it exports ${listNames(all)}`;
  throw new CliError("USAGE", `${reason}: ${EXPORT_HINT}`);
}

function describeValue(value: unknown): string {
  if (isLiftApp(value)) return "a Lift app, which does not describe its messages";
  if (typeof value === "function") return "a function";
  if (value instanceof Promise) return "a promise";
  return "not a Streamer";
}

function listNames(all: ReadonlyMap<string, unknown>): string {
  return [...all.keys()].join(", ") || "nothing";
}
