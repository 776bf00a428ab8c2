// Creates the folder for test/secrets/record.ts, unless tools/commands.mjs created one to search afterwards.
// Created in the main process: vitest ends its workers by a signal, so they could not remove it.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export default function setup(): (() => void) | undefined {
  if (process.env.OUTPUT_FOLDER !== undefined) return undefined;
  const folder = mkdtempSync(join(tmpdir(), "lift-ws-output-"));
  process.env.OUTPUT_FOLDER = folder;
  return () => rmSync(folder, { recursive: true, force: true });
}
