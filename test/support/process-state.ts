import { expect, vi } from "vitest";

/** State of the process that tests change and must restore. */
export function takeSnapshot() {
  return {
    "fake timers": vi.isFakeTimers(),
    "environment variables": { ...process.env },
    globals: Object.getOwnPropertyDescriptors(globalThis),
    "working directory": process.cwd(),
    "exit code": process.exitCode,
    "listeners of the process": Object.fromEntries(
      process.eventNames().map((name) => [name, process.listeners(name as "exit")]),
    ),
    ...Object.fromEntries(
      Object.entries({ console, Math, Date, performance }).map(([name, owner]) => [
        `functions of ${name}`,
        functionsOf(owner),
      ]),
    ),
  };
}

function functionsOf(owner: object) {
  const values = Reflect.ownKeys(owner).map((key) => [key, owner[key as never] as unknown] as const);
  return Object.fromEntries(values.filter(([, value]) => typeof value === "function"));
}

/** @throws {Error} when something was not restored */
export function expectRestored(before: ReturnType<typeof takeSnapshot>): void {
  const { globals, ...after } = takeSnapshot();
  const { globals: globalsBefore, ...rest } = before;
  for (const [name, value] of Object.entries(rest)) {
    expect(after[name as keyof typeof after], `The file must restore: ${name}`).toEqual(value);
  }
  // Packages add globals when they load, which later files may rely on. Nothing may replace one.
  for (const name of Reflect.ownKeys(globalsBefore)) {
    expect(globals[name as never], `The file must restore: the global ${String(name)}`).toEqual(
      globalsBefore[name as never],
    );
  }
}
