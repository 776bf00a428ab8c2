import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { afterEach, expect, it } from "vitest";
import { ask, Project } from "./project.ts";

let project: Project;

afterEach(() => project.remove());

/** The files that docs/cli.md shows: named after the fence, or in a comment on the first line. */
async function shownFiles(): Promise<Record<string, string>> {
  const text = await readFile(resolve(import.meta.dirname, "../../docs/cli.md"), "utf8");
  const blocks = text.matchAll(/```\w+(?: (?<name>[\w.]+))?\n(?<code>(?:\/\/ (?<comment>\S+)\n)?.*?)```/gs);
  const files = [...blocks].map(({ groups = {} }) => [groups.name ?? groups.comment, groups.code] as const);
  return Object.fromEntries(files.filter(([name]) => name !== undefined));
}

it("docs/cli.md shows handlers that run", async () => {
  project = await Project.create(await shownFiles());
  const one = await project.dev(["handler.mjs"]);
  const first = await project.connect(one.url);
  first.send("hello");
  await one.prints(/^\$default hello$/m);

  const many = await project.dev(["--routes", "routes.json"]);
  await expect(project.connect(many.url)).rejects.toThrow("refused with 401");
  const second = await project.connect(`${many.url}?user=ann`);
  expect(await ask(second, '{"action":"echo"}')).toBe('ann said {"action":"echo"}');
});
