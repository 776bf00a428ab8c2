import { constants } from "node:os";
import type { Terminal } from "./arguments.ts";

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/** npm passes a Ctrl-C on that its child has had from the terminal already: one key press, two signals. */
const SAME_KEY_PRESS_MS = 500;

/** Resolves at the first SIGINT or SIGTERM; the next one ends the process at once. */
export function untilStopped(terminal: Terminal): Promise<void> {
  return new Promise((resolve) => {
    let stoppedAt: number | undefined;
    const onSignal = (signal: (typeof SIGNALS)[number]): void => {
      if (stoppedAt === undefined) {
        stoppedAt = performance.now();
        terminal.stderr.write("\nStopping: events under way may end. Once more stops at once.\n");
        resolve();
      } else if (performance.now() - stoppedAt > SAME_KEY_PRESS_MS) {
        process.exit(128 + constants.signals[signal]);
      }
    };
    for (const signal of SIGNALS) process.on(signal, onSignal);
  });
}
