// docs/migrate/from-handlers.md, followed as it stands there.
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { type Command, Project } from "../process/project.ts";
import { codeBlocks } from "../support/markdown.ts";

const PAGE = join(import.meta.dirname, "../../docs/migrate/from-handlers.md");
const ENVIRONMENT = {
  AWS_ENDPOINT_URL_DYNAMODB: inject("dynamoDBEndpoint"),
  AWS_REGION: "eu-west-1",
  AWS_ACCESS_KEY_ID: "local",
  AWS_SECRET_ACCESS_KEY: "local",
};
const execute = promisify(execFile);

const blocks = codeBlocks(readFileSync(PAGE, "utf8"));
const files = blocks
  .filter(({ info }) => info.startsWith("ts shown "))
  .map(({ info, code }) => [info.replace("ts shown ", ""), code] as const);
const printed = blocks.find(({ info }) => info === "text")?.code;
/** The flag's value on the page. */
const [, half = "absent"] = /USE_LIFT_V2='(.*)'/.exec(blocks.map(({ code }) => code).join()) ?? [];
let project: Project;

beforeAll(async () => {
  project = await Project.create(Object.fromEntries(files));
  await run("table.mts");
});

afterAll(() => project?.remove());

/** Runs a script of the page. @returns its output */
async function run(file: string): Promise<string> {
  const { stdout } = await execute(process.execPath, ["--conditions=@lift-ws/source", file], {
    cwd: project.directory,
    env: { ...process.env, ...ENVIRONMENT },
  });
  return stdout;
}

async function converse({ url }: Command): Promise<string> {
  const code = files.find(([name]) => name === "conversation.mts")?.[1] ?? "";
  await project.save("conversation.mts", code.replace("127.0.0.1:3001", new URL(url).host));
  return run("conversation.mts");
}

it.each([
  ["old.mts", ""],
  ["new.mts", ""],
  ["handler.mts", ""],
  ["handler.mts", half],
  ["handler.mts", "true"],
])("has the same conversation on %s with the flag %j", async (module, USE_LIFT_V2) => {
  const lift = await project.dev([module], { ...ENVIRONMENT, USE_LIFT_V2 });
  expect(await converse(lift)).toBe(printed);
  await lift.kill();
});

it.each([
  ["old.mts", "true"],
  ["new.mts", ""],
])("does not call %s with the flag %j", async (module, USE_LIFT_V2) => {
  const [, code = ""] = files.find(([name]) => name === module) ?? [];
  await project.save(module, 'export const handler = async () => { throw new Error("not this side"); };');
  const lift = await project.dev(["handler.mts"], { ...ENVIRONMENT, USE_LIFT_V2 });
  expect(await converse(lift)).toBe(printed);
  await lift.kill();
  await project.save(module, code);
});
