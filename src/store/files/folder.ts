import { hash, randomUUID } from "node:crypto";
import { createWriteStream, rmSync } from "node:fs";
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

const UNFINISHED = ".unfinished";
/** A content type, and the line's end. */
const HEAD_BYTES = 256;

export interface OpenBlob {
  readonly contentType: string;
  readonly bytes: number;
  /** To be destroyed, or read to its end. */
  readonly content: Readable;
}

/**
 * Blobs as files: a line with the content type, then the bytes. A file's name is a hash of the key, as no key can lead
 * out of the folder then, nor two keys to one file where a disk takes `A` for `a`.
 */
export class Folder {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** Makes it, and removes what a process that was killed has left. @param olderThanMs no upload takes so long */
  async open(olderThanMs: number): Promise<void> {
    await mkdir(this.#path, { recursive: true });
    for (const name of await readdir(this.#path)) {
      if (!name.endsWith(UNFINISHED)) continue;
      const path = join(this.#path, name);
      // Another process may be here, and what it writes is not ours to remove.
      const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Date.now() }));
      if (Date.now() - mtimeMs > olderThanMs) await rm(path, { force: true });
    }
  }

  /** A blob is there when all of it is, and not before. */
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

  /** `undefined`: there is none. */
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

/** What this process is writing, removed at once when it ends. */
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
  if (end === -1) throw new Error("A file in the blobs' folder is no blob");
  return buffer.toString("latin1", 0, end);
}

/** Whether it can stand in a file's head, and in a header. */
export function isContentType(text: string): boolean {
  return /^[\x20-\x7e]{1,255}$/.test(text);
}
