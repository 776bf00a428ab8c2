import { randomUUID } from "node:crypto";
import { chmod, link, mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Where a checkout keeps its development secrets: a folder of the working directory. */
export function privateDirectory(): string {
  return join(process.cwd(), ".lift-ws");
}

const OWNER_ONLY_FILE = 0o600;
const OWNER_ONLY_DIRECTORY = 0o700;
const OTHERS = 0o077;

/**
 * Reads `name`, and makes it with `create` when there is none. Of two processes that make it at once, both get
 * the same content. The file is its owner's alone, and the folder tells git to ignore all of it.
 */
export async function readOrCreate(
  directory: string,
  name: string,
  create: () => Uint8Array,
): Promise<Uint8Array> {
  const path = join(directory, name);
  const existing = await readPrivate(path);
  if (existing !== undefined) return existing;
  const draft = await writeDraft(directory, name, create());
  try {
    // A link appears at once with all its content, and fails when the other process was first.
    await link(draft, path);
  } catch (error) {
    if (!hasCode(error, "EEXIST")) throw error;
  } finally {
    await rm(draft, { force: true });
  }
  return await readFile(path);
}

/** Writes `name` whole, in place of what was there. The same privacy as {@link readOrCreate}. */
export async function writePrivate(directory: string, name: string, content: string): Promise<void> {
  await rename(await writeDraft(directory, name, content), join(directory, name));
}

/** `undefined`: there is no such file. One that others could read is taken from them first. */
export async function readPrivate(path: string): Promise<Buffer | undefined> {
  try {
    const { mode } = await stat(path);
    if ((mode & OTHERS) !== 0 && process.platform !== "win32") await chmod(path, OWNER_ONLY_FILE);
    return await readFile(path);
  } catch (error) {
    if (hasCode(error, "ENOENT")) return undefined;
    throw error;
  }
}

async function writeDraft(directory: string, name: string, content: string | Uint8Array): Promise<string> {
  await mkdir(directory, { recursive: true, mode: OWNER_ONLY_DIRECTORY });
  await writeFile(join(directory, ".gitignore"), "*\n");
  const draft = join(directory, `${name}.${randomUUID()}`);
  await writeFile(draft, content, { mode: OWNER_ONLY_FILE, flag: "wx" });
  return draft;
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === code;
}
