/**
 * Runs one event through each side, all in this process, in turns. All sides run the same body on the same event. A
 * middleware does nothing before and after it, asynchronously, in its framework's style: two async functions for middy,
 * one around `await next()` for Lift.
 */
import { type AnyState, type Context, Lift, type LiftOptions, type WebSocketContext } from "lift-ws";
import type { LambdaContext, WebSocketEvent, WebSocketResult } from "lift-ws/apigw";
import { memoryConnectionStore } from "lift-ws/store/memory";
import { connectEvent, createTestWebSocketEvent, lambdaContext } from "lift-ws/testing";
import { answer } from "../lib/control.ts";
import { median } from "../lib/stats.ts";

/** Time per event or call, in ns. */
export type DispatchSample = { readonly [side: string]: number };

type Handler = (event: WebSocketEvent, context: LambdaContext) => Promise<WebSocketResult>;
type WithMiddy = (body: Handler, count: number, plugin?: object) => Handler;

/** Well below a time slice, so that most batches run without another process on this core. */
const EVENTS = 200;
const WARM_UP = 250;
const BATCHES = 1_000;
/** Few enough to stay in the processor's caches, as the context of a real event does. */
const CONTEXTS = 200;
const CONTEXT_BATCHES = 1_000;

const connectionId = "L0SM9cOFvHcCIhw=";
const message = JSON.stringify({ action: "greet", name: "Ada", text: "x".repeat(60) });
const event = createTestWebSocketEvent("greet", connectionId, message);
const lambda = lambdaContext();

const body: Handler = async (event) => {
  const { name } = JSON.parse((event as { body: string }).body) as { name: string };
  return { statusCode: 200, body: JSON.stringify({ greeting: `Hello, ${name}` }) };
};

function withLift(
  middleware: number,
  handler: (ctx: Context) => Promise<WebSocketResult> = (ctx) => body(ctx.event, ctx.lambda),
  options: LiftOptions<AnyState> = {},
): Handler {
  const app = new Lift(options);
  for (let i = 0; i < middleware; i++) {
    app.use(async (_ctx, next) => {
      await next();
    });
  }
  return app.webSocket("greet", handler).webSocketHandler();
}

function withLegacyPattern(): Handler {
  return new Lift().handle("MESSAGE", "/greet", (ctx) => body(ctx.event, ctx.lambda)).webSocketHandler();
}

/** An async handler that reads the user and one key of state, as most handlers of managed connections do. */
async function managed(): Promise<Handler> {
  const connectionStore = memoryConnectionStore();
  const handler = withLift(
    0,
    async (ctx) => {
      const color = await ctx.get("color");
      if (ctx.userId !== "ada" || color !== "teal")
        throw new Error("The state differs from the one of $connect");
      return body(ctx.event, ctx.lambda);
    },
    { connectionStore },
  );
  const connect = new Lift({ connectionStore }).webSocket("$connect", (ctx) => {
    ctx.setUserId("ada").set("color", "teal");
  });
  const connected = await connect.webSocketHandler()(connectEvent({ connectionId }), lambda);
  if (connected.statusCode !== 200) throw new Error(`$connect failed with ${connected.statusCode}`);
  return handler;
}

/** These sides are compared with each other, so they take turns in one process. */
const GROUPS = {
  frameworks: async (): Promise<[string, Handler][]> => {
    // TypeScript must not resolve this path: the first run of the bench installs the rivals.
    const rival: string = new URL("../rivals/middy.mjs", import.meta.url).href;
    const { withMiddy } = (await import(rival)) as { withMiddy: WithMiddy };
    const withoutTimer = { timeoutEarlyInMillis: 0 };
    return [
      ["bare", body],
      ["middy, no middleware", withMiddy(body, 0, withoutTimer)],
      ["middy, 2", withMiddy(body, 2, withoutTimer)],
      ["middy, 5", withMiddy(body, 5, withoutTimer)],
      ["middy, 5, its early timeout on", withMiddy(body, 5)],
      ["Lift, no middleware", withLift(0)],
      ["Lift, 2", withLift(2)],
      ["Lift, 5", withLift(5)],
      ["Lift, the pattern handle(MESSAGE, /greet)", withLegacyPattern()],
    ];
  },
  connections: async (): Promise<[string, Handler][]> => [
    ["Lift, an async handler", withLift(0, async (ctx) => body(ctx.event, ctx.lambda))],
    ["Lift, the same on a managed connection", await managed()],
  ],
};

export type Group = keyof typeof GROUPS;

answer("run", async (group: Group): Promise<DispatchSample> => {
  const sides = await GROUPS[group]();
  const expected = JSON.stringify(await body(event, lambda));
  const times = new Map<string, number[]>();
  for (const [name, handler] of sides) {
    times.set(name, []);
    const got = JSON.stringify(await handler(event, lambda));
    if (got !== expected) throw new Error(`${name} returned ${got}`);
  }
  for (let round = -WARM_UP; round < BATCHES; round++) {
    for (const [name, handler] of sides) {
      const ns = await batch(handler);
      if (round >= 0) times.get(name)!.push(ns);
    }
  }
  const medians = [...times].map(([name, values]): [string, number] => [name, median(values)]);
  return Object.fromEntries(medians);
});

answer("asWebSocket", async (): Promise<DispatchSample> => ({ asWebSocket: await firstAsWebSocket() }));

async function batch(handler: Handler): Promise<number> {
  const start = process.hrtime.bigint();
  for (let i = 0; i < EVENTS; i++) await handler(event, lambda);
  return Number(process.hrtime.bigint() - start) / EVENTS;
}

/** Time of the first call on new contexts, minus the time of the same loop without it. */
async function firstAsWebSocket(): Promise<number> {
  const contexts: Context[] = [];
  const handler = withLift(0, async (ctx) => {
    contexts.push(ctx);
    return { statusCode: 200 };
  });
  const results: (WebSocketContext | Context)[] = new Array(CONTEXTS);
  const timed = (loop: () => void): number => {
    const start = process.hrtime.bigint();
    loop();
    return Number(process.hrtime.bigint() - start) / CONTEXTS;
  };
  const calls: number[] = [];
  const empty: number[] = [];
  for (let i = 0; i < CONTEXT_BATCHES; i++) {
    contexts.length = 0;
    for (let n = 0; n < CONTEXTS; n++) await handler(event, lambda);
    empty.push(timed(() => keep(contexts, results)));
    calls.push(timed(() => call(contexts, results)));
  }
  return median(calls.slice(CONTEXT_BATCHES / 5)) - median(empty.slice(CONTEXT_BATCHES / 5));
}

function keep(contexts: readonly Context[], results: (WebSocketContext | Context)[]): void {
  for (let n = 0; n < contexts.length; n++) results[n] = contexts[n]!;
}

function call(contexts: readonly Context[], results: (WebSocketContext | Context)[]): void {
  for (let n = 0; n < contexts.length; n++) results[n] = contexts[n]!.asWebSocket();
}

console.log("ready 0");
