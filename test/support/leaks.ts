// Runs before each test file. The files of a worker share one process and its modules, so that none is loaded twice. A
// file that leaves a change of the process behind fails: it would change the results of later files.
import { afterAll, vi } from "vitest";
import { expectRestored, takeSnapshot } from "./process-state.ts";

const before = takeSnapshot();

// The first hook that is registered runs last, after the hooks of the file.
afterAll(() => {
  // Vitest restores the spies of the last test too, but only after this hook.
  vi.restoreAllMocks();
  expectRestored(before);
});
