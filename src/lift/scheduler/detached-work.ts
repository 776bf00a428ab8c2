import type { LambdaContext, MessageEvent } from "../../apigw/index.ts";
import type { TimeBudget } from "../../store/index.ts";
import { appSettings, type Lift } from "../app.ts";
import { AppContext } from "../app-context.ts";
import { compose, type Middleware } from "../compose.ts";
import { type AnyContext, contextInternals } from "../context.ts";
import { runDetached } from "../handler.ts";

/** Work for a message that has been stored, which runs when its event is long over. */
export interface DetachedWork {
  /** The id of the message, for logs and traces. */
  readonly id: string;
  /** The action of the message. */
  readonly action: string;
  /** The user of the connection that sent the message. */
  readonly userId: string | undefined;
  /** The tenant of that connection. */
  readonly tenantId: string | undefined;
  /** The connection that sent the message. It may have ended. */
  readonly connectionId: string;
  /** The endpoint of that connection, as its row has it. */
  readonly endpoint: string;
  /** The remaining time. */
  readonly budget: TimeBudget;
}

/**
 * Runs `work` inside middleware: observers, and those around the handler. Guards do not run, because the message has
 * passed them. The context has the identity of the message's connection. Not a method, so that other apps do not load it.
 * @example
 * const work = { id, action, userId, tenantId, connectionId, endpoint, budget };
 * const result = await runDetachedWork(app, [webSocketMetrics()], work, () => writeReport());
 */
export async function runDetachedWork<Result>(
  app: Lift,
  middleware: readonly Middleware[],
  detached: DetachedWork,
  work: () => Promise<Result>,
): Promise<Result> {
  const settings = appSettings(app);
  const { action, userId, tenantId, budget } = detached;
  const observers = middleware.filter(({ phase }) => phase === "observer");
  const around = middleware.filter(({ phase }) => phase === undefined);
  let result: { readonly value: Result } | undefined;
  const handler = async (ctx: AnyContext) => {
    result = { value: await work() };
    contextInternals.setResult(ctx, undefined);
  };
  const event = toEvent(detached, settings.now());
  const ctx: AnyContext = new AppContext(event, toLambda(budget), settings, "$default", () => ({
    name: action,
    namespaces: [],
  }));
  contextInternals.adoptIdentity(ctx, { userId, tenantId });
  await runDetached(ctx, observers, compose(around, handler, true));
  if (result !== undefined) return result.value;
  throw new Error("A middleware did not call `next()`, so the request did not run");
}

function toEvent({ id, action, connectionId, endpoint }: DetachedWork, now: number): MessageEvent {
  const { host, pathname } = new URL(endpoint);
  const requestContext = {
    connectionId,
    routeKey: "$default",
    eventType: "MESSAGE",
    messageId: id,
    requestId: id,
    extendedRequestId: id,
    requestTimeEpoch: now,
    requestTime: new Date(now).toISOString(),
    connectedAt: now,
    messageDirection: "IN",
    apiId: host.split(".")[0]!,
    domainName: host,
    stage: pathname.slice(1),
    identity: { sourceIp: "" },
  } as const;
  return { requestContext, body: JSON.stringify({ id, action }), isBase64Encoded: false };
}

function toLambda(budget: TimeBudget): LambdaContext {
  const { AWS_LAMBDA_FUNCTION_NAME: functionName = "" } = process.env;
  return {
    callbackWaitsForEmptyEventLoop: false,
    functionName,
    functionVersion: "$LATEST",
    invokedFunctionArn: "",
    memoryLimitInMB: "",
    awsRequestId: "",
    logGroupName: "",
    logStreamName: "",
    getRemainingTimeInMillis: () => budget.getRemainingTimeInMillis(),
  };
}
