// `lift-ws requests` on a SQLite file whose server has stopped.
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { sqliteChannelStore } from "../../src/store/sqlite/index.ts";
import { Project } from "./project.ts";

const APP = `import { createStreamer } from "lift-ws/streamer";
  import { sqliteChannelStore } from "lift-ws/store/sqlite";
  export const chat = createStreamer({ channels: { room: {} }, store: sqliteChannelStore({ path: "chat.db" }) })
    .request("report", { estimatedMs: 60_000 }, () => "done");`;
const ADA = ["--user", "ada", "--tenant", "acme"];

let project: Project;

beforeEach(async () => {
  project = await Project.create({ "app.mjs": APP });
  const { requests, close } = sqliteChannelStore({ path: join(project.directory, "chat.db") });
  const owner = JSON.stringify(["acme", "ada"]);
  const identity = { userId: "ada", tenantId: "acme", roles: [], permissions: [] };
  for (const id of ["failed", "waiting"]) {
    await requests!.create({
      ...{ owner, id, action: "report", input: null, tenant: '"acme"', identity, priority: 0 },
      ...{ createdAt: 1, dueAt: id === "failed" ? 1 : 1e15 },
    });
  }
  const lease = { owner, id: "failed", token: "t" };
  await requests!.claim(lease, { now: 1, leaseUntil: 2 });
  const failure = { code: "BROKEN", message: "It is broken" };
  await requests!.finish(lease, { state: "FAILED", failure, expiresAt: 1e15 }, 1);
  close();
});

afterEach(() => project.remove());

async function output(...argv: string[]): Promise<string> {
  const command = project.run(["requests", ...argv]);
  expect([await command.exited, command.output]).toEqual([0, command.output]);
  return command.output;
}

it("lists the dead letters, runs one again, and cancels another", async () => {
  expect(await output("list", "app.mjs")).toBe(
    "failed  report  FAILED  attempt 1  1970-01-01T00:00:00.001Z  user ada  tenant acme  BROKEN: It is broken\n",
  );
  expect(await output("redrive", "app.mjs", "failed", ...ADA)).toMatch(
    /^failed {2}report {2}PENDING {2}attempt 0/,
  );
  expect(await output("cancel", "app.mjs", "waiting", ...ADA)).toMatch(/^waiting {2}report {2}CANCELLED/);
  const lines = (await output("list", "app.mjs", ...ADA, "--json"))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(lines.map(({ id, state }) => [id, state]).sort()).toEqual([
    ["failed", "PENDING"],
    ["waiting", "CANCELLED"],
  ]);
  expect(await output("list", "app.mjs")).toBe("");
});

it.each([
  [
    ["show", "app.mjs", "nothing", ...ADA],
    1,
    "There is no request nothing of this user: check --user and --tenant",
  ],
  [["redrive", "app.mjs", "waiting", ...ADA], 1, "There is no failed request waiting of this user"],
  [["show", "app.mjs"], 2, "Expected the id of one request"],
  [["show", "app.mjs", "a", "b"], 2, "Expected the id of one request"],
  [["list", "app.mjs", "a"], 2, 'Unexpected argument "a"'],
  [["list", "app.mjs", "--tenant", "acme"], 2, "list with --tenant requires --user"],
  [["lists", "app.mjs"], 2, "Expected one of list, show, redrive, cancel"],
  [["list"], 2, "Missing argument"],
])("%j exits with %i and a reason", async (argv, code, reason) => {
  const command = project.run(["requests", ...argv]);
  expect(await command.exited).toBe(code);
  expect(command.output).toContain(reason);
});
