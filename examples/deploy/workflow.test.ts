import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";

interface Job {
  readonly needs?: string;
  readonly environment?: string;
  readonly permissions?: { readonly [scope: string]: string };
  readonly steps: readonly { readonly run?: string; readonly uses?: string; readonly env?: object }[];
}

const read = (name: string) => readFileSync(join(import.meta.dirname, name), "utf8");
const workflow = parse(read("github-workflow.yml"));
const jobs: { readonly [name: string]: Job } = workflow.jobs;
const scripts = Object.values(jobs).flatMap(({ steps }) => steps.flatMap(({ run }) => run ?? []));

describe("the workflow of the deployment", () => {
  it("deploys the tested artifact to staging, then to production, and rolls back", () => {
    const order = Object.entries(jobs).map(([name, { needs, environment }]) => [name, needs, environment]);
    expect(order).toEqual([
      ["build", undefined, undefined],
      ["staging", "build", "staging"],
      ["production", "staging", "production"],
      ["roll-back", "production", "production"],
    ]);
    const deployment = ({ steps }: Job) => steps.slice(0, 7);
    expect(deployment(jobs.production!)).toEqual(deployment(jobs.staging!));
  });

  it("gives an identity for AWS only to the jobs that deploy, and stores no key", () => {
    const identified = Object.entries(jobs).filter(([, { permissions }]) => permissions?.["id-token"]);
    expect(identified.map(([name]) => name)).toEqual(["staging", "production", "roll-back"]);
    expect(read("github-workflow.yml")).not.toMatch(/access-key/);
    // A secret in a script would be in the log of a failed one.
    expect(scripts.filter((script) => script.includes("secrets."))).toEqual([]);
  });

  it("has valid scripts, which name this stack, its parameter and files that exist", () => {
    for (const script of scripts) expect(spawnSync("bash", ["-n", "-c", script]).status, script).toBe(0);
    const files = scripts.flatMap((script) => script.match(/(?<=node )[\w.]+/g) ?? []);
    expect([...new Set(files)].sort()).toEqual(["smoke.ts", "token.ts"]);
    for (const file of files) expect(existsSync(join(import.meta.dirname, file))).toBe(true);
    const parameter = scripts.join("\n").match(/--parameters "(\w+)=/)?.[1];
    expect(read("stack.ts")).toContain(`new Stack(app, "${workflow.env.STACK}"`);
    expect(read("stack.ts")).toContain(`parameter("${parameter}")`);
  });
});
