// Runs before each test file. Makes results independent of chance and of the machine's load.
import { vi } from "vitest";
import { SEED } from "./seed.ts";

/** Limit of a wait, in ms. A wait ends when its condition holds, so a long limit costs time only when a test fails. */
const PATIENCE_MS = 60_000;

vi.mock("fast-check", async (load) => {
  const fastCheck = await load<typeof import("fast-check")>();
  fastCheck.configureGlobal({ ...fastCheck.readConfigureGlobal(), seed: SEED });
  return fastCheck;
});

const { waitFor, waitUntil } = vi;
vi.waitFor = (check, options) => waitFor(check, patient(options));
vi.waitUntil = (check, options) => waitUntil(check, patient(options));

function patient<Options extends { timeout?: number }>(options: number | Options | undefined) {
  const given = typeof options === "number" ? { timeout: options } : options;
  return { timeout: PATIENCE_MS, ...given };
}
