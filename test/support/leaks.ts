// Runs before each test file. The files of a worker share one process and its modules, so that none is loaded twice. A
// file that leaves a change of the process behind fails: it would change the results of later files.
import { afterAll, expect, vi } from "vitest";

/** Changes that tests make and must undo. */
function snapshot() {
  return {
    "fake timers": vi.isFakeTimers(),
    "environment variables": { ...process.env },
    globals: Object.getOwnPropertyDescriptors(globalThis),
    "working directory": process.cwd(),
    "exit code": process.exitCode,
    "listeners of the process": Object.fromEntries(
      process.eventNames().map((name) => [name, process.listeners(name as "exit")]),
    ),
  };
}

const before = snapshot();

// The first hook that is registered runs last, after the hooks of the file.
afterAll(() => {
  const { globals, ...after } = snapshot();
  const { globals: globalsBefore, ...rest } = before;
  for (const [name, value] of Object.entries(rest)) {
    expect(after[name as keyof typeof after], `The file must restore: ${name}`).toEqual(value);
  }
  // Packages add globals when they load, which later files may rely on. Nothing may replace one.
  for (const name of Reflect.ownKeys(globalsBefore)) {
    expect(globals[name as never], `The file must restore the global ${String(name)}`).toEqual(
      globalsBefore[name as never],
    );
  }
});
