// @ts-check
import { spawn } from "node:child_process";
import { constants } from "node:os";

/** What stops a set-up, told to a person in one line. */
export class SetupError extends Error {
  /** @override */
  name = "SetupError";
}

/** npm and the terminal may both deliver one Ctrl-C: what comes again within this time, in ms, is the same one. */
const SAME_SIGNAL_MS = 300;

const PARENT_CHECK_MS = 250;

/**
 * Runs a program on this terminal until it ends; signals reach it, its exit code comes back.
 * @param {string} file
 * @param {readonly string[]} args
 * @param {{ cwd: string, env?: NodeJS.ProcessEnv }} options
 * @returns {Promise<number>} 128 and the signal's number when one ended it, as shells do
 */
export function run(file, args, { cwd, env = process.env }) {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { cwd, env, stdio: "inherit" });
    const stopForwarding = forwardSignals(child);
    child.on("error", reject);
    child.on("close", (code, signal) => {
      stopForwarding();
      resolve(code ?? 128 + (signal ? constants.signals[signal] : 0));
    });
  });
}

/**
 * Runs a program without a terminal and keeps what it says.
 * @param {string} file
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv }} [options]
 * @returns {Promise<{ code: number, output: string }>} the output of both streams, as it came
 */
export function capture(file, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
    /** @type {Buffer[]} */
    const chunks = [];
    child.stdout.on("data", (chunk) => chunks.push(chunk));
    child.stderr.on("data", (chunk) => chunks.push(chunk));
    const stopForwarding = forwardSignals(child);
    child.on("error", reject);
    child.on("close", (code, signal) => {
      stopForwarding();
      // Interrupted: nothing that comes after may run.
      if (signal) process.exit(128 + constants.signals[signal]);
      resolve({ code: code ?? 1, output: Buffer.concat(chunks).toString() });
    });
  });
}

/** @param {import("node:child_process").ChildProcess} child */
function forwardSignals(child) {
  /** @type {Map<string, number>} */
  const lastSeen = new Map();
  const onSignal = (/** @type {NodeJS.Signals} */ signal) => {
    const repeated = Date.now() - (lastSeen.get(signal) ?? 0) < SAME_SIGNAL_MS;
    lastSeen.set(signal, Date.now());
    // A terminal sends Ctrl-C to the whole group, the child included.
    const fromTerminal = signal === "SIGINT" && process.stdin.isTTY;
    if (!repeated && !fromTerminal) child.kill(signal);
  };
  /** @type {NodeJS.Signals[]} */
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const signal of signals) process.on(signal, onSignal);
  // Without npm, a parent may end and mean its children to go on.
  const stopWatching = process.env.npm_lifecycle_event ? onParentGone(() => child.kill()) : () => {};
  return () => {
    stopWatching();
    for (const signal of signals) process.off(signal, onSignal);
  };
}

/**
 * npm runs these tools by a shell that forwards no signal: when npm gets one, the shell ends, and the tool has another
 * parent.
 * @param {() => void} gone
 */
function onParentGone(gone) {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    gone();
  }, PARENT_CHECK_MS).unref();
  return () => clearInterval(timer);
}
