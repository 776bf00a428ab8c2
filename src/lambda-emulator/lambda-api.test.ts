import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { lambdaInvoker } from "../lift/index.ts";
import { type FailedInvocation, type LambdaApi, LambdaFunction, serveLambdaApi } from "./index.ts";

/** Counts its invocations in this process's file, and fails, waits or returns as the event says. */
const CODE = `
  import { appendFileSync, readFileSync } from "node:fs";
  export const handler = async (event, context) => {
    appendFileSync(process.env.CALLS, JSON.stringify(event) + "\\n");
    const calls = readFileSync(process.env.CALLS, "utf8").trim().split("\\n").length;
    if (calls <= (event.failures ?? 0)) throw new TypeError("no " + calls);
    if (event.exit) process.exit(1);
    if (event.hang) await new Promise((resolve) => setTimeout(resolve, 60_000));
    return { calls };
  };`;

let directory: string;
let worker: LambdaFunction;
let api: LambdaApi;
let failed: FailedInvocation[];
let errors: Error[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "lift-ws-api-"));
  await writeFile(join(directory, "index.mjs"), CODE);
  failed = [];
  errors = [];
  worker = new LambdaFunction({
    name: "worker",
    directory,
    environment: { CALLS: join(directory, "calls") },
  });
  await serve({ retryDelaysMs: [1, 1] });
});

afterEach(async () => {
  await api.stop();
  await worker.stop();
  await rm(directory, { recursive: true });
});

async function serve(options: {
  retryDelaysMs?: number[];
  throttledDelayMs?: number;
  maxEventAgeMs?: number;
  onFailure?: () => unknown;
}) {
  await api?.stop();
  api = await serveLambdaApi({
    getFunction: (name) => (name === "worker" ? worker : undefined),
    onError: (error) => errors.push(error),
    onFailure: (failure) => failed.push(failure),
    ...options,
  });
}

const calls = async () => {
  const { readFile } = await import("node:fs/promises");
  const text = await readFile(join(directory, "calls"), "utf8").catch(() => "");
  return text.split("\n").filter((line) => line !== "");
};

function send(body: string, headers: Record<string, string> = {}, name = "worker"): Promise<Response> {
  return fetch(`${api.endpoint}/2015-03-31/functions/${encodeURIComponent(name)}/invocations`, {
    method: "POST",
    headers: { authorization: "AWS4-HMAC-SHA256 Credential=x", ...headers },
    body,
  });
}

const invoke = (event: object) =>
  lambdaInvoker({
    functionName: "worker",
    region: "us-east-1",
    endpoint: api.endpoint,
    credentials: { accessKeyId: "local", secretAccessKey: "local" },
  })(event);

it("accepts an event before the function has handled it", async () => {
  const response = await send('{"n":1}', { "x-amz-invocation-type": "Event" });
  expect([response.status, await response.text()]).toEqual([202, ""]);
  await vi.waitFor(async () => expect(await calls()).toEqual(['{"n":1}']));
});

it("retries a failed event twice, and then sends it to the destination", async () => {
  await invoke({ failures: 2 });
  await vi.waitFor(async () => expect(await calls()).toHaveLength(3));
  expect(failed).toEqual([]);
  await invoke({ failures: 9 });
  await vi.waitFor(() => expect(failed).toHaveLength(1));
  expect(await calls()).toHaveLength(6);
  expect(errors.map(({ message }) => message)).toEqual([1, 2, 4, 5, 6].map((n) => `no ${n}`));
  expect(failed[0]).toMatchObject({
    requestContext: { condition: "RetriesExhausted", approximateInvokeCount: 3 },
    requestPayload: { failures: 9 },
    responsePayload: { errorType: "TypeError", errorMessage: "no 6" },
  });
});

it("retries an event whose process ended", async () => {
  await invoke({ exit: true });
  await vi.waitFor(() => expect(failed).toHaveLength(1));
  expect(await calls()).toHaveLength(3);
  expect(failed[0]?.responsePayload.errorType).toBe("Runtime.ExitError");
});

it("waits a minute and then two before the retries by default", async () => {
  await serve({});
  const timers = vi.spyOn(globalThis, "setTimeout");
  await invoke({ failures: 9 });
  const delays = () =>
    timers.mock.calls.map(([, ms]) => ms).filter((ms) => Number(ms) >= 60_000 && ms !== 90_000);
  await vi.waitFor(() => expect(delays()).toEqual([60_000]));
  timers.mock.calls.find(([, ms]) => ms === 60_000)![0]();
  await vi.waitFor(() => expect(delays()).toEqual([60_000, 120_000]));
  timers.mockRestore();
});

it("retries throttled events without counting them, until they are too old", async () => {
  await worker.stop();
  const environment = { CALLS: join(directory, "calls") };
  const log: string[] = [];
  worker = new LambdaFunction({
    ...{ name: "worker", directory, environment, concurrency: 1 },
    log: (line) => log.push(line),
  });
  await serve({ retryDelaysMs: [], throttledDelayMs: 10 });
  await Promise.all([1, 2, 3, 4].map((n) => invoke({ n })));
  // A process is busy until its report, a moment after its response.
  await vi.waitFor(() => expect(log.filter((line) => line.startsWith("REPORT"))).toHaveLength(4));
  expect(await calls()).toHaveLength(4);
  expect(failed).toEqual([]);
  await serve({ throttledDelayMs: 10, maxEventAgeMs: 15 });
  const hanging = worker.invoke({ hang: true });
  await invoke({ n: 5 });
  await vi.waitFor(() => expect(failed).toHaveLength(1));
  expect(failed[0]?.requestContext).toMatchObject({
    condition: "EventAgeExceeded",
    approximateInvokeCount: 0,
  });
  expect(errors).toEqual([]);
  await Promise.all([expect(hanging).rejects.toThrow("SIGKILL"), worker.stop({ drainMs: 0 })]);
});

it("counts the attempts at a stopped function, and discards the event", async () => {
  await worker.stop();
  await invoke({ n: 1 });
  await vi.waitFor(() => expect(failed).toHaveLength(1));
  expect(failed[0]?.requestContext).toMatchObject({
    condition: "RetriesExhausted",
    approximateInvokeCount: 3,
  });
  expect(errors).toHaveLength(3);
});

it("reports a destination that fails", async () => {
  await serve({ retryDelaysMs: [], onFailure: () => Promise.reject(new Error("no destination")) });
  await invoke({ failures: 9 });
  await vi.waitFor(() => expect(errors.map(({ message }) => message)).toEqual(["no 1", "no destination"]));
});

it("invokes synchronously, by name, by ARN and with a version", async () => {
  const arn = "arn:aws:lambda:us-east-1:000000000000:function:worker";
  for (const [n, name] of [
    "worker",
    "worker:1",
    "000000000000:function:worker",
    arn,
    `${arn}:live`,
  ].entries()) {
    const response = await send("{}", {}, name);
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ calls: n + 1 });
  }
  const failure = await send('{"failures":9}');
  expect([failure.status, failure.headers.get("x-amz-function-error")]).toEqual([200, "Unhandled"]);
  expect(await failure.json()).toEqual({ errorType: "TypeError", errorMessage: "no 6" });
});

it("refuses what the service refuses", async () => {
  const typeOf = async (response: Promise<Response>) => {
    const { status, headers } = await response;
    return [status, headers.get("x-amzn-errortype")];
  };
  const event = { "x-amz-invocation-type": "Event" };
  expect(await typeOf(send("{}", event, "other"))).toEqual([404, "ResourceNotFoundException"]);
  expect(await typeOf(send("{", event))).toEqual([400, "InvalidRequestContentException"]);
  expect(await typeOf(send(`"${"x".repeat(1_048_575)}"`, event))).toEqual([413, "RequestTooLargeException"]);
  expect(await typeOf(send("{}", { "x-amz-invocation-type": "DryRun" }))).toEqual([
    400,
    "InvalidParameterValueException",
  ]);
  expect(await typeOf(send("{}", { authorization: "" }))).toEqual([
    403,
    "MissingAuthenticationTokenException",
  ]);
  expect(await typeOf(fetch(`${api.endpoint}/2015-03-31/functions`))).toEqual([
    404,
    "UnknownOperationException",
  ]);
  expect(await calls()).toEqual([]);
});

it("accepts an event of the largest size", async () => {
  const response = await send(`"${"x".repeat(1_048_574)}"`, { "x-amz-invocation-type": "Event" });
  expect(response.status).toBe(202);
  await vi.waitFor(async () => expect(await calls()).toHaveLength(1));
});

it("refuses a request before its body has ended", async () => {
  const unfinished = async (method: string, path: string, body: string) => {
    const sent = request(`${api.endpoint}/2015-03-31/functions/${path}`, {
      method,
      headers: { authorization: "AWS4-HMAC-SHA256 Credential=x", "x-amz-invocation-type": "Event" },
    });
    sent.on("error", () => {}).write(body);
    const [response] = (await once(sent, "response")) as [IncomingMessage];
    sent.destroy();
    return response.statusCode;
  };
  expect(await unfinished("POST", "worker/invocations", "x".repeat(1_048_577))).toBe(413);
  expect(await unfinished("PUT", "worker/invocations", "{")).toBe(404);
  expect(await unfinished("POST", "worker/configuration", "{")).toBe(404);
  expect(await unfinished("POST", "other/invocations", "{")).toBe(404);
});
