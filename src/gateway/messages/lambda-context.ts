import { randomUUID } from "node:crypto";
import type { LambdaCallback, LambdaContext } from "../../apigw/index.ts";
import type { SteadyClock } from "../clock.ts";
import type { GatewaySettings } from "../options.ts";

const FUNCTION_VERSION = "$LATEST";
const LOG_GROUP = "/aws/lambda/";

/** The last two digits of an id, ready-made. */
const BYTES = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** Makes a context per invocation: on the way of every message, so what can be is made beforehand. */
export class LambdaContextFactory {
  readonly #clock: SteadyClock;
  readonly #arnPrefix: string;
  /** One for all, as a Lambda's instance has one. */
  readonly #logStreamName: string;
  #idStart = "";
  #ids = 0;

  constructor({ clock, region, accountId }: GatewaySettings) {
    this.#clock = clock;
    this.#arnPrefix = `arn:aws:lambda:${region}:${accountId}:function:`;
    const day = new Date(clock.now()).toISOString().slice(0, 10).replaceAll("-", "/");
    this.#logStreamName = `${day}/[${FUNCTION_VERSION}]${randomUUID().replaceAll("-", "")}`;
  }

  create(functionName: string, deadline: number, callback: LambdaCallback): NodeLambdaContext {
    return new NodeLambdaContext(
      functionName,
      this.#arnPrefix + functionName,
      this.#logStreamName,
      this.#requestId(),
      deadline,
      this.#clock,
      callback,
    );
  }

  /** A UUID. Random bytes are dear, so 256 ids differ in their last byte only. */
  #requestId(): string {
    const last = this.#ids++ & 0xff;
    if (last === 0) this.#idStart = randomUUID().slice(0, -2);
    return this.#idStart + BYTES[last];
  }
}

/** The context object of the Node runtimes, `done`, `succeed` and `fail` of those before Node 24 included. */
export class NodeLambdaContext implements LambdaContext {
  callbackWaitsForEmptyEventLoop = true;
  readonly functionName: string;
  readonly functionVersion = FUNCTION_VERSION;
  readonly invokedFunctionArn: string;
  readonly memoryLimitInMB = "128";
  readonly awsRequestId: string;
  readonly logGroupName: string;
  readonly logStreamName: string;
  /** The context's own, so that it works taken out of it. */
  readonly getRemainingTimeInMillis: () => number;
  readonly #callback: LambdaCallback;
  #isAnsweredByCallback = false;

  constructor(
    functionName: string,
    arn: string,
    logStreamName: string,
    awsRequestId: string,
    deadline: number,
    clock: SteadyClock,
    callback: LambdaCallback,
  ) {
    this.functionName = functionName;
    this.invokedFunctionArn = arn;
    this.awsRequestId = awsRequestId;
    this.logGroupName = LOG_GROUP + functionName;
    this.logStreamName = logStreamName;
    // Whole ms, as Lambda tells them; elapsed time has fractions.
    this.getRemainingTimeInMillis = () => Math.max(0, Math.floor(deadline - clock.elapsed()));
    this.#callback = callback;
  }

  /** Whether the handler has taken `done`, `succeed` or `fail`. */
  get isAnsweredByCallback(): boolean {
    return this.#isAnsweredByCallback;
  }

  // Getters: whoever takes one of these three, to call it now or to pass it on, is going to answer by it.

  get done(): LambdaCallback {
    this.#isAnsweredByCallback = true;
    return this.#callback;
  }

  get succeed(): (value?: unknown) => void {
    const { done } = this;
    return (value) => done(undefined, value);
  }

  get fail(): (error?: unknown) => void {
    const { done } = this;
    return (error) => done((error ?? new Error("context.fail() without an error")) as Error);
  }
}
