import { randomUUID } from "node:crypto";
import { chmod, link, mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Returns the folder of a checkout's development secrets, in the working directory. */
export function privateDirectory(): string {
  return join(process.cwd(), ".lift-ws");
}

const OWNER_ONLY_FILE = 0o600;
const OWNER_ONLY_DIRECTORY = 0o700;
const OTHERS = 0o077;

/**
 * Reads a file, or creates it. Two processes that create it at once get the same content. Only the owner can read the file,
 * and a .gitignore excludes the folder.
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
    // A link is atomic, and fails when another process was first.
    await link(draft, path);
  } catch (error) {
    if (!hasCode(error, "EEXIST")) throw error;
  } finally {
    await rm(draft, { force: true });
  }
  return await readFile(path);
}

/** Replaces a file atomically, with the same permissions as {@link readOrCreate}. */
export async function writePrivate(directory: string, name: string, content: string): Promise<void> {
  await rename(await writeDraft(directory, name, content), join(directory, name));
}

/** Reads a file and removes other users' permissions. Returns `undefined` when the file does not exist. */
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
