// The files of docs/guide/deploy.md and of examples/deploy, as a user has them: synthesized, run by `lift-ws local`, and tested.
import { execFile } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { context } from "esbuild";
import { chromium } from "playwright-core";
import { expect, inject, it, onTestFinished } from "vitest";
import { mintDevelopmentToken } from "../../src/cli/index.ts";
import { CHROMIUM, FLAGS } from "../browser/chromium.ts";
import { type Command, Project } from "../process/project.ts";
import { codeBlocks } from "../support/markdown.ts";

const ROOT = join(import.meta.dirname, "../..");
const EXAMPLE = join(ROOT, "examples/deploy");

const execute = promisify(execFile);
const node = (file: string, argv: readonly string[], env: object, cwd = ROOT) =>
  execute(process.execPath, ["--conditions=@lift-ws/source", file, ...argv], {
    cwd,
    env: { ...process.env, ...env },
  });

async function createProject(files: Record<string, string> = {}): Promise<Project> {
  const project = await Project.create(files);
  onTestFinished(() => project.remove());
  return project;
}

/** Runs the template that a stack's file makes. */
async function runStack(
  project: Project,
  stack: string,
  name: string,
  flags: readonly string[] = [],
): Promise<Command> {
  await node(stack, [], { CDK_OUTDIR: join(project.directory, "cdk.out") }, project.directory);
  const lift = project.run([
    ...[
      "local",
      `cdk.out/${name}.template.json`,
      "--port",
      "0",
      "--stack-name",
      `s${randomUUID().slice(0, 8)}`,
    ],
    ...["--dynamodb-endpoint", inject("dynamoDBEndpoint"), ...flags],
  ]);
  await lift.prints(/^Routes/m);
  return lift;
}

const smokeTest = (url: string, env: { readonly TOKEN: string; readonly TIMEOUT_SECONDS?: string }) =>
  node(join(EXAMPLE, "smoke.ts"), [url], env);

it("docs/guide/deploy.md deploys a chat with ten lines, and its page chats", async () => {
  const blocks = codeBlocks(readFileSync(join(ROOT, "docs/guide/deploy.md"), "utf8"));
  const files = blocks.flatMap(({ info, code }) => {
    const [, name] = /^\w+ stack (\S+)$/.exec(info) ?? [];
    return name === undefined ? [] : [[name, code] as const];
  });
  const project = await createProject({
    "package.json": '{ "type": "module" }',
    ...Object.fromEntries(files),
  });
  for (const name of ["aws-cdk-lib", "constructs", "esbuild"]) await project.install(name);
  const {
    "cdk.json": settings = "",
    "stack.ts": stack = "",
    "page.ts": page = "",
  } = Object.fromEntries(files);
  expect(JSON.parse(settings)).toEqual({ app: "node stack.ts" });
  expect(stack.split("\n").filter((line) => line.trim() !== "").length).toBeLessThanOrEqual(10);
  const { url } = await runStack(project, join(project.directory, "stack.ts"), "Chat");

  await project.save("page.ts", page.replace("ws://127.0.0.1:3001/prod", url));
  const address = await servePage(project.directory);
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
  onTestFinished(() => browser.close());
  const open = async (sub: string) => {
    const token = await mintDevelopmentToken({ sub }, join(project.directory, ".lift-ws"));
    const window = await browser.newPage();
    await window.goto(`${address}#${token}`);
    return window;
  };
  const [ann, bob] = [await open("ann"), await open("bob")];
  await ann.getByLabel("Message").fill("Hello");
  await ann.getByRole("button", { name: "Send" }).click();
  for (const window of [ann, bob]) await window.getByText("ann: Hello").waitFor();
});

/** Serves the page as the command in the guide does. @returns its address */
async function servePage(directory: string): Promise<string> {
  const bundle = await context({
    absWorkingDir: directory,
    entryPoints: ["page.ts"],
    bundle: true,
    format: "esm",
    outdir: "public",
    conditions: ["@lift-ws/source"],
  });
  onTestFinished(() => bundle.dispose());
  const { port } = await bundle.serve({ servedir: join(directory, "public"), host: "127.0.0.1", port: 0 });
  return `http://127.0.0.1:${port}/`;
}

it("examples/deploy takes tokens that its secret has signed, and its smoke test fails with others", async () => {
  const project = await createProject();
  const [TOKEN_SECRET, other] = [randomBytes(48), randomBytes(48)].map((key) => key.toString("base64url"));
  const flags = ["--parameter", `TokenSecret=${TOKEN_SECRET}`];
  const { url } = await runStack(project, join(EXAMPLE, "stack.ts"), "Lounge", flags);
  const sign = async (secret: string) =>
    (await node(join(EXAMPLE, "token.ts"), ["ann"], { TOKEN_SECRET: secret })).stdout.trim();
  expect((await smokeTest(url, { TOKEN: await sign(TOKEN_SECRET!) })).stdout).toMatch(/^ok/);
  await expect(smokeTest(url, { TOKEN: await sign(other!), TIMEOUT_SECONDS: "1" })).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringContaining("No answer in 1 s: connect"),
  });
});
