import { hash, randomUUID } from "node:crypto";
import { createWriteStream, rmSync } from "node:fs";
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

const UNFINISHED = ".unfinished";
/** Maximum length of a file's first line: the content type and its line end. */
const HEAD_BYTES = 256;

export interface OpenBlob {
  readonly contentType: string;
  readonly bytes: number;
  /** The caller must read this to its end or destroy it. */
  readonly content: Readable;
}

/**
 * Stores blobs as files: a line with the content type, then the bytes. A file's name is a hash of its key. So no key
 * leads out of the folder, and keys that differ only in case stay separate on every disk.
 */
export class Folder {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /**
   * Creates the folder and removes unfinished files of killed processes.
   * @param olderThanMs age from which a file is removed; no upload takes longer
   */
  async open(olderThanMs: number): Promise<void> {
    await mkdir(this.#path, { recursive: true });
    for (const name of await readdir(this.#path)) {
      if (!name.endsWith(UNFINISHED)) continue;
      const path = join(this.#path, name);
      // A newer file may be one that another process is writing.
      const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Date.now() }));
      if (Date.now() - mtimeMs > olderThanMs) await rm(path, { force: true });
    }
  }

  /** Writes a blob. Readers see it only when it is complete. */
  async write(key: string, contentType: string, content: Readable): Promise<void> {
    const path = join(this.#path, `${randomUUID()}${UNFINISHED}`);
    begin(path);
    try {
      const file = createWriteStream(path, { flags: "wx" });
      file.write(`${contentType}\n`);
      await pipeline(content, file);
      await rename(path, this.#pathOf(key));
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    } finally {
      end(path);
    }
  }

  /** Opens a blob. Resolves to `undefined` if it does not exist. */
  async read(key: string): Promise<OpenBlob | undefined> {
    const file = await open(this.#pathOf(key)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined;
      throw error;
    });
    if (file === undefined) return undefined;
    try {
      const contentType = await readHead(file);
      const start = Buffer.byteLength(contentType) + 1;
      const { size } = await file.stat();
      return { contentType, bytes: size - start, content: file.createReadStream({ start }) };
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  #pathOf(key: string): string {
    return join(this.#path, hash("sha256", key));
  }
}

/** Files that this process is writing. They are removed when the process exits. */
const unfinished = new Set<string>();

function begin(path: string): void {
  if (unfinished.size === 0) process.on("exit", removeUnfinished);
  unfinished.add(path);
}

function end(path: string): void {
  unfinished.delete(path);
  if (unfinished.size === 0) process.off("exit", removeUnfinished);
}

function removeUnfinished(): void {
  for (const path of unfinished) rmSync(path, { force: true });
}

async function readHead(file: FileHandle): Promise<string> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
  const end = buffer.subarray(0, bytesRead).indexOf("\n");
  if (end === -1) throw new Error("Malformed blob file: no content type in its first line");
  return buffer.toString("latin1", 0, end);
}

/** Whether the text fits in a file's first line and in an HTTP header. */
export function isContentType(text: string): boolean {
  return /^[\x20-\x7e]{1,255}$/.test(text);
}
