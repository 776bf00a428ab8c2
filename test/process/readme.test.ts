import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { Example, scriptsIn } from "./example.ts";

const README = readFileSync(join(import.meta.dirname, "../../README.md"), "utf8");

it("README.md has a server and a client that print what it says", async () => {
  const server = await Example.start("README.md");
  onTestFinished(() => server.end());
  const scripts = scriptsIn("README.md");
  expect(scripts.map(({ file }) => file)).toEqual(["client.mts"]);
  for (const script of scripts) expect(await server.run(script)).toBe(script.prints);
});

it("README.md has at most 450 words before its links", () => {
  const [introduction = ""] = README.split("\n## Where next\n");
  const prose = introduction.replaceAll(/^```.*?^```$/gms, "");
  expect(prose.split(/\s+/).filter((word) => /\w/.test(word)).length).toBeLessThanOrEqual(450);
});
