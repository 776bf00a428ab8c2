// `lift-ws dev` on common kinds of modules.
import { once } from "node:events";
import { afterEach, describe, expect, it } from "vitest";
import { ask, Project } from "../project.ts";

let project: Project;

afterEach(() => project.remove());

const OK = "({ statusCode: 200 })";

describe("a TypeScript file whose types Node can't strip", () => {
  const FILES = {
    "package.json": '{ "type": "module" }',
    "tsconfig.json": '{ "compilerOptions": { "experimentalDecorators": true } } // as projects have it',
    "app.ts": `
      import { Level } from "./level";
      import { Greeter } from "./greeter.js";
      import { folder } from "./folder";
      export const handler = async () => {
        console.log("says", new Greeter("hello").greet(), Level.High, folder);
        return { statusCode: 200 };
      };`,
    "level.ts": "export enum Level { Low, High }",
    "greeter.ts": `
      function loud(_target: unknown, _key: string, it: PropertyDescriptor) {
        const { value } = it;
        it.value = function (this: unknown) { return value.call(this).toUpperCase(); };
      }
      export class Greeter {
        constructor(private readonly text: string) {}
        @loud
        greet() { return this.text; }
      }`,
    "folder/index.ts": 'export const folder: string = "found";',
  };

  it("is compiled by the project's esbuild, with TypeScript's import resolution", async () => {
    project = await Project.create(FILES);
    await project.install("esbuild");
    const lift = await project.dev(["app.ts"]);
    await project.connect(lift.url);
    await lift.prints(/^says HELLO 1 found$/m);
  });

  it("is compiled again after a save", async () => {
    project = await Project.create(FILES);
    await project.install("esbuild");
    const lift = await project.dev(["app.ts", "--watch"]);
    await project.save("level.ts", "export enum Level { Low = 6, High }");
    await lift.prints(/Reloaded/);
    await project.connect(lift.url);
    await lift.prints(/^says HELLO 7 found$/m);
  });

  it.each([
    ["an enum", "export enum Level { Low }"],
    ["a decorator", "const d = (c: unknown) => {}; \n@d\nexport class Level {}"],
    ["a parameter property", "export class Level { constructor(private readonly a: string) {} }"],
  ])("without esbuild is reported in one line that says to install it: %s", async (_, code) => {
    project = await Project.create({
      "package.json": '{ "type": "module" }',
      "app.ts": `import { Level } from "./level.ts";\nexport const handler = () => ${OK};\nconsole.log(Level);`,
      "level.ts": code,
    });
    const lift = project.run(["dev", "app.ts"]);
    expect(await lift.exited).toBe(1);
    expect(lift.output.split("\n")[0]).toMatch(
      /^lift-ws: app\.ts cannot be loaded: Node cannot strip this TypeScript .*npm install --save-dev esbuild/,
    );
  });
});

it("a handler with three parameters that returns a promise causes no warning", async () => {
  project = await Project.create({
    "app.mjs": `export const handler = async (event, context, callback) => { console.log("ran"); return ${OK}; };`,
  });
  const lift = await project.dev(["app.mjs"]);
  await project.connect(lift.url);
  await lift.prints(/\$connect/);
  lift.signal("SIGTERM");
  await lift.exited;
  expect(lift.output).not.toContain("Warning");
});

describe("metrics in prom-client's shared registry", () => {
  const app = (name: string) =>
    `
    import { Counter, register } from "prom-client";
    import { prometheusCollector } from "lift-ws/middleware/prometheus";
    const counter = new Counter({ name: "things_total", help: "Things" });
    prometheusCollector({ register });
    export const handler = async () => {
      counter.inc();
      console.log("${name}", (await register.metrics()).match(/things_total \\\\d+/)?.[0]);
      return ${OK};
    };`.replaceAll("\\\\", "\\");

  it("are registered again after a save, and stay when the saved code is broken", async () => {
    project = await Project.create({ "app.mjs": app("first") });
    await project.install("prom-client");
    const lift = await project.dev(["app.mjs", "--watch"]);
    await project.connect(lift.url);
    await lift.prints(/^first things_total 1$/m);
    await project.save("app.mjs", app("second"));
    await lift.prints(/Reloaded/);
    await project.connect(lift.url);
    await lift.prints(/^second things_total 1$/m);
    await project.save("app.mjs", `${app("third")}\nthrow new Error("broken");`);
    await lift.prints(/The previous handlers stay in use/);
    await project.connect(lift.url);
    await lift.prints(/^second things_total 2$/m);
  });
});

it("handlers are resolved as in a template, in a folder with # in its name", async () => {
  project = await Project.create({
    "c#/routes.json": '{ "routes": { "$connect": "onconnect/app.handler", "x": "./x.mjs#other" } }',
    "c#/onconnect/app.js": `exports.handler = async () => { console.log("connects"); return ${OK}; };`,
    "c#/x.mjs": `export const other = async () => { console.log("runs x"); return ${OK}; };`,
  });
  const lift = await project.dev(["--routes", "c#/routes.json"]);
  const socket = await project.connect(lift.url);
  socket.send('{"action":"x"}');
  await lift.prints(/^runs x$/m);
  expect(lift.output).toMatch(/^connects$/m);
});

it("an exported Streamer runs", async () => {
  project = await Project.create({
    "app.mjs": `
      import { createStreamer } from "lift-ws/streamer";
      import { memoryChannelStore, memoryConnectionStore } from "lift-ws/store/memory";
      export default createStreamer({
        store: memoryChannelStore(),
        connectionStore: memoryConnectionStore(),
        channels: { room: { subscribe: () => true, publish: () => true } },
      });`,
  });
  const lift = await project.dev(["app.mjs"]);
  const socket = await project.connect(lift.url);
  expect(JSON.parse(await ask(socket, '{"type":"subscribe","id":"1","channel":"room:a"}'))).toBeTruthy();
});

it("the log has the body of a refusal, without secrets", async () => {
  project = await Project.create({
    "app.mjs": `export const handler = async ({ requestContext: { eventType } }) => eventType === "CONNECT" ? ${OK}
      : { statusCode: 422, body: JSON.stringify({ error: "no such room", password: "SECRET123" }) };`,
  });
  const lift = await project.dev(["app.mjs"]);
  const socket = await project.connect(lift.url);
  socket.send("x");
  await lift.prints(/ 422 .*\n +\{"error":"no such room","password":"\[redacted\]"\}$/m);
  const closed = once(socket, "close");
  socket.close();
  await closed;
});

describe("routes.json", () => {
  it("sets variables per handler, stage variables and identity sources", async () => {
    const handler = (name: string) => `
      const loadedWith = process.env.TABLE;
      export const handler = async ({ stageVariables }) => {
        await null;
        console.log("${name}", loadedWith, process.env.TABLE, stageVariables.color);
        return ${OK};
      };`;
    project = await Project.create({
      "routes.json": JSON.stringify({
        routes: {
          $connect: "./connect.mjs",
          a: { handler: "./a.mjs", environment: { TABLE: "table-a" } },
          b: { handler: "./b.mjs", environment: { TABLE: "table-b" } },
        },
        authorizer: "./auth.mjs",
        authorizerEnvironment: { TABLE: "table-auth" },
        identitySources: ["route.request.querystring.user"],
        stageVariables: { color: "blue" },
      }),
      "connect.mjs": handler("connect"),
      "a.mjs": handler("a"),
      "b.mjs": handler("b"),
      "auth.mjs": `export const handler = async ({ methodArn }) => {
        console.log("auth", process.env.TABLE);
        const allow = { Effect: "Allow", Action: "execute-api:Invoke", Resource: methodArn };
        return { principalId: "x", policyDocument: { Version: "2012-10-17", Statement: [allow] } };
      };`,
    });
    const lift = await project.dev(["--routes", "routes.json"], { TABLE: "shared" });
    await expect(project.connect(lift.url)).rejects.toThrow("401");
    expect(lift.output).not.toContain("auth table");
    const socket = await project.connect(`${lift.url}?user=ann`);
    socket.send('{"action":"a"}');
    socket.send('{"action":"b"}');
    await lift.prints(/^b table-b table-b blue$/m);
    await lift.prints(/^a table-a table-a blue$/m);
    expect(lift.output).toMatch(/^connect shared shared blue$/m);
    expect(lift.output).toMatch(/^auth table-auth$/m);
  });
});

it("the callback of an old handler waits for the event loop, unless the handler says otherwise", async () => {
  project = await Project.create({
    "app.cjs": `exports.handler = (event, context, callback) => {
      if (event.requestContext.eventType === "CONNECT") return callback(null, { statusCode: 200 });
      context.callbackWaitsForEmptyEventLoop = event.body === "waits";
      const body = event.body + " answered";
      setTimeout(() => console.log(event.body, "timer"), 200);
      callback(null, { statusCode: 400, body });
    };`,
  });
  const lift = await project.dev(["app.cjs"]);
  const socket = await project.connect(lift.url);
  socket.send("waits");
  await lift.prints(/waits answered/);
  expect(lift.output).toMatch(/waits timer.*waits answered/s);
  socket.send("goes");
  await lift.prints(/goes timer/);
  expect(lift.output).toMatch(/goes answered.*goes timer/s);
});
