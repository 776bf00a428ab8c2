import { execFileSync, spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { FunctionError } from "../errors.ts";
import { LambdaFunction, type LambdaFunctionOptions } from "./lambda-function.ts";

let directory: string;
let functions: LambdaFunction[];
let lines: string[];
let logged: EventEmitter;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "lift-ws-function-"));
  functions = [];
  lines = [];
  logged = new EventEmitter();
});

afterEach(async () => {
  await Promise.all(functions.map((it) => it.stop({ drainMs: 0 })));
  await rm(directory, { recursive: true });
});

/** Creates a function with this module. */
async function make(code: string, options: Partial<LambdaFunctionOptions> = {}): Promise<LambdaFunction> {
  await writeFile(join(directory, "index.mjs"), code);
  const log = (line: string) => {
    lines.push(line);
    logged.emit("line");
  };
  const made = new LambdaFunction({ name: "chat", directory, log, ...options });
  functions.push(made);
  return made;
}

/** Runs its event, a code, after the answer, and before it asks for the next event. */
const AFTER_ANSWER = `import { subscribe } from "node:diagnostics_channel";
  let code = "";
  subscribe("http.client.response.finish", ({ request }) => request.path.endsWith("/response") && eval(code));
  export const handler = async (event) => {
    code = event;
    return process.pid;
  };`;

/** Resolves when this number of lines match. After the REPORT of an invocation its process is idle. */
async function logs(pattern: RegExp, times = 1): Promise<void> {
  while (lines.filter((line) => pattern.test(line)).length < times) await once(logged, "line");
}

async function failureOf(invocation: Promise<unknown>): Promise<FunctionError> {
  return invocation.then(
    () => expect.unreachable(),
    (error: FunctionError) => error,
  );
}

/** `TypeError: no such room` */
async function faultOf(invocation: Promise<unknown>): Promise<string> {
  const { name, message } = await failureOf(invocation);
  return `${name}: ${message}`;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe("a function", () => {
  it("handles an event in its own process, with the runtime's context", async () => {
    const chat = await make(
      `export const handler = async (event, context) => ({
        event, context, left: context.getRemainingTimeInMillis(), pid: process.pid, trace: process.env._X_AMZN_TRACE_ID,
      });`,
      { timeoutMs: 5_000, memoryMB: 512, region: "eu-west-1", accountId: "123456789012" },
    );
    const answer = (await chat.invoke({ hello: "wörld" })) as Record<string, never>;
    expect(answer).toMatchObject({
      event: { hello: "wörld" },
      context: {
        callbackWaitsForEmptyEventLoop: true,
        functionName: "chat",
        functionVersion: "$LATEST",
        invokedFunctionArn: "arn:aws:lambda:eu-west-1:123456789012:function:chat",
        memoryLimitInMB: "512",
        awsRequestId: expect.stringMatching(/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/),
        logGroupName: "/aws/lambda/chat",
        logStreamName: expect.stringMatching(/^\d{4}\/\d\d\/\d\d\/\[\$LATEST\][\da-f]{32}$/),
      },
      trace: expect.stringMatching(/^Root=1-[\da-f]{8}-[\da-f]{24};Parent=[\da-f]{16};Sampled=0$/),
    });
    expect(answer.left).toBeGreaterThan(3_000);
    expect(answer.left).toBeLessThanOrEqual(5_000);
    expect(answer.pid).not.toBe(process.pid);
  });

  it("has Lambda's environment variables and its own, and none of this process", async () => {
    vi.stubEnv("SOME_SECRET", "hush");
    const code = `export const handler = async () => ({ ...process.env, cwd: process.cwd(), hour: new Date(0).getHours() });`;
    const chat = await make(code, { environment: { TABLE: "rows", AWS_ACCESS_KEY_ID: "local" } });
    const environment = (await chat.invoke({})) as Record<string, string>;
    vi.unstubAllEnvs();
    expect(environment).toEqual({
      _HANDLER: "index.handler",
      _X_AMZN_TRACE_ID: expect.any(String),
      AWS_ACCESS_KEY_ID: "local",
      AWS_DEFAULT_REGION: "us-east-1",
      AWS_EXECUTION_ENV: "AWS_Lambda_nodejs24.x",
      AWS_LAMBDA_FUNCTION_MEMORY_SIZE: "128",
      AWS_LAMBDA_FUNCTION_NAME: "chat",
      AWS_LAMBDA_FUNCTION_VERSION: "$LATEST",
      AWS_LAMBDA_INITIALIZATION_TYPE: "on-demand",
      AWS_LAMBDA_LOG_GROUP_NAME: "/aws/lambda/chat",
      AWS_LAMBDA_LOG_STREAM_NAME: expect.any(String),
      AWS_LAMBDA_RUNTIME_API: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
      AWS_REGION: "us-east-1",
      LAMBDA_TASK_ROOT: directory,
      LANG: "en_US.UTF-8",
      PATH: "/usr/local/bin:/usr/bin:/bin",
      TABLE: "rows",
      TZ: ":UTC",
      cwd: directory,
      hour: 0,
    });
  });

  it("runs sequential events in one process, and overlapping events in several", async () => {
    const chat = await make(
      `let runs = 0;
      export const handler = async (event) => {
        if (event === "wait") await new Promise((done) => setTimeout(done, 300));
        return { pid: process.pid, run: ++runs };
      };`,
    );
    const first = await chat.invoke("first");
    await logs(/^REPORT/);
    expect(await chat.invoke("second")).toEqual({ ...(first as object), run: 2 });
    await logs(/^REPORT/, 2);
    expect(chat.coldStarts).toBe(1);
    const [a, b] = (await Promise.all([chat.invoke("wait"), chat.invoke("wait")])) as { pid: number }[];
    expect(a?.pid).not.toBe(b?.pid);
    expect([chat.coldStarts, chat.processes]).toEqual([2, 2]);
  });

  it.each([0, 2])("is throttled over its concurrency of %i", async (concurrency) => {
    const chat = await make("export const handler = async () => 1;", { concurrency });
    const allowed = Promise.all(Array.from({ length: concurrency }, () => chat.invoke({})));
    const error = await failureOf(chat.invoke({}));
    expect(error).toMatchObject({
      code: "THROTTLED",
      message: `Rate Exceeded: chat handles at most ${concurrency} events at a time`,
    });
    expect(error.stack).toBe(`LambdaEmulatorError: ${error.message}`);
    expect(await allowed).toEqual(Array(concurrency).fill(1));
  });

  it("makes events wait while all its processes are busy", async () => {
    const chat = await make("export const handler = async (event) => event;", { processes: 2 });
    const events = Array.from({ length: 30 }, (_, n) => n);
    expect(await Promise.all(events.map((event) => chat.invoke(event)))).toEqual(events);
    expect(chat.coldStarts).toBe(2);
  });

  it("rejects waiting events when it is stopped", async () => {
    const chat = await make("export const handler = () => new Promise(() => setInterval(() => {}, 1e6));", {
      processes: 1,
    });
    const failures = [chat.invoke(1), chat.invoke(2), chat.invoke(3)].map(failureOf);
    await chat.stop({ drainMs: 0 });
    expect((await Promise.all(failures)).map(({ code }) => code)).toEqual([
      "FUNCTION_FAILED",
      "FUNCTION_STOPPED",
      "FUNCTION_STOPPED",
    ]);
  });

  it("is not throttled by processes that have answered", async () => {
    const chat = await make("export const handler = async (event) => event;", {
      concurrency: 2,
      processes: 2,
    });
    const answers = async () => {
      for (let n = 0; n < 20; n++) expect(await chat.invoke(n)).toBe(n);
    };
    await Promise.all([answers(), answers()]);
    expect(chat.coldStarts).toBe(2);
  });

  it("runs a waiting event in a new process when the one that has answered exits", async () => {
    const chat = await make(AFTER_ANSWER, { processes: 1 });
    const pid = await chat.invoke("process.exit()");
    const next = chat.invoke("");
    expect(await next).not.toBe(pid);
    expect([chat.coldStarts, chat.processes]).toEqual([2, 1]);
  });

  it("is frozen between events", async () => {
    const chat = await make("export const handler = async () => process.pid;");
    const pid = (await chat.invoke({})) as number;
    await logs(/^REPORT/);
    // The signal has been sent, but takes effect only when the system schedules the process.
    const state = () => execFileSync("ps", ["-o", "stat=", "-p", String(pid)], { encoding: "utf8" });
    await expect.poll(state).toMatch(/^T/);
    expect(await chat.invoke({})).toBe(pid);
  });

  it("returns null for values that JSON does not have", async () => {
    const chat = await make("export const handler = async () => {};");
    expect(await chat.invoke({})).toBeNull();
  });

  it("loads the AWS SDK of the runtime when its folder has none", async () => {
    const provided = join(directory, "runtime");
    const own = join(directory, "own/node_modules/@smithy/own");
    for (const [folder, name] of [
      [join(provided, "node_modules/@aws-sdk/chat"), "provided"],
      [join(provided, "node_modules/@smithy/own"), "not this one"],
      [join(provided, "node_modules/other"), "not provided"],
      [own, "own"],
    ] as const) {
      await mkdir(folder, { recursive: true });
      await writeFile(join(folder, "index.js"), `exports.name = "${name}";`);
    }
    await mkdir(join(directory, "own"), { recursive: true });
    await writeFile(join(directory, "own/one.mjs"), `export { name as own } from "@smithy/own";`);
    const code = `import { createRequire } from "node:module";
      import { name } from "@aws-sdk/chat";
      import { own } from "./own/one.mjs";
      const require = createRequire(import.meta.url);
      export const handler = async (event) => [name, require("@aws-sdk/chat").name, own, await import(event).catch((error) => error.code)];`;
    const chat = await make(code, { sdkFolders: ["nowhere", provided] });
    const missing = (name: string) => ["provided", "provided", "own", name];
    expect(await chat.invoke("other")).toEqual(missing("ERR_MODULE_NOT_FOUND"));
    expect(await chat.invoke("@aws-sdk/other")).toEqual(missing("ERR_MODULE_NOT_FOUND"));
    expect(await faultOf((await make(code)).invoke("other"))).toContain("@aws-sdk/chat");
  });

  it("can be a CommonJS module or a nested export", async () => {
    const chat = await make("", { handler: "code/app.api.main" });
    await mkdir(join(directory, "code"));
    await writeFile(join(directory, "code/app.cjs"), "exports.api = { main: async () => 'here' };");
    expect(await chat.invoke({})).toBe("here");
  });
});

describe("the log", () => {
  it("has the lines of CloudWatch: START, the function's own, END and REPORT", async () => {
    const chat = await make(
      `export const handler = async () => { console.log("one %s", { two: 2 }); console.error("three"); };`,
    );
    await chat.invoke({});
    await logs(/^REPORT/);
    await chat.invoke({});
    await logs(/^REPORT/, 2);
    const id = "[\\da-f-]{36}";
    const invocation = (init: string) => [
      expect.stringMatching(`^START RequestId: ${id} Version: \\$LATEST$`),
      expect.stringMatching(`^\\S+Z\t${id}\tINFO\tone { two: 2 }$`),
      expect.stringMatching(`^\\S+Z\t${id}\tERROR\tthree$`),
      expect.stringMatching(`^END RequestId: ${id}$`),
      expect.stringMatching(
        `^REPORT RequestId: ${id}\tDuration: [\\d.]+ ms\tBilled Duration: \\d+ ms\tMemory Size: 128 MB(\tMax Memory Used: \\d+ MB)?${init}$`,
      ),
    ];
    expect(lines).toEqual([...invocation("\tInit Duration: [\\d.]+ ms"), ...invocation("")]);
  });
});

describe("a failure", () => {
  it("of the handler rejects the invocation with its stack, and the process continues", async () => {
    const chat = await make(
      "export const handler = async (event) => { if (event) throw new TypeError('no such room'); return process.pid; };",
    );
    const error = await failureOf(chat.invoke(true));
    expect(error).toMatchObject({ code: "FUNCTION_FAILED", name: "TypeError", message: "no such room" });
    expect(error.stack).toMatch(/^TypeError: no such room\n +at handler \(.*index\.mjs:1:\d+\)/);
    await logs(/^REPORT.*\tStatus: error$/);
    await chat.invoke(false);
    expect(chat.coldStarts).toBe(1);
  });

  it.each([
    ["throws", "throw new RangeError('broken')", "RangeError: broken"],
    ["has a syntax error", "export const = 1", /^Runtime.UserCodeSyntaxError: SyntaxError: /],
    [
      "exports no handler",
      "export const other = 1",
      "Runtime.HandlerNotFound: index.handler is undefined or not exported",
    ],
    [
      "takes a callback",
      "export const handler = (e, c, callback) => callback()",
      /^Runtime.CallbackHandlerDeprecated: /,
    ],
    [
      "ends the process",
      "process.exit(7)",
      /^Runtime.ExitError: RequestId: .* Error: Runtime exited with error: exit status 7$/,
    ],
  ])(
    "of a module that %s rejects the invocation, and the next event loads it again",
    async (_what, code, message) => {
      const chat = await make(code);
      for (const attempt of [1, 2]) {
        expect(await faultOf(chat.invoke({}))).toMatch(message);
        await logs(/^INIT_REPORT Init Duration: .*\tPhase: init\tStatus: error\tError Type: \w+/, attempt);
      }
      expect(chat.coldStarts).toBe(2);
    },
  );

  it("of a missing file names the file", async () => {
    const chat = await make("", { handler: "missing.handler" });
    expect(await faultOf(chat.invoke({}))).toBe(
      "Runtime.ImportModuleError: Error: Cannot find module 'missing'",
    );
  });

  it.each([
    ["an exit", "process.exit(3)", "Runtime exited with error: exit status 3"],
    ["a quiet exit", "process.exit()", "Runtime exited without providing a reason"],
    ["a signal", "process.kill(process.pid, 'SIGKILL')", "Runtime exited with error: signal: SIGKILL"],
  ])("by %s is Runtime.ExitError, and the next event has a new process", async (_what, end, reason) => {
    const chat = await make(`export const handler = async (event) => { if (event) ${end}; return 1; };`);
    const message = await faultOf(chat.invoke(true));
    expect(message).toMatch(/^Runtime\.ExitError: RequestId: [\da-f-]{36} Error: /);
    expect(message.endsWith(reason)).toBe(true);
    expect(await chat.invoke(false)).toBe(1);
    expect(chat.coldStarts).toBe(2);
  });

  it.each([
    ["an uncaught error", "setImmediate(() => { throw new Error('loose') })", "Error: loose"],
    [
      "an unhandled rejection",
      "void Promise.reject(new Error('loose'))",
      /^Runtime\.UnhandledPromiseRejection: Error: loose/,
    ],
  ])("by %s rejects the invocation, and ends the process", async (_what, loose, message) => {
    const chat = await make(
      `export const handler = (event) => event ? new Promise(() => { ${loose} }) : Promise.resolve(1);`,
    );
    expect(await faultOf(chat.invoke(true))).toMatch(message);
    await logs(/^REPORT.*Status: error$/);
    expect(await chat.invoke(false)).toBe(1);
    expect(chat.coldStarts).toBe(2);
  });

  it("by its timeout kills the process, even in an endless loop", async () => {
    const chat = await make(
      "export const handler = async (event) => { while (event); return process.pid; };",
      {
        timeoutMs: 250,
      },
    );
    const pid = (await chat.invoke(false)) as number;
    await logs(/^REPORT/);
    expect(await faultOf(chat.invoke(true))).toMatch(
      /^Sandbox\.Timedout: RequestId: .* Error: Task timed out after 0\.25 seconds$/,
    );
    await logs(/^REPORT.*\tStatus: timeout$/);
    expect(lines).toContainEqual(
      expect.stringMatching(/^\S+Z [\da-f-]{36} Task timed out after 0\.25 seconds$/),
    );
    expect(isAlive(pid)).toBe(false);
    expect(await chat.invoke(false)).not.toBe(pid);
  });

  it("by too large a result does not end the process", async () => {
    const chat = await make("export const handler = async (length) => 'x'.repeat(length);");
    const limit = 6 * 1024 * 1024;
    expect(await chat.invoke(limit - 2)).toHaveLength(limit - 2);
    await logs(/^REPORT/);
    expect(await faultOf(chat.invoke(limit - 1))).toBe(
      "Function.ResponseSizeTooLarge: Response payload size (6291457 bytes) exceeded maximum allowed payload size (6291456 bytes).",
    );
    await logs(/^REPORT/, 2);
    expect(await chat.invoke(1)).toBe("x");
    expect(chat.coldStarts).toBe(1);
  });
});

describe("a stop", () => {
  it("waits for running events, leaves no process, and refuses further events", async () => {
    const chat = await make(
      "export const handler = async (ms) => { await new Promise((done) => setTimeout(done, ms)); return process.pid; };",
    );
    const idle = (await chat.invoke(0)) as number;
    await logs(/^REPORT/);
    const running = [chat.invoke(200), chat.invoke(200)];
    await logs(/^START/, 3);
    await Promise.all([chat.stop(), chat.stop()]);
    const pids = (await Promise.all(running)) as number[];
    expect([idle, ...pids].map(isAlive)).toEqual([false, false, false]);
    expect(chat.processes).toBe(0);
    expect(await failureOf(chat.invoke(0))).toMatchObject({ code: "FUNCTION_STOPPED" });
  });

  it("runs an event that waits for a process", async () => {
    const chat = await make(AFTER_ANSWER, { processes: 1 });
    const pid = await chat.invoke("");
    const waiting = chat.invoke("");
    await chat.stop();
    expect([await waiting, chat.processes]).toEqual([pid, 0]);
  });

  it("rejects an event that still waits after `drainMs`", async () => {
    const chat = await make(AFTER_ANSWER, { processes: 1 });
    await chat.invoke("for (;;);");
    const waiting = failureOf(chat.invoke(""));
    await chat.stop({ drainMs: 10 });
    expect([await waiting, chat.processes]).toEqual([
      expect.objectContaining({ code: "FUNCTION_STOPPED" }),
      0,
    ]);
  });

  it("waits at most `drainMs`", async () => {
    const chat = await make("export const handler = async () => { for (;;); };");
    const endless = failureOf(chat.invoke({}));
    await logs(/^START/);
    await chat.stop({ drainMs: 10 });
    expect((await endless).message).toContain("Runtime exited with error: signal: SIGKILL");
  });
});

it("leaves neither a frozen process nor one in an endless loop when the parent is killed", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  const sockets: Socket[] = [];
  server.on("connection", (socket) => sockets.push(socket.on("error", () => {})));
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  // The process's end of the socket closes when the process ends.
  await make(`import { connect } from "node:net";
    const socket = connect(${port}, "127.0.0.1");
    await new Promise((connected) => socket.on("connect", connected));
    export const handler = async (event) => { for (; event;); return process.pid; };`);
  const parent = spawn(process.execPath, [
    "--input-type=module",
    "--eval",
    `import { LambdaFunction } from ${JSON.stringify(pathToFileURL(join(import.meta.dirname, "lambda-function.ts")))};
    const log = (line) => console.log(line);
    const chat = new LambdaFunction({ name: "chat", directory: ${JSON.stringify(directory)}, log });
    chat.invoke(true);
    await chat.invoke(false);`,
  ]);
  let output = "";
  const bothAt = () => (output.match(/^START/gm)?.length ?? 0) === 2 && /^REPORT/m.test(output);
  for await (const chunk of parent.stdout) {
    output += chunk;
    if (bothAt()) break;
  }
  expect(sockets).toHaveLength(2);
  const closed = Promise.all(sockets.map((socket) => once(socket.resume(), "close")));
  parent.kill("SIGKILL");
  await closed;
  server.close();
});

it.each([
  [{ directory: undefined }, "`directory` is required"],
  [{ name: "" }, "`name` must be a non-empty string; got a string"],
  [{ concurrency: 1.5 }, "`concurrency` must be an integer from 0; got 1.5"],
  [{ processes: 0 }, "`processes` must be an integer from 1; got 0"],
  [{ timeoutMs: 0 }, "`timeoutMs` must be a number from 1 to 900000; got 0"],
  [{ timeoutMs: 900_001 }, "`timeoutMs` must be a number from 1 to 900000; got 900001"],
  [{ memoryMB: 127 }, "`memoryMB` must be an integer from 128; got 127"],
  [{ environment: { A: 1 } }, "`environment` must be an object of strings"],
  [{ memory: 128 }, "Unknown option `memory`"],
])("rejects the options %j", (options, message) => {
  const all = { name: "chat", directory: ".", ...options } as LambdaFunctionOptions;
  expect(() => new LambdaFunction(all)).toThrow(
    expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(message) }),
  );
});
