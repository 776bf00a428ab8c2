// Runs before each test file. Makes results independent of chance and of the machine's load.
import { vi } from "vitest";

/** `npm run check:properties` draws and prints another seed. */
const seed = Number(process.env.PROPERTY_SEED ?? 20_260_101);

/** Limit of a wait, in ms. A wait ends when its condition holds, so a long limit costs time only when a test fails. */
const PATIENCE_MS = 60_000;

vi.mock("fast-check", async (load) => {
  const fastCheck = await load<typeof import("fast-check")>();
  fastCheck.configureGlobal({ ...fastCheck.readConfigureGlobal(), seed });
  return fastCheck;
});

const { waitFor, waitUntil } = vi;
vi.waitFor = (check, options) => waitFor(check, patient(options));
vi.waitUntil = (check, options) => waitUntil(check, patient(options));

function patient<Options extends { timeout?: number }>(options: number | Options | undefined) {
  const given = typeof options === "number" ? { timeout: options } : options;
  return { timeout: PATIENCE_MS, ...given };
}
