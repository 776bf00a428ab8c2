// @ts-check
// The first thing a person runs, so: plain JavaScript, Node 20, nothing installed yet.
import { fileURLToPath } from "node:url";

const OLDEST_NODE = 20;

const COMMANDS = {
  start: {
    about: "serves the demo and prints its address",
    usage: "npm start",
    help: "PORT and HOST in the environment override 3001 and 127.0.0.1. Ctrl-C ends it.",
  },
  test: {
    about: "lint, types and every test",
    usage: "npm test [-- <vitest arguments>]",
    help: "Needs Chromium and Java 17: on Debian as root it installs them, elsewhere it says what to install.",
  },
  check: {
    about: "lint, types and the fast tests: under a minute",
    usage: "npm run check [-- <vitest arguments>]",
    help: "Leaves out what needs a browser, a build or processes of its own.",
  },
  "check:properties": {
    about: "the fast tests with another seed for what they generate",
    usage: "npm run check:properties [-- --seed n]",
    help: "Draws the seed of the property tests at random, and prints it. `npm test` always uses the same one.",
  },
  "check:history": {
    about: "channels while everything fails: what is lost, doubled, out of order?",
    usage: "npm run check:history [-- --help]",
    help: "",
  },
  bench: {
    about: "measures, and says whether the targets hold",
    usage: "npm run bench -- <measure> [--json]",
    help: "Without a measure it runs them all. Exits with 1 when a target is missed.",
  },
  build: {
    about: "compiles src into dist",
    usage: "npm run build",
    help: "ESM, declarations and source maps, as they are published.",
  },
  bundle: {
    about: "makes the examples' Lambda functions in dist/lambda",
    usage: "npm run bundle",
    help: "Minified by esbuild, source maps beside them. `lift-ws dev --lambda dist/lambda/chat` runs one's.",
  },
};

/** They have arguments of their own. */
const EXPLAIN_THEMSELVES = ["bench", "check:history"];

async function main(/** @type {string[]} */ [name = "--help", ...args]) {
  if (Number.parseInt(process.versions.node, 10) < OLDEST_NODE) {
    return fail(
      `Node ${OLDEST_NODE} or later is needed to begin; this is ${process.version}: https://nodejs.org`,
    );
  }
  if (name === "--help" || name === "-h") return print(overview());
  if (!Object.hasOwn(COMMANDS, name)) return fail(`no command ${name}: it is one of ${commandNames()}`);
  const command = COMMANDS[/** @type {keyof typeof COMMANDS} */ (name)];
  // These explain themselves, with the measures and stores there are.
  if (!EXPLAIN_THEMSELVES.includes(name) && (args.includes("--help") || args.includes("-h"))) {
    return print(`${command.usage}\n  ${command.about}\n  ${command.help}`);
  }
  const root = fileURLToPath(new URL("..", import.meta.url));
  if (name === "start") await (await import("./demo.mjs")).installDemo(root);
  else await (await import("./install.mjs")).install(root);
  const commands = await import("./commands.mjs");
  process.exitCode = await commands[/** @type {keyof typeof COMMANDS} */ (name)](root, args);
}

function overview() {
  const lines = Object.values(COMMANDS).map(({ usage, about }) => `  ${usage.padEnd(40)} ${about}`);
  return ["Usage:", ...lines, "Each takes --help, after `--` where npm asks for it."].join("\n");
}

function commandNames() {
  return Object.keys(COMMANDS).join(", ");
}

function print(/** @type {string} */ text) {
  process.stdout.write(`${text}\n`);
}

function fail(/** @type {string} */ message) {
  process.stderr.write(`lift-ws: ${message}\n`);
  process.exitCode = 1;
}

main(process.argv.slice(2)).catch((error) => {
  if (error?.name !== "SetupError") throw error;
  fail(error.message);
});
