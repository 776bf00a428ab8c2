import { randomUUID } from "node:crypto";
import { link, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { RolloutError } from "../errors.ts";
import type { FlagTarget } from "./sources.ts";

const VERSION = /^(\d{8})\.json$/;
/** Older versions are deleted. */
const KEPT_VERSIONS = 20;

/**
 * Keeps a flag in a folder on this machine, for trials: each value is a file of its own, `00000001.json` and so on, and the
 * last one counts. So a value is whole or absent after a crash, and of two writers at once one fails.
 * @example
 * const flag = createFlag({ source: fileFlag("rollout/flag") });
 */
export function fileFlag(folder: string): FlagTarget {
  const pathOf = (version: number) => join(folder, `${String(version).padStart(8, "0")}.json`);

  async function versions(): Promise<readonly number[]> {
    const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return [];
      throw error;
    });
    return names
      .flatMap((name) => VERSION.exec(name)?.[1] ?? [])
      .map(Number)
      .sort((a, b) => a - b);
  }

  async function latest(): Promise<{ readonly version: number; readonly value?: string }> {
    const version = (await versions()).at(-1) ?? 0;
    return version === 0 ? { version } : { version, value: (await readFile(pathOf(version), "utf8")).trim() };
  }

  return {
    read: async () => (await latest()).value,
    async write(value, last) {
      const { version, value: current } = await latest();
      if (current !== last) throw new RolloutError("CONFLICT");
      await mkdir(folder, { recursive: true });
      const draft = join(folder, `draft-${randomUUID()}`);
      try {
        await writeFile(draft, `${value}\n`, { flush: true });
        // A link is atomic, and fails when another writer was first.
        await link(draft, pathOf(version + 1));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "EEXIST") throw new RolloutError("CONFLICT");
        throw error;
      } finally {
        await rm(draft, { force: true });
      }
      const all = await versions();
      // Others may have written this version before, and many more: then it was deleted, and the link was new.
      if ((all.at(-1) ?? 0) > version + KEPT_VERSIONS) throw new RolloutError("CONFLICT");
      await Promise.all(all.slice(0, -KEPT_VERSIONS).map((old) => rm(pathOf(old), { force: true })));
    },
  };
}
