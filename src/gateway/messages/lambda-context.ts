import { randomUUID } from "node:crypto";
import type { LambdaCallback, LambdaContext } from "../../apigw/index.ts";
import type { SteadyClock } from "../clock.ts";
import type { GatewaySettings } from "../options.ts";

const FUNCTION_VERSION = "$LATEST";
const LOG_GROUP = "/aws/lambda/";

/** Precomputed last two digits of ids. */
const BYTES = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** The fields of a context that depend on the function only. */
interface FunctionFields {
  readonly name: string;
  readonly arn: string;
  readonly logGroupName: string;
}

/** Creates a Lambda context for each invocation. It runs for every message, so it computes as much as possible before. */
export class LambdaContextFactory {
  readonly #clock: SteadyClock;
  readonly #arnPrefix: string;
  /** Shared by all contexts, like in one Lambda instance. */
  readonly #logStreamName: string;
  /** The last function's. No more are kept, because clients choose the names of routes that one handler serves. */
  #last: FunctionFields = { name: "", arn: "", logGroupName: "" };
  #idStart = "";
  #ids = 0;

  constructor({ clock, region, accountId }: GatewaySettings) {
    this.#clock = clock;
    this.#arnPrefix = `arn:aws:lambda:${region}:${accountId}:function:`;
    const day = new Date(clock.now()).toISOString().slice(0, 10).replaceAll("-", "/");
    this.#logStreamName = `${day}/[${FUNCTION_VERSION}]${randomUUID().replaceAll("-", "")}`;
  }

  create(functionName: string, deadline: number, callback: LambdaCallback): NodeLambdaContext {
    if (functionName !== this.#last.name) {
      const [arn, logGroupName] = [this.#arnPrefix + functionName, LOG_GROUP + functionName];
      this.#last = { name: functionName, arn, logGroupName };
    }
    return new NodeLambdaContext(
      this.#last,
      this.#logStreamName,
      this.#requestId(),
      deadline,
      this.#clock,
      callback,
    );
  }

  /** Creates a UUID. Random bytes are expensive, so 256 ids in a row differ only in their last byte. */
  #requestId(): string {
    const last = this.#ids++ & 0xff;
    if (last === 0) this.#idStart = randomUUID().slice(0, -2);
    return this.#idStart + BYTES[last];
  }
}

/** The context object of the Node runtimes, with `done`, `succeed` and `fail` of the runtimes before Node 24. */
export class NodeLambdaContext implements LambdaContext {
  callbackWaitsForEmptyEventLoop = true;
  readonly functionName: string;
  readonly functionVersion = FUNCTION_VERSION;
  readonly invokedFunctionArn: string;
  readonly memoryLimitInMB = "128";
  readonly awsRequestId: string;
  readonly logGroupName: string;
  readonly logStreamName: string;
  /** An arrow function, so that handlers can destructure it. */
  readonly getRemainingTimeInMillis: () => number;
  readonly #callback: LambdaCallback;
  #isAnsweredByCallback = false;

  constructor(
    { name, arn, logGroupName }: FunctionFields,
    logStreamName: string,
    awsRequestId: string,
    deadline: number,
    clock: SteadyClock,
    callback: LambdaCallback,
  ) {
    this.functionName = name;
    this.invokedFunctionArn = arn;
    this.awsRequestId = awsRequestId;
    this.logGroupName = logGroupName;
    this.logStreamName = logStreamName;
    // Lambda returns whole ms; elapsed time has fractions.
    this.getRemainingTimeInMillis = () => Math.max(0, Math.floor(deadline - clock.elapsed()));
    this.#callback = callback;
  }

  /** True when the handler has read `done`, `succeed` or `fail`. */
  get isAnsweredByCallback(): boolean {
    return this.#isAnsweredByCallback;
  }

  // Getters: a handler that reads one of these three, to call it or to pass it on, will end by it.

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
