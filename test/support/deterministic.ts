// Runs before each test file. Makes its outcome independent of chance and of how busy the machine is.
import { vi } from "vitest";

/** Drawn anew, and printed, by `npm run check:properties`. */
const seed = Number(process.env.PROPERTY_SEED ?? 20_260_101);

/** ms. A wait ends when its condition holds, so a long limit costs time only where a test fails. */
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
