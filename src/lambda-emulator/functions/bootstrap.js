// @ts-check
/**
 * The runtime of a function's process, like Lambda's Node 24 runtime: it loads the handler, then gets and handles one event
 * after the other. It is JavaScript and imports nothing of this package, because loading modules and stripping types (50
 * ms) would count as the function's cold start.
 */
import { existsSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { format } from "node:util";

/**
 * @typedef {import("node:http").IncomingHttpHeaders} Headers
 * @typedef {import("../../apigw/index.ts").LambdaContext} LambdaContext
 * @typedef {(event: unknown, context: LambdaContext) => unknown} Handler
 */

// An import of `node:http` would load all its exports, and with WebSocket all of undici: 25 ms of a cold start.
const { Agent, request } = process.getBuiltinModule("node:http");
const { env } = process;
const [host = "", port = ""] = env.AWS_LAMBDA_RUNTIME_API?.split(":") ?? [];
const agent = new Agent({ keepAlive: true, maxSockets: 1 });
const EXTENSIONS = ["", ".js", ".mjs", ".cjs"];

/**
 * The id of the running invocation.
 * @type {string | undefined}
 */
let requestId;

class RuntimeError extends Error {
  constructor(/** @type {string} */ type, /** @type {string} */ message) {
    super(message);
    this.name = `Runtime.${type}`;
  }
}

/**
 * @param {"GET" | "POST"} method
 * @param {string} path
 * @param {string} [body]
 * @param {string} [errorType]
 * @returns {Promise<{ headers: Headers, body: string }>}
 */
function call(method, path, body, errorType) {
  const headers = {
    ...(body !== undefined && {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body),
    }),
    ...(errorType !== undefined && { "lambda-runtime-function-error-type": errorType }),
  };
  return new Promise((settle, reject) => {
    const options = { host, port, method, path: `/2018-06-01/runtime/${path}`, agent, headers };
    const outgoing = request(options, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => {
        text += chunk;
      });
      response.on("end", () => settle({ headers: response.headers, body: text }));
      response.on("error", reject);
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

/**
 * Exits when the Runtime API, or the reader of the output, is gone: the emulator has ended.
 * @returns {never}
 */
function exitWithoutApi() {
  process.exit(0);
}

/** @returns {Promise<Handler>} */
async function load() {
  const spelling = env._HANDLER ?? "";
  const [, file, path] = /^([^.]+)\.(.+)$/.exec(basename(spelling)) ?? [];
  if (file === undefined || path === undefined) {
    throw new RuntimeError("MalformedHandlerName", `Bad handler ${spelling}`);
  }
  const module = await importModule(join(dirname(spelling), file));
  const handler = readExport(module, path) ?? readExport(module.default, path);
  if (typeof handler !== "function") {
    throw new RuntimeError("HandlerNotFound", `${spelling} is undefined or not exported`);
  }
  if (handler.length > 2) {
    const message = "Lambda's Node 24 runtime has no callback-based handlers: make it async";
    throw new RuntimeError("CallbackHandlerDeprecated", message);
  }
  return /** @type {Handler} */ (handler);
}

/**
 * @param {string} name a file, usually without its extension
 * @returns {Promise<{ readonly default?: unknown }>}
 */
async function importModule(name) {
  const base = resolve(env.LAMBDA_TASK_ROOT ?? ".", name);
  const path = EXTENSIONS.map((extension) => base + extension).find((it) => existsSync(it));
  if (path === undefined) throw new RuntimeError("ImportModuleError", `Error: Cannot find module '${name}'`);
  try {
    return await import(pathToFileURL(path).href);
  } catch (error) {
    if (error instanceof SyntaxError) throw new RuntimeError("UserCodeSyntaxError", String(error));
    throw error;
  }
}

function readExport(/** @type {unknown} */ exports, /** @type {string} */ path) {
  return path.split(".").reduce((value, name) => Object(value)[name], exports);
}

/**
 * @param {Headers} headers
 * @returns {LambdaContext}
 */
function createContext(headers) {
  const deadline = Number(headers["lambda-runtime-deadline-ms"]);
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionName: String(env.AWS_LAMBDA_FUNCTION_NAME),
    functionVersion: String(env.AWS_LAMBDA_FUNCTION_VERSION),
    invokedFunctionArn: String(headers["lambda-runtime-invoked-function-arn"]),
    memoryLimitInMB: String(env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE),
    awsRequestId: String(headers["lambda-runtime-aws-request-id"]),
    logGroupName: String(env.AWS_LAMBDA_LOG_GROUP_NAME),
    logStreamName: String(env.AWS_LAMBDA_LOG_STREAM_NAME),
    getRemainingTimeInMillis: () => Math.max(0, deadline - Date.now()),
  };
}

async function runNext(/** @type {Handler} */ handler) {
  const { headers, body } = await call("GET", "invocation/next").catch(exitWithoutApi);
  requestId = String(headers["lambda-runtime-aws-request-id"]);
  env._X_AMZN_TRACE_ID = String(headers["lambda-runtime-trace-id"]);
  let result;
  try {
    result = JSON.stringify(await handler(JSON.parse(body), createContext(headers))) ?? "null";
  } catch (error) {
    await report(error);
    return;
  }
  await call("POST", `invocation/${requestId}/response`, result).catch(exitWithoutApi);
}

async function report(/** @type {unknown} */ error) {
  const fault = toFault(error);
  console.error(requestId === undefined ? "Init Error" : "Invoke Error", JSON.stringify(fault));
  const path = requestId === undefined ? "init/error" : `invocation/${requestId}/error`;
  await call("POST", path, JSON.stringify(fault), fault.errorType).catch(exitWithoutApi);
}

function toFault(/** @type {unknown} */ error) {
  if (!(error instanceof Error)) {
    return { errorType: typeof error, errorMessage: format(error), trace: [] };
  }
  return { errorType: error.name, errorMessage: error.message, trace: error.stack?.split("\n") ?? [] };
}

/**
 * Provides the AWS SDK, which Lambda's runtime has. A package of the SDK that the function's folder lacks is loaded from
 * the first of these folders that has it.
 */
function provideSdk(/** @type {readonly string[]} */ folders) {
  const { createRequire, registerHooks } = process.getBuiltinModule("node:module");
  let searching = false;
  registerHooks({
    resolve(specifier, context, nextResolve) {
      try {
        return nextResolve(specifier, context);
      } catch (error) {
        // `require.resolve` may call this hook.
        if (searching || !/^@(aws-sdk|smithy)\//.test(specifier)) throw error;
        searching = true;
        try {
          for (const folder of folders) {
            const path = find(createRequire(join(folder, "index.js")), specifier);
            if (path !== undefined) return { url: pathToFileURL(path).href, shortCircuit: true };
          }
        } finally {
          searching = false;
        }
        throw error;
      }
    },
  });
}

function find(/** @type {NodeJS.Require} */ require, /** @type {string} */ specifier) {
  try {
    return require.resolve(specifier);
  } catch {
    return undefined;
  }
}

/** Formats console lines as in CloudWatch: time, request id, level and text. */
function patchConsole() {
  for (const level of /** @type {const} */ (["trace", "debug", "info", "warn", "error"])) {
    console[level] = (/** @type {unknown[]} */ ...values) => {
      const line = [new Date().toISOString(), requestId, level.toUpperCase(), format(...values)].join("\t");
      process.stdout.write(`${line}\n`);
    };
  }
  console.log = console.info;
}

/** Reports an uncaught error and exits with the exit code of Lambda's runtime. */
function exitWith(/** @type {unknown} */ error, /** @type {number} */ code) {
  report(error).then(() => process.exit(code));
}

// Remove this file's argument, because a function has no arguments in Lambda.
const { apiHosts, sdkFolders } = JSON.parse(process.argv.splice(2)[0] ?? "{}");
if (apiHosts !== undefined) (await import("./api-hosts.ts")).redirectApiHosts(apiHosts);
if (sdkFolders !== undefined) provideSdk(sdkFolders);

patchConsole();
// Without a listener, a failed write would be an uncaught exception, whose report would be written, and so on.
process.stdout.on("error", exitWithoutApi);
process.on("uncaughtException", (error) => exitWith(error, 129));
process.on("unhandledRejection", (reason) => {
  exitWith(new RuntimeError("UnhandledPromiseRejection", format(reason)), 128);
});
try {
  const handler = await load();
  for (;;) await runNext(handler);
} catch (error) {
  await report(error);
  process.exit(1);
}
