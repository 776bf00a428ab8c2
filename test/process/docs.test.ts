import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { afterEach, expect, it } from "vitest";
import { codeBlocks } from "../support/markdown.ts";
import { ask, Project } from "./project.ts";

let project: Project;

afterEach(() => project.remove());

/** The files in docs/how-to/run-locally.md, named after the fence or in a comment on the first line. */
async function shownFiles(): Promise<Record<string, string>> {
  const text = await readFile(resolve(import.meta.dirname, "../../docs/how-to/run-locally.md"), "utf8");
  const blocks = text.matchAll(/```\w+(?: (?<name>[\w.]+))?\n(?<code>(?:\/\/ (?<comment>\S+)\n)?.*?)```/gs);
  const files = [...blocks].map(({ groups = {} }) => [groups.name ?? groups.comment, groups.code] as const);
  return Object.fromEntries(files.filter(([name]) => name !== undefined));
}

it("docs/how-to/run-locally.md shows handlers that run", async () => {
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

it("docs/how-to/run-locally.md shows an app that accepts only tokens of lift-ws token", async () => {
  project = await Project.create(await shownFiles());
  const token = project.run(["token", "--sub", "ann", "--tenant", "acme"]);
  expect(await token.exited).toBe(0);
  const bearer = { headers: { Authorization: `Bearer ${token.output.trim()}` } };

  const lift = await project.dev(["who.mjs"]);
  await expect(project.connect(lift.url)).rejects.toThrow("refused with 401");
  const socket = await project.connect(lift.url, bearer);
  expect(await ask(socket, '{"action":"who"}')).toBe('{"user":"ann","tenant":"acme"}');

  // A variable that is already set stays.
  const other = await project.dev(["who.mjs"], {
    LIFT_WS_DEVELOPMENT_SECRET: "of another, as long as it must be",
  });
  await expect(project.connect(other.url, bearer)).rejects.toThrow("refused with 401");
});

it("gives handlers no development secret beyond loopback", async () => {
  project = await Project.create(await shownFiles());
  const keys = { AWS_ACCESS_KEY_ID: "AKIAMINE", AWS_SECRET_ACCESS_KEY: "mine" };
  const lift = project.run(["dev", "who.mjs", "--port", "0", "--host", "0.0.0.0"], keys);
  expect(await lift.exited).toBe(1);
  expect(lift.output).toContain("`jwt.secret` is empty; set the variable it comes from");
});

it("docs/migrate/from-serverless-offline.md shows handlers, routes and a client that run", async () => {
  const page = await readFile(
    resolve(import.meta.dirname, "../../docs/migrate/from-serverless-offline.md"),
    "utf8",
  );
  const blocks = codeBlocks(page);
  const files = blocks.flatMap(({ info, code }) => {
    const name = / shown (\S+)$/.exec(info)?.[1];
    return name === undefined ? [] : [[name, code] as const];
  });
  project = await Project.create(Object.fromEntries(files));
  const lift = await project.dev(["--routes", "routes.json"]);
  const socket = await project.connect(`${lift.url}?user=ann`);
  const printed = blocks.find(({ info }) => info === "text")?.code;
  expect(await ask(socket, '{"action":"echo"}')).toBe(printed?.trim());
});
