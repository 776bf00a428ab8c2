import { expect, it } from "vitest";
import { type Actions, type AnyContext, Lift, LiftError, type Middleware } from "./index.ts";
import { lambdaContext, messageEvent, recordingConnections } from "./testing/index.ts";

const ID = messageEvent("a", {}).requestContext.connectionId;

/** Names the action `do` of a message, in the namespace `in`. */
const actions: Actions = {
  names: ["move", "move:chess"],
  read: (ctx) => {
    const namespace = ctx.body("in");
    return {
      name: ctx.body("do") as string,
      ...(namespace === undefined ? {} : { namespaces: [namespace as string] }),
    };
  },
};

function makeApp(
  handle: (ctx: AnyContext) => unknown,
  options: { readonly actions?: Actions } = { actions },
) {
  const lines: unknown[] = [];
  const log = (_message: string, fields?: object) => void lines.push(fields);
  const logger = { debug: log, info: log, warn: log, error: log };
  const connections = recordingConnections();
  const app = new Lift<object>({ connections, logger, ...options });
  for (const key of ["$default", "own"]) app.webSocket(key, async (ctx) => void (await handle(ctx)));
  return { app, connections, lines };
}

async function send(app: Lift<object>, route: string, message: object): Promise<void> {
  await app.webSocketHandler()(messageEvent(route, message), lambdaContext());
}

it("names the messages on $default, and no others", async () => {
  const seen: unknown[] = [];
  const { app } = makeApp((ctx) => void seen.push([ctx.route, ctx.action, ctx.namespaces]));
  await send(app, "unknown", { do: "move", in: "chess" });
  await send(app, "unknown", { do: "move" });
  await send(app, "own", { do: "move", in: "chess" });
  expect(seen).toEqual([
    ["$default", "move", ["chess"]],
    ["$default", "move", []],
    ["own", "own", []],
  ]);
});

it("is the route of a message that names none, or that cannot be read", async () => {
  let reads = 0;
  const seen: unknown[] = [];
  const handle = (ctx: AnyContext) => void seen.push(ctx.action, ctx.action);
  const none = makeApp(handle, { actions: { names: [], read: () => void reads++ } });
  await send(none.app, "unknown", {});
  const fails = () => {
    reads++;
    throw new Error("no JSON");
  };
  const failing = makeApp(handle, { actions: { names: [], read: fails } });
  await send(failing.app, "unknown", {});
  expect([reads, seen]).toEqual([2, Array(4).fill("$default")]);
});

it("is in the log lines of its event", async () => {
  const { app, lines } = makeApp((ctx) => ctx.logger.info("seen"));
  await send(app, "unknown", { do: "move", in: "chess" });
  await send(app, "own", {});
  const common = { connectionId: ID, requestId: expect.any(String) };
  expect(lines).toEqual([
    { ...common, routeKey: "unknown", action: "move", namespace: "chess" },
    { ...common, routeKey: "own" },
  ]);
});

it("can become another, which a listener may refuse", async () => {
  const seen: unknown[] = [];
  const limit: Middleware = (ctx, next) => {
    ctx.onAction(async () => {
      seen.push(`becomes ${ctx.action}`);
      if (ctx.action === "flood") throw new LiftError("RATE_LIMITED");
    });
    return next();
  };
  const { app, connections } = makeApp(async (ctx) => {
    await ctx.actAs({ name: ctx.body("part") as string, namespaces: ["go"] });
    seen.push([ctx.action, ctx.namespaces]);
  });
  app.use(limit);
  await send(app, "unknown", { do: "chunk", part: "move" });
  await send(app, "unknown", { do: "chunk", part: "flood" });
  expect(seen).toEqual(["becomes move", ["move", ["go"]], "becomes flood"]);
  expect(connections.jsonSentTo(ID)).toMatchObject([{ type: "error", error: { code: "RATE_LIMITED" } }]);
});

it("has listeners in an app without `actions`, whose events keep their routes", async () => {
  const seen: unknown[] = [];
  const { app } = makeApp(async (ctx) => {
    ctx.onAction(async () => void seen.push("heard"));
    await ctx.actAs({ name: "move" });
    seen.push(ctx.action);
  }, {});
  await send(app, "own", {});
  expect(seen).toEqual(["heard", "own"]);
});

it("may be named by a middleware, as one of `names`", async () => {
  const limitOf = (route: string): Middleware =>
    Object.assign<Middleware, { routes: string[] }>((_ctx, next) => next(), { routes: [route] });
  const { app, connections } = makeApp(() => {});
  app.use(limitOf("move:chess"));
  await send(app, "unknown", { do: "move" });
  expect(connections.sent).toEqual([]);
  const other = makeApp(() => {});
  other.app.use(limitOf("leave"));
  await expect(send(other.app, "unknown", {})).rejects.toThrow("`leave`, which does not exist");
});
