// @ts-check
// Entry point of all npm scripts. It runs before anything is installed, so it is plain JavaScript for Node 20.
import { fileURLToPath } from "node:url";

const OLDEST_NODE = 20;

const COMMANDS = {
  start: {
    about: "start the demo and print its address",
    usage: "npm start",
    help: "Set PORT and HOST to override 3001 and 127.0.0.1. Ctrl-C stops it.",
  },
  test: {
    about: "run lint, types, unused code and all tests",
    usage: "npm test [-- <vitest arguments>]",
    help: "Needs Chromium and Java 17. On Debian as root it installs them, elsewhere it names the packages.",
  },
  check: {
    about: "run lint, types, unused code and the fast tests, in under two minutes",
    usage: "npm run check [-- <vitest arguments>]",
    help: "Skips tests that need a browser, a build or other processes. Lists duplicates and wording to improve.",
  },
  "check:properties": {
    about: "run the fast tests with another seed for generated input",
    usage: "npm run check:properties [-- --seed n]",
    help: "Draws a random seed for the property tests and prints it. `npm test` always uses the same seed.",
  },
  "check:history": {
    about: "check channels and long requests under faults for lost, duplicated and reordered data",
    usage: "npm run check:history [-- --help]",
    help: "",
  },
  "check:templates": {
    about: "run public templates of others with `lift-ws local`",
    usage: "npm run check:templates [-- --help]",
    help: "",
  },
  rehearse: {
    about: "rehearse a rollout under load, with rollbacks, and write a report",
    usage: "npm run rehearse [-- --help]",
    help: "",
  },
  mutate: {
    about: "change the code of a part, and count the changes that its tests notice",
    usage: "npm run mutate -- <part>",
    help: "",
  },
  bench: {
    about: "measure, and compare with the targets",
    usage: "npm run bench -- <measure> [--json]",
    help: "Runs all measures by default. Exits with 1 when a target is missed.",
  },
  build: {
    about: "compile src into dist",
    usage: "npm run build",
    help: "Writes ES modules, declarations and source maps, as published.",
  },
  synth: {
    about: "synthesize the stack of examples/deploy into dist/cdk",
    usage: "npm run synth",
    help: "Run it here: `npx lift-ws local dist/cdk/Lounge.template.json`.",
  },
  bundle: {
    about: "bundle the examples' Lambda functions into dist/lambda",
    usage: "npm run bundle",
    help: "Minified by esbuild, with source maps beside them. Run one: `lift-ws dev --lambda dist/lambda/chat`.",
  },
};

/** These print their own help, which lists their measures and stores. */
const WITH_OWN_HELP = ["bench", "check:history", "check:templates", "mutate", "rehearse"];

async function main(/** @type {string[]} */ [name = "--help", ...args]) {
  if (Number.parseInt(process.versions.node, 10) < OLDEST_NODE) {
    return fail(
      `Node ${OLDEST_NODE} or later is required, but this is ${process.version}. Install it from https://nodejs.org`,
    );
  }
  if (name === "--help" || name === "-h") return print(overview());
  if (!Object.hasOwn(COMMANDS, name))
    return fail(`unknown command ${name}; expected one of ${commandNames()}`);
  const command = COMMANDS[/** @type {keyof typeof COMMANDS} */ (name)];
  if (!WITH_OWN_HELP.includes(name) && (args.includes("--help") || args.includes("-h"))) {
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
  return ["Usage:", ...lines, "Each command accepts --help: npm run <command> -- --help"].join("\n");
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
