import { expect, it, onTestFinished, vi } from "vitest";
import { expectRestored, takeSnapshot } from "./process-state.ts";

/** Makes a change, and returns a function that undoes it. */
type Leak = () => () => unknown;

const replace = (owner: object, name: string, value: unknown = () => 0): Leak => {
  return () => {
    const original = Object.getOwnPropertyDescriptor(owner, name);
    Reflect.set(owner, name, value);
    return () =>
      original ? Object.defineProperty(owner, name, original) : Reflect.deleteProperty(owner, name);
  };
};

const setExitCode: Leak = () => {
  process.exitCode = 0;
  return () => Reflect.set(process, "exitCode", undefined);
};

const listen: Leak = () => {
  process.on("SIGUSR2", expect);
  return () => process.off("SIGUSR2", expect);
};

it.each<[string, Leak]>([
  ["fake timers", () => vi.useFakeTimers() && vi.useRealTimers],
  ["environment variables", replace(process.env, "LEAKED", "yes")],
  ["the global fetch", replace(globalThis, "fetch")],
  ["exit code", setExitCode],
  ["listeners of the process", listen],
  ["functions of console", replace(console, "warn")],
  ["functions of Math", replace(Math, "random")],
  ["functions of Date", replace(Date, "now")],
  ["functions of performance", replace(performance, "now")],
])("a change of %s must be undone", (name, leak) => {
  const before = takeSnapshot();
  const undo = leak();
  onTestFinished(() => void undo());
  expect(() => expectRestored(before)).toThrow(`The file must restore: ${name}`);
  undo();
  expectRestored(before);
});
