import { describe, expect, it, vi } from "vitest";
import { Lift, LiftError, type Middleware, type Phase, runDetachedWork } from "../index.ts";
import { recordingConnections } from "../testing/index.ts";

const NOW = Date.UTC(2026, 0, 1);
const detached = {
  id: "m1",
  action: "report",
  userId: "ada",
  tenantId: "acme",
  connectionId: "c1",
  endpoint: "https://abc.execute-api.eu-west-1.amazonaws.com/live",
  budget: { getRemainingTimeInMillis: () => 5_000 },
};

function makeApp() {
  const connections = recordingConnections();
  return { connections, app: new Lift({ connections, now: () => NOW }) as unknown as Lift };
}

const placed = (run: Middleware, phase?: Phase) =>
  Object.assign<Middleware, object>((ctx, next) => run(ctx, next), phase === undefined ? {} : { phase });

describe("detached work", () => {
  it("runs inside observers and other middleware, not inside guards", async () => {
    const order: string[] = [];
    const note = (name: string, phase?: Phase) =>
      placed(async (_ctx, next) => {
        order.push(name);
        await next();
        order.push(`after ${name}`);
      }, phase);
    const middleware = [note("around"), note("guard", "guard"), note("observer", "observer")];
    const result = await runDetachedWork(makeApp().app, middleware, detached, async () => order.push("work"));
    expect(order).toEqual(["observer", "around", "work", "after around", "after observer"]);
    expect(result).toBe(3);
  });

  it("has the message, the identity and the action in its context", async () => {
    vi.stubEnv("AWS_LAMBDA_FUNCTION_NAME", "worker");
    const { app, connections } = makeApp();
    const seen: object[] = [];
    const look: Middleware = async (ctx, next) => {
      const { userId, tenantId, action, namespaces, connectionId, requestId, logger: _, event } = ctx;
      const { requestTimeEpoch, apiId, stage } = event.requestContext;
      seen.push({ userId, tenantId, action, namespaces, connectionId, requestId });
      seen.push({ requestTimeEpoch, apiId, stage, isBase64Encoded: event.isBase64Encoded });
      seen.push([ctx.body("id"), ctx.body("action"), ctx.remainingTime(), ctx.lambda.functionName]);
      await next();
      await ctx.reply("done");
    };
    await runDetachedWork(app, [look], detached, async () => {});
    vi.unstubAllEnvs();
    const { userId, tenantId, action, connectionId, id: requestId } = detached;
    expect(seen).toEqual([
      { userId, tenantId, action, namespaces: [], connectionId, requestId },
      { requestTimeEpoch: NOW, apiId: "abc", stage: "live", isBase64Encoded: false },
      ["m1", "report", 5_000, "worker"],
    ]);
    expect(connections.jsonSentTo("c1")).toEqual(["done"]);
  });

  it("rejects with its own error, whose code observers see", async () => {
    const outcomes: unknown[] = [];
    const observe = placed(async (ctx, next) => {
      await next();
      outcomes.push(ctx.outcome);
    }, "observer");
    const { app, connections } = makeApp();
    const run = (error: Error) => runDetachedWork(app, [observe], detached, () => Promise.reject(error));
    const broken = new Error("no disk");
    await expect(run(broken)).rejects.toBe(broken);
    await expect(run(new LiftError("RATE_LIMITED"))).rejects.toMatchObject({ code: "RATE_LIMITED" });
    expect(outcomes).toEqual([
      { statusCode: 500, code: "INTERNAL_ERROR" },
      { statusCode: 429, code: "RATE_LIMITED" },
    ]);
    expect(connections.sent).toEqual([]);
  });

  it("keeps the identity of the message's connection, and leaves no timer", async () => {
    vi.useFakeTimers();
    try {
      const { app } = makeApp();
      const seen: unknown[] = [];
      const impersonate: Middleware = (ctx, next) => {
        expect(() => ctx.setUserId("eve")).toThrow(expect.objectContaining({ code: "IDENTITY_FIXED" }));
        seen.push(ctx.userId, ctx.signal.aborted);
        return next();
      };
      await runDetachedWork(app, [impersonate], detached, async () => {});
      expect([seen, vi.getTimerCount()]).toEqual([["ada", false], 0]);
    } finally {
      vi.useRealTimers();
    }
  });

  it("fails when a middleware does not call next()", async () => {
    const stop: Middleware = () => {};
    await expect(runDetachedWork(makeApp().app, [stop], detached, async () => 1)).rejects.toThrow("next()");
  });
});
