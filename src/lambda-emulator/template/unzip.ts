import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, resolve, sep } from "node:path";
import { crc32, inflateRawSync } from "node:zlib";

/** Lambda's limit for a function's code. */
const MAX_BYTES = 250 * 2 ** 20;
/** The end of the directory has a comment of at most 64 KB. */
const END = { signature: 0x06054b50, bytes: 22, comment: 65_535 };
const ENTRY = { signature: 0x02014b50, bytes: 46 };
const FILE = { signature: 0x04034b50, bytes: 30 };
const STORED = 0;
const DEFLATED = 8;
/** A position or size that is in a field of zip64. */
const ZIP64 = 0xffff_ffff;
/** The system whose file modes an entry has. */
const UNIX = 3;
/** The file type in a mode, and that of a symbolic link. */
const [TYPE, LINK] = [0o170000, 0o120000];

/**
 * Extracts a zip file into a folder.
 * @throws Error for a file that is not a zip file, is a zip64 file, is damaged or encrypted, has a symbolic link or a path out of
 * the folder, or holds more than Lambda takes
 * @see https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
 */
export function unzip(file: string, folder: string): void {
  const zip = readFileSync(file);
  try {
    for (const { name, content, mode } of readEntries(zip)) {
      const path = resolve(folder, name);
      if (name.includes("\0") || !`${path}${sep}`.startsWith(`${resolve(folder)}${sep}`))
        throw new Error(`it has the path ${name}`);
      mkdirSync(name.endsWith("/") ? path : dirname(path), { recursive: true });
      if (!name.endsWith("/")) writeFileSync(path, content, { mode: 0o644 | (mode & 0o111) });
    }
  } catch (cause) {
    // A position beyond the end of the file.
    if (cause instanceof RangeError) throw new Error("it is damaged", { cause });
    throw cause;
  }
}

function* readEntries(zip: Buffer) {
  let left = MAX_BYTES;
  const end = findEnd(zip);
  let at = zip.readUInt32LE(end + 16);
  const entries = zip.readUInt16LE(end + 10);
  if (entries === 0xffff || at === ZIP64) throw new Error("it is a zip64 file");
  for (let count = entries; count > 0; count--) {
    if (zip.readUInt32LE(at) !== ENTRY.signature) throw new Error("it is damaged");
    const [nameLength, extra, comment] = [28, 30, 32].map((offset) => zip.readUInt16LE(at + offset)) as [
      number,
      number,
      number,
    ];
    const name = zip.toString("utf8", at + ENTRY.bytes, at + ENTRY.bytes + nameLength);
    const entry = {
      name,
      isEncrypted: (zip.readUInt16LE(at + 8) & 1) === 1,
      method: zip.readUInt16LE(at + 10),
      checksum: zip.readUInt32LE(at + 16),
      packed: zip.readUInt32LE(at + 20),
      bytes: zip.readUInt32LE(at + 24),
      start: zip.readUInt32LE(at + 42),
    };
    if ([entry.packed, entry.bytes, entry.start].includes(ZIP64)) throw new Error("it is a zip64 file");
    const mode = zip[at + 5] === UNIX ? zip.readUInt16LE(at + 40) : 0;
    if ((mode & TYPE) === LINK) throw new Error(`${name} is a symbolic link`);
    left -= entry.bytes;
    if (left < 0) throw new Error(`it holds more than ${MAX_BYTES / 2 ** 20} MB`);
    yield { name, content: readContent(zip, entry), mode };
    at += ENTRY.bytes + nameLength + extra + comment;
  }
}

interface Entry {
  readonly name: string;
  readonly isEncrypted: boolean;
  readonly method: number;
  readonly checksum: number;
  readonly packed: number;
  readonly bytes: number;
  readonly start: number;
}

function readContent(
  zip: Buffer,
  { name, isEncrypted, method, checksum, packed, bytes, start }: Entry,
): Buffer {
  if (isEncrypted) throw new Error(`${name} is encrypted`);
  if (zip.readUInt32LE(start) !== FILE.signature) throw new Error("it is damaged");
  const from = start + FILE.bytes + zip.readUInt16LE(start + 26) + zip.readUInt16LE(start + 28);
  const data = zip.subarray(from, from + packed);
  if (method !== STORED && method !== DEFLATED)
    throw new Error(`${name} has the unknown compression ${method}`);
  const content = method === STORED ? data : inflate(data, bytes, name);
  if (content.length === bytes && crc32(content) === checksum) return content;
  throw new Error(`${name} is damaged`);
}

function inflate(data: Buffer, bytes: number, name: string): Buffer {
  try {
    // One more than it says: a longer one fails.
    return inflateRawSync(data, { maxOutputLength: bytes + 1 });
  } catch (cause) {
    throw new Error(`${name} is damaged`, { cause });
  }
}

/** Returns the position of the end of the directory. */
function findEnd(zip: Buffer): number {
  const first = Math.max(0, zip.length - END.bytes - END.comment);
  for (let at = zip.length - END.bytes; at >= first; at--) {
    if (zip.readUInt32LE(at) === END.signature) return at;
  }
  throw new Error("it is not a zip file");
}
