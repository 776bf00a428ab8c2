import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { codeBlocks } from "../support/markdown.ts";

const root = join(import.meta.dirname, "../..");

it("runs the documented cases of a custom store under node:test", async () => {
  const page = readFileSync(join(root, "docs/how-to/custom-stores.md"), "utf8");
  const example = codeBlocks(page).find(({ info }) => info === "ts")?.code ?? "";
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ["--conditions=@lift-ws/source", "--input-type=module-typescript", "--eval", example],
    // In a test runner's worker, node:test would report in another format.
    { cwd: root, env: { ...process.env, NODE_TEST_CONTEXT: undefined, NODE_OPTIONS: "", NO_COLOR: "1" } },
  );
  expect(stdout).toMatch(/pass [1-9]\d/);
  expect(stdout).toContain("fail 0");
});
