import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";
import manifest from "../../../package.json" with { type: "json" };

const MAIN = join(import.meta.dirname, "../../../src/cli/main.ts");
const [, oldest] = /^>=(\d+\.\d+)$/.exec(manifest.engines.node)!;

/** Runs the command on a Node that reports another version. */
function onNode(version: string) {
  const pretend = `Object.defineProperty(process, "versions", { value: { node: "${version}" } })`;
  const args = [
    "--conditions=@lift-ws/source",
    "--import",
    `data:text/javascript,${pretend}`,
    MAIN,
    "--version",
  ];
  return spawnSync(process.execPath, args, { encoding: "utf8" });
}

it.each(["20.20.2", "22.9.0", "22.18.3"])(
  "the command says in one line that Node %s is too old",
  (version) => {
    const { status, stderr } = onNode(version);
    expect([status, stderr.split("\n").length]).toEqual([1, 2]);
    expect(stderr).toContain(`needs Node ${oldest}.0 or later`);
  },
);

it.each([`${oldest}.0`, "22.100.0", "24.0.0"])("the command runs on Node %s", (version) => {
  expect(onNode(version)).toMatchObject({ status: 0, stdout: `${manifest.version}\n`, stderr: "" });
});
