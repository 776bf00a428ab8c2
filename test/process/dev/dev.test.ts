import { once } from "node:events";
import { readFile, stat } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { ask, Project } from "../project.ts";
import { API_HOST_CLIENTS, API_HOST_HANDLER } from "./api-hosts.ts";

let project: Project;

afterEach(() => project.remove());

/** Replies through the @connections endpoint built from the event, as handlers on AWS do. */
const WITH_SDK = `
  import { ApiGatewayManagementApiClient, PostToConnectionCommand } from "@aws-sdk/client-apigatewaymanagementapi";
  export const handler = async ({ requestContext, body }) => {
    if (requestContext.eventType !== "MESSAGE") return { statusCode: 200 };
    const { domainName, stage, connectionId } = requestContext;
    const client = new ApiGatewayManagementApiClient({ endpoint: \`https://\${domainName}/\${stage}\` });
    await client.send(new PostToConnectionCommand({ ConnectionId: connectionId, Data: body.toUpperCase() }));
    return { statusCode: 200 };
  };`;

/** Replies through the endpoint in the environment. */
const WITH_ENVIRONMENT = WITH_SDK.replace(/\{ endpoint: .* \}/, "{}");

describe("lift-ws dev", () => {
  it("calls the exported tick of a module every second", async () => {
    project = await Project.create({
      "app.mjs": `
        import { Lift } from "lift-ws";
        import { memorySchedule } from "lift-ws/store/memory";
        const schedule = memorySchedule();
        const app = new Lift({ schedule }).scheduled("note", ({ id }) => console.log("noted " + id));
        await schedule.put({ kind: "note", id: "a", dueAt: Date.now(), data: {} });
        export const handler = app.webSocketHandler();
        export const tick = app.tickHandler();`,
    });
    const lift = await project.dev(["app.mjs"]);
    expect(lift.output).toMatch(/^Tick +every second$/m);
    await lift.prints(/^noted a$/m);
  });

  it("accepts pages of this machine, and those of --origin and --allowed-host", async () => {
    project = await Project.create({
      "app.mjs": "export const handler = async () => ({ statusCode: 200 });",
    });
    const flags = [
      "--origin",
      "https://a.example",
      "--origin",
      "https://b.example",
      "--allowed-host",
      "c.example",
    ];
    const lift = await project.dev(["app.mjs", ...flags]);
    for (const origin of ["http://localhost:5173", "https://a.example", "https://b.example"]) {
      await project.connect(lift.url, { origin });
    }
    await project.connect(lift.url, { origin: "https://c.example", headers: { host: "c.example" } });
    await expect(project.connect(lift.url, { origin: "https://evil.example" })).rejects.toThrow("403");
    await lift.prints(/To allow it: --origin https:\/\/evil\.example/);
    await expect(project.connect(lift.url, { headers: { host: "d.example:1" } })).rejects.toThrow("403");
    await lift.prints(/To allow it: --allowed-host d\.example/);
  });

  it("redirects connections to the API's host names to the gateway, for every client", async () => {
    project = await Project.create({ "app.mjs": API_HOST_HANDLER });
    const lift = await project.dev(["app.mjs", "--api-id", "abc123"]);
    const socket = await project.connect(lift.url);
    for (const action of API_HOST_CLIENTS) expect(await ask(socket, JSON.stringify({ action }))).toBe(action);
  });

  it("takes the API id from routes.json, and --api-id takes precedence", async () => {
    project = await Project.create({
      "id.mjs":
        "export const handler = async (event) => ({ statusCode: 200, body: event.requestContext.apiId });",
      "routes.json": JSON.stringify({
        apiId: "fromfile",
        routes: { $default: "./id.mjs" },
        routeResponses: ["$default"],
      }),
    });
    const file = await project.dev(["--routes", "routes.json"]);
    expect(await ask(await project.connect(file.url), "{}")).toBe("fromfile");
    const flag = await project.dev(["--routes", "routes.json", "--api-id", "fromflag"]);
    expect(await ask(await project.connect(flag.url), "{}")).toBe("fromflag");
  });

  it("issues tickets on their own path, each for one connection", async () => {
    project = await Project.create({
      "app.mjs": `import { Lift } from "lift-ws";
        import { webSocketAuth } from "lift-ws/middleware/auth";
        import { ticketHandler } from "lift-ws/middleware/tickets";
        import { memoryConnectionStore, memoryTicketStore } from "lift-ws/store/memory";
        const options = { validateToken: (token) => token.split(":")[1], tickets: memoryTicketStore() };
        const app = new Lift({ connectionStore: memoryConnectionStore() });
        app.use(webSocketAuth(options)).webSocket("who", (ctx) => ctx.reply(ctx.userId));
        export default app;
        export const mint = ticketHandler(options);`,
    });
    const lift = await project.dev(["app.mjs", "--tickets", "app.mjs#mint"]);
    const tickets = new URL("/tickets", lift.url.replace("ws:", "http:"));
    await lift.prints(new RegExp(`Tickets +${tickets}`));
    const headers = { authorization: "Bearer user:ann" };
    const answer = await fetch(tickets, { method: "POST", headers });
    expect(answer.headers.get("cache-control")).toBe("no-store");
    const { ticket } = (await answer.json()) as { ticket: string };
    const socket = await project.connect(`${lift.url}?ticket=${ticket}`);
    expect(await ask(socket, '{"action":"who"}')).toBe('"ann"');
    await expect(project.connect(`${lift.url}?ticket=${ticket}`)).rejects.toThrow("401");
    expect((await fetch(tickets)).status).toBe(405);
    expect((await fetch(new URL("/other", tickets))).status).toBe(404);
    expect(lift.output).not.toContain(ticket);
  });

  it("runs an ES module's handler for every route and prints a line per event", async () => {
    project = await Project.create({
      "app.mjs": `export const handler = async (event, context) => {
        if (event.body) console.log("got", event.body, context.getRemainingTimeInMillis() > 0);
        return { statusCode: 200 };
      };`,
    });
    const lift = await project.dev(["app.mjs"]);
    const socket = await project.connect(lift.url);
    socket.send("hello");
    await lift.prints(/^got hello true$/m);
    socket.close();
    await lift.prints(/^\d\d:\d\d:\d\d {2}\$disconnect +200 +\d+ ms {2}[\w-]{8}$/m);
    expect(lift.output).toMatch(/\$connect +200 .*\$default +200 .*\$disconnect +200 /s);
  });

  it("runs a named export, of CommonJS and TypeScript too", async () => {
    project = await Project.create({
      "app.cjs": `exports.first = async () => ({ statusCode: 418 });`,
      "app.ts": `export const second = async (): Promise<{ statusCode: number }> => ({ statusCode: 404 });`,
    });
    const first = await project.dev(["./app.cjs#first"]);
    await expect(project.connect(first.url)).rejects.toThrow("refused with 418");
    const second = await project.dev(["./app.ts#second"]);
    await expect(project.connect(second.url)).rejects.toThrow("refused with 404");
  });

  it("runs a handler that calls its callback, and warns once", async () => {
    project = await Project.create({
      "app.js": `exports.handler = (event, context, callback) => {
        setImmediate(() => callback(null, { statusCode: 200 }));
      };`,
    });
    const lift = await project.dev(["app.js"]);
    await project.connect(lift.url);
    await project.connect(lift.url);
    await lift.prints(/\$connect +200/, 2);
    // The warnings are on another pipe; all of it is read when the process has ended.
    lift.signal("SIGTERM");
    await lift.exited;
    expect(lift.output.match(/Warning: the handler uses a callback/g)).toHaveLength(1);
    expect(lift.output).toContain("Node 24 runtime has no callbacks");
  });

  it("does not wait for a callback that a handler does not declare", async () => {
    project = await Project.create({ "app.mjs": "export default () => {};" });
    const lift = await project.dev(["app.mjs"]);
    await expect(project.connect(lift.url)).rejects.toThrow("refused with 502");
  });

  it("runs the routes of a routes file, with its authorizer and route responses", async () => {
    project = await Project.create({
      "api/routes.json": JSON.stringify({
        routes: { $connect: "./connect.mjs#opened", echo: "./echo.cjs", quiet: "./echo.cjs" },
        authorizer: "./auth.mjs",
        routeSelectionExpression: "$request.body.type",
        routeResponses: ["echo"],
      }),
      "api/connect.mjs": `export const opened = async () => ({ statusCode: 200 });`,
      "api/echo.cjs": `exports.handler = (event, context, callback) => {
        const { user } = event.requestContext.authorizer;
        callback(null, { statusCode: 200, body: user + " " + event.requestContext.routeKey });
      };`,
      "api/auth.mjs": `export const handler = async ({ queryStringParameters, methodArn }) => {
        if (queryStringParameters?.token !== "let-me-in") throw new Error("Unauthorized");
        const Statement = [{ Effect: "Allow", Action: "execute-api:Invoke", Resource: methodArn }];
        return { principalId: "p", policyDocument: { Version: "2012-10-17", Statement }, context: { user: "ann" } };
      };`,
    });
    const lift = await project.dev(["--routes", "api/routes.json", "--stage", "test"]);
    expect(lift.output).toMatch(/^Routes +\$connect {2}echo {2}quiet$/m);
    expect(new URL(lift.url).pathname).toBe("/test");
    await expect(project.connect(`${lift.url}?token=guess-work`)).rejects.toThrow("refused with 401");

    const socket = await project.connect(`${lift.url}?token=let-me-in`);
    expect(await ask(socket, '{"type":"echo"}')).toBe("ann echo");
    socket.send('{"type":"quiet"}');
    expect(JSON.parse(await ask(socket, '{"type":"unknown"}'))).toMatchObject({ message: "Forbidden" });
    await lift.prints(/quiet +200/);
    await lift.prints(/Warning: echo uses a callback/);
    await lift.prints(/Warning: quiet uses a callback/);
    expect(lift.output).not.toMatch(/guess-work|let-me-in/);
  });

  it("runs a Lift app on its routes, and sends for it without the SDK", async () => {
    project = await Project.create({
      "app.ts": `import { Lift } from "lift-ws";
        import { memoryConnectionStore } from "lift-ws/store/memory";
        const app = new Lift({ connectionStore: memoryConnectionStore() });
        app.webSocket("$connect", async (ctx) => { ctx.set("name", ctx.query("name")); ctx.status(200); });
        app.webSocket("greet", async (ctx) => { await ctx.reply({ hello: await ctx.get("name") }); });
        export default app;`,
    });
    const lift = await project.dev(["app.ts"]);
    expect(lift.output).toMatch(/^Routes +\$connect {2}\$disconnect {2}greet$/m);
    const socket = await project.connect(`${lift.url}?name=ann`);
    expect(await ask(socket, '{"action":"greet"}')).toBe('{"hello":"ann"}');
    expect(await ask(socket, '{"action":"else"}')).toContain('{"message": "Forbidden"');
  });

  it("runs a Lift app's Lambda handler, which sends by the AWS SDK as on AWS", async () => {
    project = await Project.create({
      "app.ts": `import { Lift } from "lift-ws";
        const app = new Lift();
        app.webSocket("greet", (ctx) => ctx.reply({ hello: "you" }));
        export const handler = app.webSocketHandler();`,
    });
    const lift = await project.dev(["app.ts"]);
    const socket = await project.connect(lift.url);
    expect(await ask(socket, '{"action":"greet"}')).toBe('{"hello":"you"}');
  });

  it.each(["::1", "localhost"])("answers the AWS SDK on %s too", async (host) => {
    project = await Project.create({ "app.mjs": WITH_SDK });
    const lift = await project.dev(["app.mjs", "--host", host]);
    const socket = await project.connect(lift.url);
    expect(await ask(socket, "hello")).toBe("HELLO");
  });

  it("reports the invalid entry of a routes file", async () => {
    project = await Project.create({ "routes.json": '{ "routes": { "a": "./gone.js" } }' });
    const lift = project.run(["dev", "--routes", "routes.json", "--port", "0"]);
    expect(await lift.exited).toBe(2);
    expect(lift.output).toBe("lift-ws: Cannot find the module gone.js\n");
  });

  it.each([
    ["makes its endpoint of the event", WITH_SDK],
    ["takes its endpoint from the environment", WITH_ENVIRONMENT],
  ])("answers the AWS SDK of a handler that %s", async (_, app) => {
    project = await Project.create({ "app.mjs": app });
    const lift = await project.dev(["app.mjs"]);
    const socket = await project.connect(lift.url);
    expect(await ask(socket, "hello")).toBe("HELLO");
    expect((await stat(join(project.directory, ".lift-ws/localhost.pem"))).mode & 0o777).toBe(0o600);
    expect(await readFile(join(project.directory, ".lift-ws/.gitignore"), "utf8")).toBe("*\n");
  });

  it("accepts only requests signed with the environment's keys beyond loopback", async () => {
    project = await Project.create({ "app.mjs": WITH_SDK, "anyone.mjs": WITH_ENVIRONMENT });
    const keys = { AWS_ACCESS_KEY_ID: "AKIAMINE", AWS_SECRET_ACCESS_KEY: "mine" };
    const lift = await project.dev(["app.mjs", "--host", "0.0.0.0"], keys);
    const { port } = new URL(lift.url);
    const socket = await project.connect(`ws://127.0.0.1:${port}/dev`);
    expect(await ask(socket, "hello")).toBe("HELLO");

    const { status } = await fetch(`http://127.0.0.1:${port}/dev/@connections/AAAAAAAAAAAAAAA=`, {
      headers: { authorization: "AWS4-HMAC-SHA256 Credential=AKIAMINE/x, SignedHeaders=host, Signature=00" },
    });
    expect(status).toBe(403);
  });

  it("loads the env file before anything else", async () => {
    project = await Project.create({
      ".env.dev": "GREETING=hi\nAWS_REGION=eu-north-1\n",
      "app.mjs": `console.log("loaded with", process.env.GREETING, process.env.AWS_REGION, process.env.OWN);
        export default () => ({ statusCode: 200 });`,
    });
    const lift = await project.dev(["app.mjs", "--env-file", ".env.dev"], { OWN: "mine" });
    expect(lift.output).toContain("loaded with hi eu-north-1 mine\n");
  });

  it.each([
    ["is missing", ["--env-file", "no.env"], "no.env: not found"],
    ["is missing, after an equals sign", ["--env-file=no.env"], "no.env: not found"],
    ["is a directory", ["--env-file", "node_modules"], "node_modules: invalid format"],
  ])(
    "ends with Node's own line and code when the env file %s, as docs/reference/cli.md says",
    async (_, flag, reason) => {
      project = await Project.create({ "app.mjs": "export default () => ({ statusCode: 200 });" });
      const lift = project.run(["dev", "app.mjs", "--port", "0", ...flag]);
      expect(await lift.exited).toBe(9);
      expect(lift.output).toBe(`${process.execPath}: ${reason}\n`);
    },
  );

  it("prints a handler's stack in the terminal, and hides it from the client", async () => {
    project = await Project.create({
      "app.mjs": `export default async ({ body }) => {
        if (body) throw new Error("the table is gone");
        return { statusCode: 200 };
      };`,
    });
    const lift = await project.dev(["app.mjs"]);
    const socket = await project.connect(lift.url);
    const answer = await ask(socket, "x");
    expect(Object.keys(JSON.parse(answer))).toEqual(["message", "connectionId", "requestId"]);
    expect(answer).toContain("Internal server error");
    await lift.prints(/Error: the table is gone\n {4}at .*app\.mjs:2:/);
  });

  it("keeps running when a handler throws outside its events", async () => {
    project = await Project.create({
      "app.mjs": `export default ({ body }) => {
        if (body) setImmediate(() => { throw new Error("too late"); });
        return { statusCode: 200 };
      };`,
    });
    const lift = await project.dev(["app.mjs"]);
    const socket = await project.connect(lift.url);
    socket.send("x");
    await lift.prints(/Error: too late\n {4}at /);
    socket.send("y");
    await lift.prints(/\$default +200/, 2);
  });

  it.each([
    ["throws", { "app.mjs": 'throw new Error("no database");' }, /Error: no database\n {4}at .*app\.mjs:1:7/],
    [
      "can't be read",
      { "app.mjs": 'import "./part.mjs";', "part.mjs": "export const a = 1;\nexport const b = ;\n" },
      /part\.mjs:2\nexport const b = ;\n.*\nSyntaxError: Unexpected token ';'/s,
    ],
    [
      "exports no handler",
      { "app.mjs": "export const a = 1;" },
      /^lift-ws: app\.mjs exports no function .+\n$/,
    ],
  ])("exits with the reason when the module %s", async (_, files, reason) => {
    project = await Project.create(files);
    const lift = project.run(["dev", "app.mjs", "--port", "0"]);
    expect(await lift.exited).toBeGreaterThan(0);
    expect(lift.output).toMatch(reason);
    expect(lift.output).not.toContain("node:internal");
  });

  it.each([
    ["imports", "app.mjs", 'import "@acme/not-there/part";\nexport default () => {};', "@acme/not-there"],
    ["requires", "app.cjs", 'require("not-there/part");', "not-there"],
  ])("names the package to install when a module %s a missing package", async (_, file, code, name) => {
    project = await Project.create({ [file]: code });
    const lift = project.run(["dev", file, "--port", "0"]);
    expect(await lift.exited).toBe(1);
    const [line, cause] = lift.output.split("\n");
    expect(line).toBe(`lift-ws: ${file} cannot be loaded: ${name} is not installed: npm install ${name}`);
    expect(cause).toMatch(/Cannot find (?:package|module) '/);
  });

  it("names no package when a file of the project is missing", async () => {
    project = await Project.create({ "app.mjs": 'import "./part.mjs";' });
    const lift = project.run(["dev", "app.mjs", "--port", "0"]);
    expect(await lift.exited).toBe(1);
    expect(lift.output).toMatch(/^lift-ws: app\.mjs cannot be loaded:\n.*Cannot find module .*part\.mjs/);
  });

  it("reports a port in use in one line", async () => {
    project = await Project.create({ "app.mjs": "export default () => ({ statusCode: 200 });" });
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const { port } = other.address() as { port: number };
    const lift = project.run(["dev", "app.mjs"], { PORT: String(port) });
    expect(await lift.exited).toBe(1);
    expect(lift.output).toBe(
      `lift-ws: Port ${port} is already in use: stop the other program, or set another port with --port\n`,
    );
    other.close();
  });

  it.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
    "ends cleanly at %s, and its clients know",
    async (signal) => {
      project = await Project.create({
        "app.mjs": `setInterval(() => {}, 1000); // an open handle, as a pool of connections is
        export default ({ requestContext }) => {
          console.log("saw", requestContext.eventType, requestContext.disconnectStatusCode);
          return { statusCode: 200 };
        };`,
      });
      const lift = await project.dev(["app.mjs"]);
      const socket = await project.connect(lift.url);
      const closed = once(socket, "close");
      lift.signal(signal);
      expect((await closed)[0]).toBe(1001);
      expect(await lift.exited).toBe(0);
      expect(lift.output).toContain("saw DISCONNECT 1001");
    },
  );

  it("drains and exits when its output is closed", async () => {
    project = await Project.create({
      "app.mjs": "export const handler = async () => ({ statusCode: 200 });",
    });
    const lift = await project.dev(["app.mjs"]);
    const socket = await project.connect(lift.url);
    const closed = once(socket, "close");
    lift.hangUp();
    // Nobody reads the line of the event.
    socket.send("hi");
    expect((await closed)[0]).toBe(1001);
    expect(await lift.exited).toBe(0);
  });

  it("exits at once at the second Ctrl-C, even during an event", async () => {
    project = await Project.create({
      "app.mjs": `export default ({ body }) => {
        console.log("runs", body);
        return body ? new Promise(() => {}) : { statusCode: 200 };
      };`,
    });
    const lift = await project.dev(["app.mjs"]);
    const socket = await project.connect(lift.url);
    socket.send("x");
    await lift.prints(/^runs x$/m);
    lift.signal("SIGINT");
    await lift.prints(/Stopping/);
    const impatience = setInterval(() => lift.signal("SIGINT"), 50);
    expect(await lift.exited).toBe(130);
    clearInterval(impatience);
  });
});
