// docs/introduction-workshop.md, followed as it stands there.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { codeBlocks } from "../support/markdown.ts";
import { type Command, Project } from "./project.ts";

const blocks = codeBlocks(
  readFileSync(join(import.meta.dirname, "../../docs/introduction-workshop.md"), "utf8"),
);
const files = new Map(
  blocks.flatMap(({ info, code }) => {
    const name = /^ts workshop (\S+)$/.exec(info)?.[1];
    return name === undefined ? [] : [[name, code] as const];
  }),
);
const printed = blocks.find(({ info }) => info === "text")?.code;
const repair =
  blocks
    .find(({ info }) => info === "ts")
    ?.code.trim()
    .split("\n")
    .at(-1) ?? "";
let project: Project;

beforeAll(async () => {
  project = await Project.create(Object.fromEntries(files));
});

afterAll(() => project?.remove());

/** Runs a client of the page against a server. */
async function client(name: string, { url }: Command): Promise<Command> {
  await project.save(name, (files.get(name) ?? "").replace("127.0.0.1:3001", new URL(url).host));
  return project.node(name);
}

it.each(["old.mts", "new.mts"])("%s answers the client", async (module) => {
  const lift = await project.dev([module]);
  const running = await client("client.mts", lift);
  expect(await running.exited).toBe(0);
  expect(running.output).toBe(printed);
  await lift.kill();
});

it("rolls the first version back, and completes the repaired one without dropping a connection", async () => {
  const lift = await project.dev(["handler.mts", "--watch"]);
  const load = await client("load.mts", lift);
  const rollout = (verb: string) => project.run(["rollout", verb, "--config", "rollout.mts"]);
  expect(await rollout("start").exited).toBe(0);
  const first = rollout("watch");
  expect(await first.exited).toBe(1);
  expect(first.output).toMatch(/rollback: 10 % to 0 %, rolled back, .* error rate of [\d.]+ % exceeds 1 %/);
  expect(lift.output).toContain("Reduce of empty array with no initial value");

  const code = files.get("new.mts") ?? "";
  const repaired = code.replace(/const total = .*/, repair);
  expect(repaired).not.toBe(code);
  await project.save("new.mts", repaired);
  await lift.prints(/Reloaded/);
  expect(await rollout("start").exited).toBe(0);
  const second = rollout("watch");
  await second.prints(/promote: 50 % to 100 %, complete/);
  await second.kill();
  const status = rollout("status");
  expect(await status.exited).toBe(0);
  expect(status.output).toContain("Rollout complete: 100 % on the new side");
  await load.prints(/"totals":\d+/);
  const counts = load.output.trim().split("\n").at(-1) ?? "";
  expect(JSON.parse(counts)).toMatchObject({ dropped: 0 });
}, 300_000);
