// `lift-ws verify` against `lift-ws local`, and its deployments with a stand-in for the CDK's command line.
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server } from "node:net";
import { jwtVerify } from "jose";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { createGateway } from "../../src/gateway/index.ts";
import { jsonLogger } from "../../src/lift/index.ts";
import { webSocketAuth } from "../../src/lift/middleware/auth/index.ts";
import { memoryChannelStore, memoryConnectionStore, memorySchedule } from "../../src/store/memory/index.ts";
import { createStreamer } from "../../src/streamer/index.ts";
import { type Command, Project } from "./project.ts";

/** A question is asked three times when it is not answered. */
const SLOW_MS = 300_000;

let project: Project;

beforeAll(async () => {
  project = await Project.create({});
  expect(await project.run(["verify", "--template", "probe.json"]).exited).toBe(0);
});

afterAll(() => project?.remove());

describe("an API that runs", () => {
  let local: Command;

  beforeAll(async () => {
    local = project.run(["local", "probe.json", "--port", "0"]);
    await local.prints(/^Routes/m);
  });

  it("gives the same answers when it is the gateway", { timeout: SLOW_MS }, async () => {
    const command = project.run(["verify", "--quick", "--url", local.url]);
    expect([await command.exited, command.output]).toEqual([0, expect.stringMatching(/^0 of \d+ answers/m)]);
    expect(command.output).toMatch(/^\| A plain GET on the stage: .*: 426 \| lift-ws local \d{4}-/m);
    expect(command.output).toMatch(/^\| message to a function and back \| 300 \| [\d.]+ \| [\d.]+ \|$/m);
    expect(command.output).toMatch(/^\| API Gateway: messages \| [\d,]+ \| \$1 per 1,000,000 \| \$0\.0/m);
  });

  it("is reported, with the questions, when a close code, an error's text and a limit differ", {
    timeout: SLOW_MS,
  }, async () => {
    const port = await proxy(Number(new URL(local.url).port), [
      [Buffer.from([0x88, 18, 0x03, 0xeb]), Buffer.from([0x88, 18, 0x03, 0xec])],
      [Buffer.from("Unauthorized"), Buffer.from("unauthorized")],
      [Buffer.from("HTTP/1.1 414"), Buffer.from("HTTP/1.1 413")],
    ]);
    const command = project.run(["verify", "--quick", "--url", `ws://127.0.0.1:${port}/probe`]);
    expect(await command.exited).toBe(1);
    const [, named = command.output] = command.output.split(/answers differ from the gateway's; .*\n/);
    expect(named.trimEnd().split("\n"), command.output).toEqual([
      "  The reasons for 1002, 1003, 1007 and 1009: a binary frame",
      "  A URL over 4,096 characters: 4,097 characters",
      "  A URL over 4,096 characters: 9,000 characters",
      "  The body of a refused upgrade: 401",
    ]);
  });

  it("is named when it does not answer", async () => {
    const command = project.run(["verify", "--quick", "--url", "ws://127.0.0.1:1/probe"]);
    expect(await command.exited).toBe(1);
    expect(command.output).toMatch(/Cannot measure ws:\/\/127\.0\.0\.1:1\/probe: the connection ended/);
  });
});

it.each([
  ["--app with --url", ["--app", "x", "--url", "ws://h/s"], /Give either --url or --app/],
  ["a Streamer without a token", ["--url", "ws://h/s", "--streamer-url", "ws://h/s"], /needs --token/],
  ["another protocol", ["--url", "https://h/s"], /--url must be a ws:\/\/ or wss:\/\/ URL/],
])("refuses %s", async (_, flags, message) => {
  const command = project.run(["verify", ...flags]);
  expect([await command.exited, command.output]).toEqual([2, expect.stringMatching(message)]);
});

describe("a deployment", () => {
  /** Prints more than a pipe holds; logs its arguments; fails at one of them; writes the output of a stack. */
  const CDK = `const { appendFileSync, readFileSync, writeFileSync, writeSync, mkdirSync } = require("node:fs");
    const args = process.argv.slice(2);
    const after = (flag) => args[args.indexOf(flag) + 1];
    writeSync(1, "x".repeat(500_000));
    appendFileSync(process.env.CDK_LOG, args[0] + "\\n");
    if (args[0] === process.env.CDK_FAILS) process.exit(1);
    if (args[0] === "synth") {
      mkdirSync(after("--output"));
      const asked = args.find((each) => each.startsWith("stackName=")).slice("stackName=".length);
      const stackName = process.env.CDK_STREAMER_URL ? asked : "Chat";
      const stack = { type: "aws:cloudformation:stack", properties: { stackName } };
      writeFileSync(after("--output") + "/manifest.json", JSON.stringify({ artifacts: { [stackName]: stack } }));
    }
    if (args[0] === "deploy") {
      const { artifacts } = JSON.parse(readFileSync(after("--app") + "/manifest.json", "utf8"));
      const name = Object.keys(artifacts)[0];
      const isApp = name.endsWith("Streamer");
      if (isApp) writeFileSync("secret.txt", after("--parameters").replace("TokenSecret=", ""));
      const Url = isApp ? process.env.CDK_STREAMER_URL : process.env.CDK_URL;
      writeFileSync(after("--outputs-file"), JSON.stringify({ [name]: { Url } }));
    }`;

  beforeAll(async () => {
    await project.save("node_modules/aws-cdk/package.json", "{}");
    await project.save("node_modules/aws-cdk/bin/cdk", CDK);
  });

  /** Runs it with an API that never answers, and returns it with the CDK's commands. */
  async function deploy(env: Record<string, string>, ...flags: readonly string[]) {
    const name = `cdk-${Math.random()}.log`;
    await project.save(name, "");
    const server = createServer(() => {});
    const port = await listen(server);
    const asked = once(server, "connection");
    const CDK_LOG = `${project.directory}/${name}`;
    const CDK_URL = `ws://127.0.0.1:${port}/probe`;
    const command = project.run(["verify", ...flags], { CDK_LOG, CDK_URL, ...env });
    const commands = () => readFileSync(CDK_LOG, "utf8").trim().split("\n");
    return { command, asked, commands };
  }

  it("is removed when it fails, and the error says so", async () => {
    const { command, commands } = await deploy({ CDK_FAILS: "deploy" });
    expect(await command.exited).toBe(1);
    expect(command.output).toMatch(/cdk deploy failed/);
    expect(commands()).toEqual(["deploy", "destroy"]);
  });

  it.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)("is removed after %s", async (signal) => {
    const { command, asked, commands } = await deploy({});
    await asked;
    command.signal(signal);
    expect(await command.exited).toBe(1);
    expect(command.output).toMatch(/Stopped before the end\nRemoving LiftWsVerify\w{8}\nx+$/);
    expect(commands()).toEqual(["deploy", "destroy"]);
  });

  it("is removed after its terminal is closed", async () => {
    const { command, asked, commands } = await deploy({});
    await asked;
    command.hangUp();
    command.signal("SIGHUP");
    expect(await command.exited).toBe(1);
    expect(commands()).toEqual(["deploy", "destroy"]);
  });

  it("that cannot be removed is named, with the command that removes it", async () => {
    const { command, asked } = await deploy({ CDK_FAILS: "destroy" });
    await asked;
    command.signal("SIGINT");
    expect(await command.exited).toBe(1);
    expect(command.output).toMatch(
      /Not removed: (LiftWsVerify\w{8})\. Run aws cloudformation delete-stack --stack-name \1/,
    );
  });

  it("of an app is measured and removed", { timeout: SLOW_MS }, async () => {
    const local = project.run(["local", "probe.json", "--port", "0"]);
    await local.prints(/^Routes/m);
    const env = { CDK_URL: local.url, CDK_STREAMER_URL: await serveStreamer() };
    const { command, commands } = await deploy(env, "--quick", "--app", ".");
    const ended = [await command.exited, command.output];
    // The functions' log tells why one failed.
    expect(ended, local.output).toEqual([0, expect.stringMatching(/^0 of \d+ answers/m)]);
    expect(command.output).toMatch(
      /^\| Streamer: publish until it is stored \| 100 \| [\d.]+ \| [\d.]+ \|$/m,
    );
    expect(command.output).toMatch(/^\| Streamer: publish until another client has it \| 100 \| /m);
    expect(commands()).toEqual(["deploy", "synth", "deploy", "destroy", "destroy"]);
  });

  it("of an app is refused when the app names its stack itself, which may be in use", async () => {
    const { command, commands } = await deploy({}, "--app", ".");
    expect(await command.exited).toBe(1);
    expect(command.output).toMatch(/must have one stack, named by the context `stackName`; it has Chat/);
    expect(commands()).toEqual(["deploy", "synth", "destroy"]);
  });
});

/** Serves a Streamer until the test has ended. It takes tokens that are signed with the secret of the deployment. @returns its URL */
async function serveStreamer(): Promise<string> {
  const streamer = createStreamer({
    channels: { room: { subscribe: () => true, publish: () => true } },
    schedule: memorySchedule(),
    store: memoryChannelStore(),
    connectionStore: memoryConnectionStore(),
    auth: webSocketAuth({
      validateToken: async (token) => {
        const secret = Buffer.from(readFileSync(`${project.directory}/secret.txt`, "utf8"), "base64url");
        const [issuer, audience] = ["lift-ws-development", "lift-ws-development"];
        const { payload } = await jwtVerify(token, secret, { issuer, audience });
        return { userId: payload.sub! };
      },
    }),
    logger: jsonLogger({ level: "error" }),
  });
  const gateway = createGateway({ handler: (event, context) => handler(event, context) });
  const handler = streamer.app.webSocketHandler({ connections: gateway });
  await gateway.listen({ port: 0 });
  onTestFinished(() => gateway.close({ drainMs: 1, spreadMs: 1 }));
  return gateway.url;
}

/** Serves until the test has ended. @returns the port */
async function listen(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

/** Forwards to a port, with changes of what it answers. @returns the port */
function proxy(port: number, changes: readonly (readonly [from: Buffer, to: Buffer])[]): Promise<number> {
  const server = createServer((client) => {
    const target = connect(port, "127.0.0.1");
    for (const socket of [client, target]) socket.on("error", () => {});
    client.on("close", () => target.destroy());
    client.on("error", () => target.resetAndDestroy());
    client.pipe(target);
    target.on("data", (chunk) => {
      for (const [from, to] of changes) {
        for (let at = chunk.indexOf(from); at >= 0; at = chunk.indexOf(from)) to.copy(chunk, at);
      }
      client.write(chunk);
    });
    target.on("close", () => client.end());
  });
  return listen(server);
}
