// @ts-check
import { spawn } from "node:child_process";
import { constants } from "node:os";

/** A problem with the set-up that a user can fix. The message is one line. */
export class SetupError extends Error {
  /** @override */
  name = "SetupError";
}

/** npm and the terminal may both deliver one Ctrl-C. A repeated signal within this time, in ms, is the same one. */
const SAME_SIGNAL_MS = 300;

const PARENT_CHECK_MS = 250;

/**
 * Runs a program on this terminal until it ends, and forwards signals to it.
 * @param {string} file
 * @param {readonly string[]} args
 * @param {{ cwd: string, env?: NodeJS.ProcessEnv }} options
 * @returns {Promise<number>} the exit code; as in shells, 128 plus the signal's number when a signal ended it
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
 * Runs a program without a terminal and captures its output.
 * @param {string} file
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv }} [options]
 * @returns {Promise<{ code: number, output: string }>} the output of both streams, interleaved
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
      // The user interrupted, so no later step may run.
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
    // A terminal sends Ctrl-C to the whole process group, so the child has it already.
    const fromTerminal = signal === "SIGINT" && process.stdin.isTTY;
    if (!repeated && !fromTerminal) child.kill(signal);
  };
  /** @type {NodeJS.Signals[]} */
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const signal of signals) process.on(signal, onSignal);
  // Only under npm does a lost parent mean the end: other parents may leave their children running.
  const stopWatching = process.env.npm_lifecycle_event ? onParentGone(() => child.kill()) : () => {};
  return () => {
    stopWatching();
    for (const signal of signals) process.off(signal, onSignal);
  };
}

/**
 * Calls `gone` when the parent process changes. npm runs these tools in a shell that forwards no signals: when npm gets
 * a signal, the shell ends and this process has another parent.
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
