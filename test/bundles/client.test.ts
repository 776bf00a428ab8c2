// The size of the client in a page, with the features that the page uses.
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { expect, it } from "vitest";

const FEATURES = ["requests()", "presence()", "streams()", "blobs()", "outbox(storage)"];
/** In bytes, minified and gzipped. */
const MAX_SMALLEST = 8_800;
const MAX_EVERYTHING = 12_800;
const MAX_FEATURE = 2_048;

/** Bundles a page whose client uses these features. */
async function sizeOf(features: readonly string[]): Promise<number> {
  const names = features.map((feature) => feature.replace(/\(.*/, ""));
  const code = `import { ${["createClient", ...names].join(", ")} } from "lift-ws/client";
    export const connect = (url, storage) => createClient({ url, use: [${features.join(", ")}] });`;
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: join(import.meta.dirname, "../..") },
    platform: "browser",
    target: "es2022",
    format: "esm",
    bundle: true,
    minify: true,
    write: false,
    conditions: ["@lift-ws/source"],
  });
  return gzipSync(outputFiles[0]!.contents, { level: 9 }).length;
}

it("ships only the features that a page uses", async () => {
  const [smallest, everything] = [await sizeOf([]), await sizeOf(FEATURES)];
  const prices = await Promise.all(FEATURES.map(async (feature) => (await sizeOf([feature])) - smallest));
  const rows = FEATURES.map((feature, at) => [feature, `+${prices[at]}`]);
  console.info(
    [["smallest client", smallest], ...rows, ["everything", everything]]
      .map(([what, bytes]) => `${String(what).padEnd(16)}${String(bytes).padStart(7)} bytes`)
      .join("\n"),
  );
  expect(smallest).toBeLessThanOrEqual(MAX_SMALLEST);
  expect(everything).toBeLessThanOrEqual(MAX_EVERYTHING);
  for (const [at, price] of prices.entries()) {
    expect(price, FEATURES[at]).toBeGreaterThan(150);
    expect(price, FEATURES[at]).toBeLessThan(MAX_FEATURE);
  }
});
