// The synthesized stack of examples/deploy, run by `lift-ws local`: the template as it is, and with a part removed.
import { spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, it, vi } from "vitest";
import { mintDevelopmentToken } from "../../src/cli/index.ts";
import { measureStreamer } from "../../src/cli/verify/latency.ts";
import { type Command, Project } from "../process/project.ts";
import { connectUser, type Frame } from "./streamer-functions.ts";

const ROOT = join(import.meta.dirname, "../..");
const CONTEXT = { "aws:cdk:enable-path-metadata": true, "aws:cdk:enable-asset-metadata": true };

// biome-ignore lint/suspicious/noExplicitAny: a template as it is written
type Template = any;

let project: Project;

beforeAll(async () => {
  project = await Project.create({});
  const { status, stderr } = spawnSync(
    process.execPath,
    ["--conditions=@lift-ws/source", join(ROOT, "examples/deploy/stack.ts")],
    {
      cwd: ROOT,
      env: {
        ...process.env,
        CDK_OUTDIR: join(project.directory, "cdk.out"),
        CDK_CONTEXT_JSON: JSON.stringify(CONTEXT),
      },
    },
  );
  expect(status, stderr.toString()).toBe(0);
});

afterAll(() => project?.remove());

type Change = (template: Template) => void;

/** Saves the template after a change. */
async function save(name: string, change: Change = () => {}): Promise<void> {
  const template = JSON.parse(readFileSync(join(project.directory, "cdk.out/Lounge.template.json"), "utf8"));
  change(template);
  await project.save(`cdk.out/${name}.json`, JSON.stringify(template, null, 1));
}

/** Runs a saved template, on tables of its own. */
async function runSaved(name: string, ...flags: readonly string[]): Promise<Command> {
  const lift = project.run([
    ...["local", `cdk.out/${name}.json`, "--port", "0", "--stack-name", name],
    ...["--dynamodb-endpoint", inject("dynamoDBEndpoint"), ...flags],
  ]);
  await lift.prints(/^Routes/m);
  return lift;
}

/** Runs the template after a change. */
async function run(change: Change = () => {}, ...flags: readonly string[]): Promise<Command> {
  const name = newName();
  await save(name, change);
  return runSaved(name, ...flags);
}

const newName = () => `s${randomUUID().slice(0, 8)}`;

/** Returns the resources of a type whose CDK path contains a text. */
function find(template: Template, type: string, path: string): [id: string, resource: Template][] {
  const found = Object.entries<Template>(template.Resources).filter(
    ([, { Type, Metadata }]) => Type === type && Metadata?.["aws:cdk:path"]?.includes(path),
  );
  expect(found).not.toEqual([]);
  return found;
}

const REPORT = { start_date: "2026-01-01", end_date: "2026-01-03" };

describe("the stack of examples/deploy", () => {
  let lift: Command;
  beforeAll(async () => {
    lift = await run();
  });
  const connect = (sub: string) => connectUser(project, lift.url, sub);

  it("says what it runs, and what it does not", () => {
    expect(lift.url).toMatch(/^ws:\/\/127\.0\.0\.1:\d+\/prod$/);
    expect(lift.output).toMatch(/^Functions +Streamer\/Worker {2}Streamer\/Connect/m);
    expect(lift.output).toMatch(/^Not run here +AWS::SQS::Queue: StreamerDeadLetters/m);
    expect(lift.output).not.toMatch(/^Not run here +AWS::(Lambda|ApiGatewayV2|DynamoDB|IAM|Events)/m);
  });

  it("refuses who has no token", async () => {
    await expect(project.connect(lift.url)).rejects.toThrow("refused with 401");
  });

  it("delivers messages to members, and what one has missed when it returns", async () => {
    const [ada, bob] = [await connect("ada"), await connect("bob")];
    for (const each of [ada, bob]) {
      each.send("join", "subscribe", { channels: [{ channel: "room:lobby" }] });
      await each.receiveFor("join", "response");
    }
    ada.send("1", "publish", { channel: "room:lobby", data: { text: "one" } });
    const { position } = await bob.receive(({ type, data }) => type === "message" && data.text === "one");
    bob.socket.terminate();
    ada.send("2", "publish", { channel: "room:lobby", data: { text: "two" } });
    await ada.receiveFor("2", "response");
    const returned = await connect("bob");
    returned.send("back", "subscribe", { channels: [{ channel: "room:lobby", position }] });
    const { data } = await returned.receiveFor("back", "response");
    expect(data.channels).toMatchObject([{ recovered: true, messages: [{ data: { text: "two" } }] }]);
  });

  it("shows a live stream", async () => {
    const [ada, bob] = [await connect("ada"), await connect("bob")];
    bob.send("watch", "subscribe", { channels: [{ channel: "stage:lobby" }] });
    await bob.receiveFor("watch", "response");
    ada.send("live", "stream_start", { channel: "stage:lobby", data: "Tea" });
    expect(await bob.receive(({ type }) => type === "stream_started")).toMatchObject({
      live: { user: "ada", data: "Tea" },
    });
  });

  it("runs a long request in the worker, and lists it", async () => {
    const ada = await connect("ada");
    ada.send("report", "generate_report", REPORT);
    await ada.receiveFor("report", "acknowledgment");
    const { result } = await ada.receiveFor("report", "complete");
    expect(result).toMatchObject({ file: "sales.csv", days: 3 });
    ada.send("list", "requests", { limit: 10 });
    const { data } = await ada.receiveFor("list", "response");
    expect(data.requests).toMatchObject([{ state: "COMPLETED" }]);
  });

  it("is measured as by `lift-ws verify`", async () => {
    const token = await mintDevelopmentToken({ sub: "ada" }, join(project.directory, ".lift-ws"));
    const latencies = await measureStreamer(lift.url, token, new AbortController().signal);
    expect(latencies.map(({ ms }) => ms.length)).toEqual([100, 100]);
  });

  it("denies nothing that the functions do", () => {
    expect(lift.output).not.toMatch(/not authorized|AccessDenied|does not run/);
  });

  it("stops with the signal", async () => {
    lift.signal("SIGINT");
    expect(await lift.exited).toBe(0);
  });
});

describe("alarms", () => {
  /** Alarms that have fired in any of the runs. */
  const fired = new Set<string>();

  /** Waits for the alarms, whose names in the construct are given, and ends the run. */
  async function fire(lift: Command, ...names: readonly string[]): Promise<void> {
    for (const name of names) {
      await lift.prints(new RegExp(`ALARM StreamerMonitoring${name}[0-9A-F]{8}: `));
      fired.add(name);
    }
    await lift.kill();
  }

  /** Lets functions fail when they load. */
  function fail(template: Template, ...names: readonly string[]): void {
    for (const name of names) {
      const [, { Properties }] = find(template, "AWS::Lambda::Function", `/${name}/`)[0]!;
      Properties.Environment.Variables.CONNECTIONS_TABLE = "";
    }
  }

  /** Limits functions to one event at a time. */
  function limit(template: Template, ...names: readonly string[]): void {
    for (const name of names) {
      find(template, "AWS::Lambda::Function", `/${name}/`)[0]![1].Properties.ReservedConcurrentExecutions = 1;
    }
  }

  it("fire for failing background functions, old and lost records, and an API without results", async () => {
    const lift = await run(
      (template) => {
        fail(template, "Disconnect", "Fanout", "Dispatch", "Tick");
        for (const [, { Properties }] of find(template, "AWS::Lambda::EventSourceMapping", "")) {
          Properties.MaximumRetryAttempts = 0;
        }
        // A minute in the stack.
        for (const [, { Properties }] of find(template, "AWS::CloudWatch::Alarm", "Late"))
          Properties.Threshold = 1;
      },
      "--schedule",
      "1",
    );
    const ada = await connectUser(project, lift.url, "ada");
    ada.send("1", "publish", { channel: "room:lobby", data: { text: "one" } });
    ada.send("report", "generate_report", REPORT);
    await ada.receiveFor("report", "acknowledgment");
    ada.socket.close();
    const errors = ["DisconnectErrors", "FanoutErrors", "DispatchErrors", "TickErrors"];
    await fire(lift, ...errors, "FanoutLate", "DispatchLate", "DeadLetters", "ApiErrors");
  });

  it("fire for a failing worker", async () => {
    const lift = await run((template) => fail(template, "Worker"));
    (await connectUser(project, lift.url, "ada")).send("report", "generate_report", REPORT);
    await fire(lift, "WorkerErrors");
  });

  it("fire for busy workers", async () => {
    const lift = await run((template) => limit(template, "Worker"));
    const ada = await connectUser(project, lift.url, "ada");
    // A report takes four seconds.
    for (const id of ["a", "b", "c"]) ada.send(id, "generate_report", REPORT);
    await fire(lift, "WorkerThrottles");
  });

  it("fire for a failing and busy router", async () => {
    const lift = await run((template) => {
      fail(template, "Router");
      limit(template, "Router");
    });
    const ada = await connectUser(project, lift.url, "ada");
    for (const id of ["1", "2", "3"]) ada.send(id, "echo", { text: "hi" });
    await fire(lift, "RouterErrors", "RouterThrottles");
  });

  it("fire for failing and busy connects", async () => {
    const lift = await run((template) => {
      fail(template, "Connect");
      limit(template, "Connect");
    });
    await Promise.allSettled(["ada", "bob", "cy"].map((sub) => connectUser(project, lift.url, sub)));
    await fire(lift, "ConnectErrors", "ConnectThrottles");
  });

  it("are all seen to fire", () => {
    const template = JSON.parse(
      readFileSync(join(project.directory, "cdk.out/Lounge.template.json"), "utf8"),
    );
    const ids = find(template, "AWS::CloudWatch::Alarm", "").map(([id]) => id);
    expect([...fired].sort()).toEqual(
      ids.map((id) => /^StreamerMonitoring(\w+)[0-9A-F]{8}$/.exec(id)![1]).sort(),
    );
  });
});

describe("the stack without", () => {
  it("a grant: the call is denied, and the function and the action are named", async () => {
    const lift = await run((template) => {
      // The dispatcher may not invoke the worker, and the router may not use the messages' table.
      for (const [id] of find(template, "AWS::IAM::Policy", "InvokeWorker")) delete template.Resources[id];
      for (const [, { Properties }] of find(template, "AWS::IAM::Policy", "/Router/Role/DefaultPolicy")) {
        const { Statement } = Properties.PolicyDocument;
        Properties.PolicyDocument.Statement = Statement.filter(
          (each: Frame) => !JSON.stringify(each).includes("StreamerMessages"),
        );
      }
    });
    const ada = await connectUser(project, lift.url, "ada");
    ada.send("publish", "publish", { channel: "room:lobby", data: { text: "one" } });
    expect((await ada.receiveFor("publish", "error")).error).toMatchObject({ code: "STORE_FAILED" });
    await lift.prints(
      /assumed-role\/\S+Router\S+ is not authorized to perform: dynamodb:\w+ on resource: \S+StreamerMessages/,
    );
    ada.send("report", "generate_report", REPORT);
    await ada.receiveFor("report", "acknowledgment");
    await lift.prints(
      /assumed-role\/\S+Dispatch\S+ is not authorized to perform: lambda:InvokeFunction on resource: \S+Worker/,
    );
    await lift.kill();
  });

  it("an index and a permission: the functions say which, and API Gateway calls no function", async () => {
    const lift = await run((template) => {
      for (const [, { Properties }] of find(template, "AWS::DynamoDB::Table", "/Requests/")) {
        Properties.GlobalSecondaryIndexes = Properties.GlobalSecondaryIndexes.filter(
          ({ IndexName }: Template) => IndexName !== "OwnerIndex",
        );
        Properties.AttributeDefinitions = Properties.AttributeDefinitions.filter(
          ({ AttributeName }: Template) => !["Owner", "CreatedAt"].includes(AttributeName),
        );
      }
      for (const [id] of find(template, "AWS::Lambda::Permission", "$disconnect-Route"))
        delete template.Resources[id];
    });
    const ada = await connectUser(project, lift.url, "ada");
    ada.send("list", "requests", { limit: 10 });
    expect((await ada.receiveFor("list", "error")).error).toMatchObject({ code: "STORE_FAILED" });
    await lift.prints(/does not have the specified index|OwnerIndex/);
    ada.socket.close();
    await lift.prints(/API Gateway may not invoke \S+Disconnect\S+ for \S+\/prod\/\$disconnect/);
    await lift.kill();
  });

  it("a variable and an event source: the function fails with its name, and no record is handled", async () => {
    const lift = await run((template) => {
      for (const [, { Properties }] of find(template, "AWS::Lambda::Function", "/Disconnect/")) {
        delete Properties.Environment.Variables.MEMBERS_TABLE;
      }
      for (const [id] of find(template, "AWS::Lambda::EventSourceMapping", "/Dispatch/"))
        delete template.Resources[id];
    });
    const ada = await connectUser(project, lift.url, "ada");
    ada.send("report", "generate_report", REPORT);
    await ada.receiveFor("report", "acknowledgment");
    ada.send("join", "subscribe", { channels: [{ channel: "room:lobby" }] });
    await ada.receiveFor("join", "response");
    // The other stream's function gets its record after two seconds, the dispatcher would have got its own at once.
    ada.send("1", "publish", { channel: "room:lobby", data: { text: "one" } });
    await lift.prints(/^Streamer\/Fanout +START/m);
    expect(lift.output).not.toMatch(/^Streamer\/Dispatch/m);
    expect(ada.frames.filter(({ type }) => type === "progress")).toEqual([]);
    ada.socket.close();
    await lift.prints(/Set MEMBERS_TABLE/);
    await lift.kill();
  });
});

it.each(["cloudformation.json", "sam.yaml"])("runs as `lift-ws export` wrote it: %s", async (name) => {
  const out = `for-${name}`;
  expect(await project.run(["export", "cdk.out/Lounge.template.json", "--out", out]).exited).toBe(0);
  const lift = project.run([
    ...["local", `${out}/${name}`, "--port", "0", "--stack-name", `p${randomUUID().slice(0, 8)}`],
    ...["--dynamodb-endpoint", inject("dynamoDBEndpoint")],
  ]);
  await lift.prints(/^Routes +\$connect.*\$disconnect.*\$default/ms);
  const ada = await connectUser(project, lift.url, "ada");
  ada.send("join", "subscribe", { channels: [{ channel: "room:lobby" }] });
  await ada.receiveFor("join", "response");
  expect(lift.output).not.toMatch(/not authorized|AccessDenied/);
  await lift.kill();
});

it("runs changed functions after a save with --watch, and sockets stay open", async () => {
  const name = newName();
  await save(name);
  const lift = await runSaved(name, "--watch");
  const ada = await connectUser(project, lift.url, "ada");
  ada.send("1", "echo", { text: "hi" });
  await ada.receiveFor("1", "response");
  await save(name, (template) => {
    find(
      template,
      "AWS::Lambda::Function",
      "/Router/",
    )[0]![1].Properties.Environment.Variables.MEMBERS_TABLE = "";
  });
  await lift.prints(/Reloaded/);
  ada.send("2", "echo", { text: "hi" });
  await lift.prints(/Set MEMBERS_TABLE/);
  await save(name, (template) => {
    find(template, "AWS::Events::Rule", "/Tick/")[0]![1].Properties.ScheduleExpression = "rate(2 minutes)";
  });
  await lift.prints(/More than functions and policies has changed; restart to apply it/);
  await save(name);
  await lift.prints(/Reloaded/, 2);
  ada.send("3", "echo", { text: "hi" });
  await ada.receiveFor("3", "response");
  await lift.kill();
});

it("stops at the start when an event source may not read its stream", async () => {
  await vi.waitFor(async () => {
    await expect(
      run((template) => {
        for (const [, { Properties }] of find(template, "AWS::IAM::Policy", "/Fanout/Role/DefaultPolicy")) {
          const { Statement } = Properties.PolicyDocument;
          Properties.PolicyDocument.Statement = Statement.filter(
            (each: Frame) => !JSON.stringify(each).includes("GetRecords"),
          );
        }
      }),
    ).rejects.toThrow(/StreamerFanout\S+: User: \S+ is not authorized to perform: dynamodb:DescribeStream/);
  });
});
