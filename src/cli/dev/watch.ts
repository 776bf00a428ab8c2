import { existsSync, type FSWatcher, watch } from "node:fs";
import { dirname, extname, join } from "node:path";

/** Time after the last file event, in ms. A save causes several events: a new file, a rename, a change of times. */
const SETTLED_AFTER_MS = 50;

const SOURCES = new Set([".cjs", ".cts", ".js", ".json", ".mjs", ".mts", ".ts"]);

/**
 * Calls `reload` after a save, one call at a time. Watches folders instead of files, because most editors save by
 * replacing the file.
 */
export class SaveWatcher {
  readonly #files: () => Iterable<string>;
  readonly #reload: () => Promise<boolean>;
  readonly #watchers = new Map<string, FSWatcher>();
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #healthy = true;

  /**
   * @param files returns the absolute paths of the files in use; called again after each reload
   * @param reload must not reject. Resolves to false when it failed; then any source in the folders triggers a reload
   */
  constructor(files: () => Iterable<string>, reload: () => Promise<boolean>) {
    this.#files = files;
    this.#reload = reload;
    this.#watchFolders();
  }

  close(): void {
    clearTimeout(this.#timer);
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  #watchFolders(): void {
    for (const file of this.#files()) {
      const folder = dirname(file);
      if (this.#watchers.has(folder)) continue;
      if (!existsSync(folder)) continue; // The folder of an earlier load was moved.
      const watcher = watch(folder, (_, name) => this.#changed(folder, name));
      watcher.on("error", () => this.#watchers.delete(folder));
      this.#watchers.set(folder, watcher);
    }
  }

  #changed(folder: string, name: string | null): void {
    if (name !== null && !this.#concerns(join(folder, name))) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#start(), SETTLED_AFTER_MS);
  }

  #concerns(path: string): boolean {
    if (!this.#healthy && SOURCES.has(extname(path))) return true;
    for (const file of this.#files()) if (file === path) return true;
    return false;
  }

  #start(): void {
    this.#running = (this.#running ?? Promise.resolve()).then(async () => {
      this.#healthy = await this.#reload();
      this.#watchFolders();
    });
  }
}
