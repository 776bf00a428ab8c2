import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";

const ROOT = join(import.meta.dirname, "../../..");

it.each([
  ["two that pass", 'it("a", () => {}); it("b", () => {});', 0, "2 passed, 0 failed"],
  ["one that fails", 'it("a", () => {}); it("b", () => { throw 1; });', 1, "1 passed, 1 failed"],
  ["one that is skipped", 'it("a", () => {}); it.skip("b", () => {});', 0, "1 passed, 0 failed, 1 skipped"],
  ["a file that can't be loaded", "throw new Error();", 1, "0 passed, 1 failed"],
  ["an error outside of tests", 'it("a", () => { Promise.reject(1); });', 1, "1 passed, 1 failed"],
])("counts %s", async (_what, source, exitCode, line) => {
  mkdirSync(join(ROOT, ".lift-ws"), { recursive: true });
  const folder = mkdtempSync(join(ROOT, ".lift-ws/counts-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, "vitest.config.ts"), "export default {};\n");
  writeFileSync(join(folder, "x.test.ts"), `import { it } from "vitest";\n${source}\n`);
  const args = ["run", `--reporter=${join(ROOT, "tools/counts-reporter.mjs")}`];
  const vitest = spawn(process.execPath, [join(ROOT, "node_modules/vitest/vitest.mjs"), ...args], {
    cwd: folder,
    env: { ...process.env, COUNTS_FILE: join(folder, "counts") },
    stdio: "ignore",
  });
  expect(await once(vitest, "exit")).toEqual([exitCode, null]);
  expect(readFileSync(join(folder, "counts"), "utf8")).toBe(`${line}\n`);
});
