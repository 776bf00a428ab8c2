import { appendFile, readFile } from "node:fs/promises";
import type { RolloutChange } from "./record.ts";

/** A log of all changes of a rollout. */
export interface AuditLog {
  /** Adds a change, unless it is in the log already: after a crash, the last change is added again. */
  append(change: RolloutChange): Promise<void> | void;
}

/**
 * Creates an audit log in a file of JSON lines.
 * @example
 * const rollout = createRollout({ flag, state, audit: fileAudit("rollout.jsonl") });
 */
export function fileAudit(path: string): AuditLog {
  return {
    async append(change) {
      const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT") return "";
        throw error;
      });
      const id = JSON.stringify(change.id);
      if (text.split("\n").some((line) => line.includes(`"id":${id}`) && isWhole(line))) return;
      // A process that was killed may have written a part of a line.
      const start = text === "" || text.endsWith("\n") ? "" : "\n";
      await appendFile(path, `${start}${JSON.stringify(change)}\n`, { flush: true });
    },
  };
}

function isWhole(line: string): boolean {
  try {
    JSON.parse(line);
    return true;
  } catch {
    return false;
  }
}
