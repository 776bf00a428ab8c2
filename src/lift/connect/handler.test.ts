import { describe, expect, it } from "vitest";
import { z } from "zod";
import { memoryConnectionStore } from "../../store/memory/index.ts";
import { type Context, connectHandler, jsonLogger, Lift, LiftError, type Middleware } from "../index.ts";
import { connectEvent, disconnectEvent, lambdaContext, messageEvent } from "../testing/index.ts";
import type { ConnectHandlerOptions } from "./handler.ts";

const ID = "L0SM9cOFvHcCIhw=";

function byApp({ middleware = [], handler = () => {}, ...options }: ConnectHandlerOptions) {
  return new Lift(options)
    .use(...middleware)
    .webSocket("$connect", handler)
    .webSocketHandler();
}

describe.each([
  ["connectHandler", connectHandler],
  ["an app", byApp],
])("$connect by %s", (_name, make) => {
  const run = async (options: ConnectHandlerOptions) => {
    const store = memoryConnectionStore();
    const lines: string[] = [];
    const logger = jsonLogger({ write: (_level, line) => lines.push(line) });
    const result = await make({ connectionStore: store, logger, ...options })(
      connectEvent(),
      lambdaContext(),
    );
    return { result, row: await store.get(ID), lines };
  };

  it("accepts a client without a handler and saves its row", async () => {
    const { result, row } = await run({});
    expect([result, row]).toEqual([{ statusCode: 200 }, expect.objectContaining({ id: ID, state: {} })]);
  });

  it("saves the identity, the metadata and the state that the handler sets", async () => {
    const { row } = await run({
      handler: async (ctx) => {
        ctx.setUserId("ada").setTenantId("acme").setMetadata({ plan: "free" }).set("count", 1).set("gone", 1);
        ctx.set("gone", undefined);
        await ctx.update("count", (count) => Number(count) + 1);
        expect([await ctx.get("count"), await ctx.get("other"), await ctx.connection()]).toEqual([
          2,
          undefined,
          undefined,
        ]);
      },
    });
    expect(row).toMatchObject({ userId: "ada", tenantId: "acme", metadata: { plan: "free" } });
    expect(row?.state).toEqual({ count: 2 });
  });

  it("refuses with the handler's status and saves no row", async () => {
    const { result, row } = await run({ handler: (ctx) => ctx.status(403).json({ reason: "full" }) });
    expect([result, row]).toEqual([{ statusCode: 403, body: '{"reason":"full"}' }, undefined]);
  });

  it("refuses with the status of a thrown error and logs it", async () => {
    const full = new LiftError("ROOM_FULL", { status: 409, message: "The room is full" });
    const { result, row, lines } = await run({ handler: () => Promise.reject(full) });
    expect(result).toMatchObject({ statusCode: 409, body: expect.stringContaining("ROOM_FULL") });
    expect([row, lines]).toEqual([undefined, [expect.stringContaining("The event was refused")]]);
  });

  it("runs observers, guards and other middleware in the order of their phases", async () => {
    const calls: string[] = [];
    const record = (name: string, phase?: "guard" | "observer"): Middleware =>
      Object.assign(
        async (ctx: Context, next: () => Promise<void>) => {
          calls.push(name);
          await next();
          if (phase === "observer") calls.push(`saw ${ctx.outcome.statusCode}`);
        },
        phase === undefined ? {} : { phase },
      );
    const middleware = [record("around"), [record("guard", "guard")], record("observer", "observer")];
    await run({ middleware, handler: (ctx) => ctx.status(401) });
    expect(calls).toEqual(["observer", "guard", "around", "saw 401"]);
  });

  it("saves through the store of an instrument", async () => {
    const saved: string[] = [];
    const observer: Middleware = (ctx, next) => {
      ctx.instrument({
        store: (store) => ({
          ...store,
          save: (row) => {
            saved.push(row.id);
            return Promise.resolve(true);
          },
        }),
        connections: (connections) => connections,
      });
      return next();
    };
    await run({ middleware: [Object.assign(observer, { phase: "observer" as const })] });
    expect(saved).toEqual([ID]);
  });
});

describe("connectHandler", () => {
  const internal = (code: string, message: string) =>
    expect.objectContaining({ code, message: expect.stringContaining(message) });

  it.each([
    ["a message", messageEvent("a", {})],
    ["$disconnect", disconnectEvent()],
    ["another event", {}],
  ])("rejects %s with NOT_WEBSOCKET", async (_name, event) => {
    const handled = connectHandler()(event as never, lambdaContext());
    await expect(handled).rejects.toEqual(internal("NOT_WEBSOCKET", "$connect events only"));
  });

  it("has no message and cannot send", async () => {
    const handler = async (ctx: Context) => {
      expect(ctx.body("text")).toBeUndefined();
      await expect(ctx.bind(z.object({}))).rejects.toEqual(internal("VALIDATION_ERROR", "has no message"));
      const sends = [() => ctx.reply("hello"), () => ctx.asWebSocket(), () => ctx.asWebSocketV2()];
      for (const send of sends) expect(send).toThrow(internal("NOT_CONNECTED", "cannot send"));
      return ctx.status(204);
    };
    expect(await connectHandler({ handler })(connectEvent(), lambdaContext())).toEqual({ statusCode: 204 });
  });

  it.each([
    [{ connections: {} }, "connections"],
    [{ middleware: () => {} }, "`middleware` must be an array of middleware"],
    [{ handler: {} }, "`handler` must be a function"],
  ])("rejects the options %o", (options, message) => {
    expect(() => connectHandler(options as never)).toThrow(internal("INVALID_OPTION", message));
  });
});
