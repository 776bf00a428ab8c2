import { once } from "node:events";
import { afterEach, describe, expect, it } from "vitest";
import { ask, Project } from "../project.ts";

let project: Project;

afterEach(() => project.remove());

const ROUTES = JSON.stringify({
  routes: { $default: "./src/app.mjs" },
  routeResponses: ["$default"],
});

const ESM = `import { greeting } from "./greeting.mjs";
  export const handler = () => ({ statusCode: 200, body: greeting + " from version 1" });`;

describe("lift-ws dev --watch", () => {
  it("runs saved code and its imports while sockets stay open", async () => {
    project = await Project.create({
      "routes.json": ROUTES,
      "src/app.mjs": ESM,
      "src/greeting.mjs": `import cjs from "./word.cjs"; export const greeting = cjs.word;`,
      "src/word.cjs": `exports.word = require("./deep.cjs").word;`,
      "src/deep.cjs": `exports.word = "hi";`,
    });
    const lift = await project.dev(["--routes", "routes.json", "--watch"]);
    const socket = await project.connect(lift.url);
    expect(await ask(socket, "?")).toBe("hi from version 1");

    await project.save("src/app.mjs", ESM.replace("version 1", "version 2"));
    await lift.prints(/Reloaded/, 1);
    expect(await ask(socket, "?")).toBe("hi from version 2");

    await project.save("src/deep.cjs", `exports.word = "hello";`);
    await lift.prints(/Reloaded/, 2);
    expect(await ask(socket, "?")).toBe("hello from version 2");
    expect(socket.readyState).toBe(socket.OPEN);
  });

  it("runs items scheduled before the save, although the app creates a new memory schedule", async () => {
    // For version 2 the time is an hour later.
    const app = (version: number) => `import { Lift } from "lift-ws";
      import { memorySchedule } from "lift-ws/store/memory";
      const schedule = memorySchedule();
      const app = new Lift({ schedule, now: () => Date.now() + ${version - 1} * 3_600_000 });
      app.scheduled("note", ({ id }) => console.log("Noted", id, "by version ${version}"));
      app.webSocket("later", async (ctx) => {
        await schedule.put({ kind: "note", id: "tea", dueAt: Date.now() + 60_000, data: {} });
        await ctx.reply("noted");
      });
      export default app;`;
    project = await Project.create({ "app.mjs": app(1) });
    const lift = await project.dev(["app.mjs", "--watch"]);
    expect(await ask(await project.connect(lift.url), '{"action":"later"}')).toBe('"noted"');
    await project.save("app.mjs", app(2));
    await lift.prints(/Noted tea by version 2/, 1);
  });

  it("runs the everyTick actions of the saved app, and stops each app", async () => {
    const app = (version: number) => `import { Lift } from "lift-ws";
      export default new Lift()
        .everyTick(() => console.log("version ${version} ticks"))
        .onStop(() => console.log("version ${version} stops"));`;
    project = await Project.create({ "app.mjs": app(1) });
    const lift = await project.dev(["app.mjs", "--watch"]);
    await lift.prints(/^version 1 ticks$/m);
    await project.save("app.mjs", app(2));
    await lift.prints(/^version 1 stops$/m);
    await lift.prints(/^version 2 ticks$/m);
    lift.signal("SIGTERM");
    expect(await lift.exited).toBe(0);
    const lines = lift.output.split("\n");
    expect(lines.filter((line) => line.endsWith("stops"))).toEqual(["version 1 stops", "version 2 stops"]);
    expect(lines.indexOf("version 1 stops")).toBeGreaterThan(lines.lastIndexOf("version 1 ticks"));
  });

  it("keeps identity and state of open connections, although the app creates a new memory store", async () => {
    const app = (version: number) => `import { Lift } from "lift-ws";
      import { memoryConnectionStore } from "lift-ws/store/memory";
      const connectionStore = memoryConnectionStore();
      const app = new Lift({ connectionStore });
      app.webSocket("$connect", (ctx) => ctx.setUserId(ctx.query("name")).setTenantId("all"));
      app.webSocket("count", async (ctx) => {
        const n = await ctx.update("n", (n = 0) => n + 1);
        const all = [];
        for await (const { userId } of connectionStore.listByTenant("all")) all.push(userId);
        await ctx.reply([${version}, ctx.userId, n, ...all]);
      });
      export default app;`;
    project = await Project.create({ "app.mjs": app(1) });
    const lift = await project.dev(["app.mjs", "--watch"]);
    const ann = await project.connect(`${lift.url}?name=ann`);
    const silent = await project.connect(`${lift.url}?name=bob`);
    expect(await ask(ann, '{"action":"count"}')).toBe('[1,"ann",1,"ann","bob"]');

    await project.save("app.mjs", app(2));
    await lift.prints(/Reloaded/, 1);
    expect(await ask(ann, '{"action":"count"}')).toBe('[2,"ann",2,"ann","bob"]');

    silent.close();
    await lift.prints(/\$disconnect +200/);
    await project.save("app.mjs", app(3));
    await lift.prints(/Reloaded/, 2);
    expect(await ask(ann, '{"action":"count"}')).toBe('[3,"ann",3,"ann"]');
  });

  it("keeps the last working handler while the saved code is broken, and reports the place", async () => {
    project = await Project.create({
      "routes.json": ROUTES,
      "src/app.mjs": `export const handler = () => ({ statusCode: 200, body: "one" });`,
    });
    const lift = await project.dev(["--routes", "routes.json", "--watch"]);
    const socket = await project.connect(lift.url);

    await project.save("src/app.mjs", "export const handler = ( => 1;\n");
    await lift.prints(/app\.mjs:1\n.*SyntaxError/s);
    expect(await ask(socket, "?")).toBe("one");

    await project.save("src/app.mjs", `throw new Error("at the top");\n`);
    await lift.prints(/Error: at the top\n {4}at .*app\.mjs:1:/);
    expect(await ask(socket, "?")).toBe("one");

    await project.save("src/app.mjs", `export { handler } from "./new.mjs";`);
    await lift.prints(/Cannot find module/);
    await project.save("src/new.mjs", `export const handler = () => ({ statusCode: 200, body: "two" });`);
    await lift.prints(/Reloaded/);
    expect(await ask(socket, "?")).toBe("two");
    expect(lift.output).not.toMatch(/lift-ws=\d|node:internal/);
  });

  it("finishes an event on the handler that started it", async () => {
    const app = (version: number) => `export default async ({ body }) => {
      if (body === "wait") { console.log("waits"); await new Promise((resolve) => { globalThis.go = resolve; }); }
      if (body === "go") globalThis.go();
      if (body) console.log(body, "ends in version ${version}");
      return { statusCode: 200 };
    };`;
    project = await Project.create({ "app.mjs": app(1) });
    const lift = await project.dev(["app.mjs", "--watch"]);
    const socket = await project.connect(lift.url);
    socket.send("wait");
    await lift.prints(/^waits$/m);
    await project.save("app.mjs", app(2));
    await lift.prints(/Reloaded/);
    socket.send("go");
    await lift.prints(/^wait ends in version 1$/m);
    expect(lift.output).toMatch(/^go ends in version 2$/m);
  });

  it("applies added and removed routes, and reports changes that need a restart", async () => {
    const routes = (keys: string[]) => Object.fromEntries(keys.map((key) => [key, "./app.js"]));
    project = await Project.create({
      "routes.json": JSON.stringify({ routes: routes(["one"]) }),
      "app.js": `exports.handler = async ({ requestContext }) => {
        console.log("ran", requestContext.routeKey);
        return { statusCode: 200 };
      };`,
    });
    const lift = await project.dev(["--routes", "routes.json", "--watch"]);
    const socket = await project.connect(lift.url);
    await project.save("routes.json", JSON.stringify({ routes: routes(["two"]) }));
    await lift.prints(/Reloaded/);
    expect(await ask(socket, '{"action":"one"}')).toContain("Forbidden");
    socket.send('{"action":"two"}');
    await lift.prints(/^ran two$/m);

    await project.save("routes.json", JSON.stringify({ routes: routes(["two"]), routeResponses: ["two"] }));
    await lift.prints(/restart to apply them/);
    socket.close();
    await once(socket, "close");
  });
});
