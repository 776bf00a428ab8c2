// @ts-check
// Runs public templates of others with `lift-ws local`, unmodified, and plays a conversation on each.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { capture, SetupError } from "./child.mjs";
import { SOURCE, spawnOptions } from "./install.mjs";
import { npmCi } from "./npm.mjs";

/**
 * @typedef {{
 *   repository: string,
 *   commit: string,
 *   install: readonly string[],
 *   synth?: string,
 *   template: string,
 *   sends: string,
 *   receives: string,
 * }} Sample `install` has folders with lockfiles; `synth` is the folder of a CDK app; the first of two connections sends
 *   `sends`, and the second receives `receives`
 */

/** @type {readonly Sample[]} */
const SAMPLES = [
  {
    repository: "aws-samples/simple-websockets-chat-app",
    commit: "fb1f0d686ae499194b2e9879e840c6222fd11f42",
    // Its functions have no dependencies, so `sam build` would only copy them.
    install: [],
    template: "template.yaml",
    sends: '{"action":"sendmessage","data":"hello"}',
    receives: "hello",
  },
  {
    repository: "aws-samples/multi-region-websocket-api",
    commit: "a520573e1b0936c05fa691bdba83928c4085efb8",
    install: ["src", "cdk"],
    synth: "cdk",
    template: "cdk/cdk.out/WebsocketsBlogStack-us-east-1.template.json",
    sends: "hello",
    receives: '{"data":"hello"}',
  },
];

/** The packages of Lambda's runtime that the samples import. */
const RUNTIME_SDK = {
  "@aws-sdk/client-apigatewaymanagementapi": "3.1162.0",
  "@aws-sdk/client-dynamodb": "3.1162.0",
  "@aws-sdk/client-eventbridge": "3.1162.0",
  "@aws-sdk/lib-dynamodb": "3.1162.0",
};

const GITHUB = "https://github.com/{owner}/{name}";
const HELP = `Usage: npm run check:templates [-- --from <address>]
  --from  Address or path of each repository. Default ${GITHUB}. Use it for mirrors: '/mirrors/{owner}/{name}'
Fetches pinned commits of public templates, builds each with its own lockfile, runs it and plays a conversation on it.
Needs the network, git, npm and Java 17.`;

const ANSWER_MS = 30_000;
const ROOT = resolve(import.meta.dirname, "..");

async function main() {
  const { values } = parseArgs({
    options: { from: { type: "string", default: GITHUB }, help: { type: "boolean", short: "h" } },
  });
  if (values.help) return void process.stdout.write(`${HELP}\n`);
  const folder = mkdtempSync(join(tmpdir(), "lift-ws-templates-"));
  try {
    for (const sample of SAMPLES) await fetchSample(sample, join(folder, sample.repository), values.from);
    // Above the samples, where their functions find it.
    await installSdk(folder);
    for (const sample of SAMPLES) await check(sample, join(folder, sample.repository));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * @param {Sample} sample
 * @param {string} folder
 * @param {string} from
 */
async function fetchSample({ repository, commit }, folder, from) {
  const [owner = "", name = ""] = repository.split("/");
  const address = from.replace("{owner}", owner).replace("{name}", name);
  mkdirSync(folder, { recursive: true });
  await runTool(["git", "init", "--quiet"], folder);
  const { code, output } = await capture("git", ["fetch", "--quiet", "--depth", "1", address, commit], {
    cwd: folder,
    env: { ...process.env, GIT_TERMINAL_PROMPT: "0" },
  });
  if (code !== 0) {
    const remedy = "Check the network, or give mirrors with --from";
    throw new SetupError(`Cannot fetch ${commit} of ${address}. ${remedy}. git says: ${output.trim()}`);
  }
  await runTool(["git", "checkout", "--quiet", "FETCH_HEAD"], folder);
}

/** @param {string} folder */
async function installSdk(folder) {
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true, dependencies: RUNTIME_SDK }));
  await runTool(
    ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
    folder,
  );
}

/**
 * @param {Sample} sample
 * @param {string} folder
 */
async function check({ repository, commit, install, synth, template, sends, receives }, folder) {
  const start = Date.now();
  for (const each of install) await npmCi(join(folder, each), ["--ignore-scripts"]);
  if (synth !== undefined) {
    await runTool([join(ROOT, "node_modules/aws-cdk/bin/cdk"), "synth", "--quiet"], join(folder, synth));
  }
  const built = Date.now();
  const lift = new Lift(join(folder, template));
  try {
    const url = await lift.url();
    const answer = await Promise.race([converse(url, sends), lift.ended()]);
    if (answer !== receives) throw new Error(`Expected the answer ${receives}; got ${answer}`);
    await lift.stop();
    const refused = /^.*(?:not authorized|does not run the service).*$/m.exec(lift.output);
    if (refused) throw new Error(refused[0]);
  } catch (error) {
    process.stdout.write(lift.output);
    throw new Error(`${repository} does not run: ${/** @type {Error} */ (error).message}`);
  } finally {
    lift.kill();
  }
  const seconds = (/** @type {number} */ ms) => `${(ms / 1000).toFixed(1)} s`;
  const times = `built in ${seconds(built - start)}, ran in ${seconds(Date.now() - built)}`;
  process.stdout.write(`ok  ${repository}  ${commit.slice(0, 8)}  ${times}\n`);
  for (const [line] of lift.output.matchAll(/^Not run here.*$/gm)) process.stdout.write(`    ${line}\n`);
}

/**
 * Connects two clients, sends a message from the first, and returns what the second receives.
 * @param {string} url
 * @param {string} message
 * @returns {Promise<string>}
 */
async function converse(url, message) {
  const [sender, receiver] = await Promise.all([connect(url), connect(url)]);
  const signal = AbortSignal.timeout(ANSWER_MS);
  const answer = new Promise((settle, reject) => {
    receiver.addEventListener("message", ({ data }) => settle(String(data)));
    signal.addEventListener("abort", () => reject(new Error(`No answer in ${ANSWER_MS / 1000} s`)));
  });
  sender.send(message);
  try {
    return await answer;
  } finally {
    for (const socket of [sender, receiver]) {
      socket.close();
      await once(socket, "close");
    }
  }
}

/** @returns {Promise<WebSocket>} */
function connect(/** @type {string} */ url) {
  const socket = new WebSocket(url);
  return new Promise((settle, reject) => {
    socket.addEventListener("open", () => settle(socket));
    socket.addEventListener("error", () => reject(new Error("The connection was refused")));
  });
}

/** `lift-ws local`, running a template on a free port. */
class Lift {
  output = "";
  #child;
  #exit;

  constructor(/** @type {string} */ template) {
    const main = join(ROOT, "src", "cli", "main.ts");
    this.#child = spawn(
      process.execPath,
      [SOURCE, main, "local", template, "--port", "0"],
      spawnOptions(ROOT),
    );
    this.#exit = once(this.#child, "close");
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.on("data", (chunk) => {
        this.output += chunk;
        this.#child.emit("output");
      });
    }
  }

  /** @returns {Promise<string>} the address, when it is ready */
  async url() {
    while (!/^Routes/m.test(this.output)) await Promise.race([once(this.#child, "output"), this.ended()]);
    return /** @type {string} */ (/^WebSocket +(\S+)/m.exec(this.output)?.[1]);
  }

  /** @returns {Promise<never>} rejects when the command ends */
  async ended() {
    const [code] = await this.#exit;
    throw new Error(`lift-ws local ended with the exit code ${code}`);
  }

  async stop() {
    this.#child.kill("SIGINT");
    const [code] = await this.#exit;
    if (code !== 0) throw new Error(`lift-ws local stopped with the exit code ${code}`);
  }

  kill() {
    this.#child.kill("SIGKILL");
  }
}

/**
 * @param {readonly [file: string, ...args: string[]]} command
 * @param {string} cwd
 */
async function runTool([file, ...args], cwd) {
  const env = {
    ...spawnOptions(ROOT).env,
    AWS_EC2_METADATA_DISABLED: "true",
    CDK_DISABLE_CLI_TELEMETRY: "true",
  };
  const { code, output } = await capture(file, args, { cwd, env });
  if (code !== 0) throw new SetupError(`${[file, ...args].join(" ")} failed in ${cwd}:\n${output.trim()}`);
}

main().catch((error) => {
  process.stderr.write(`lift-ws: ${error.message}\n`);
  process.exitCode = 1;
});
