import type { RequestListener } from "node:http";
import { pathToFileURL } from "node:url";
import { CliError } from "../errors.ts";
import { cannotLoad, pickExport, type Reference, shown } from "./handlers.ts";

/**
 * Loads what answers the HTTP requests that are not the API's: `(request, response) => void`, as Node's own server
 * takes it.
 * @throws {CliError} USAGE when the module has none; FAILED, with the cause, when it throws
 */
export async function loadListener(reference: Reference): Promise<RequestListener> {
  const exports = await import(pathToFileURL(reference.file).href).catch((cause: unknown) => {
    throw cannotLoad(reference, cause);
  });
  const listener = pickExport(exports, reference, ["default"]);
  if (typeof listener === "function") return listener as unknown as RequestListener;
  throw new CliError(
    "USAGE",
    `${shown(reference.file)} is a Lift app: --http wants (request, response) => void`,
  );
}
