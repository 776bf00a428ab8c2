import { crc32, deflateRawSync } from "node:zlib";

/** A file in a zip file, and how it differs from a correct one. */
interface ZipEntry {
  readonly name: string;
  readonly content: string;
  readonly stored?: boolean;
  readonly checksum?: number;
  readonly bytes?: number;
  readonly flags?: number;
  readonly method?: number;
  /** The Unix mode of the file, such as 0o755. */
  readonly mode?: number;
}

/** Writes a zip file. */
export function writeZip(entries: readonly ZipEntry[]): Buffer {
  const files: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const { name, content, stored = false, flags = 0, mode, ...entry } of entries) {
    const [path, data] = [Buffer.from(name), Buffer.from(content)];
    const packed = stored ? data : deflateRawSync(data);
    const { checksum = crc32(data), bytes = data.length, method = stored ? 0 : 8 } = entry;
    // From the version to the length of the extra field, as the local header and the directory have it.
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(flags, 2);
    common.writeUInt16LE(method, 4);
    common.writeUInt32LE(checksum, 10);
    common.writeUInt32LE(packed.length, 14);
    common.writeUInt32LE(bytes, 18);
    common.writeUInt16LE(path.length, 22);
    const file = Buffer.concat([Buffer.from("PK\x03\x04"), common, path, packed]);
    const start = Buffer.alloc(14);
    start.writeUInt16LE(mode ?? 0, 8);
    start.writeUInt32LE(at, 10);
    directory.push(
      Buffer.from(`PK\x01\x02\x14${mode === undefined ? "\0" : "\x03"}`, "latin1"),
      common,
      start,
      path,
    );
    files.push(file);
    at += file.length;
  }
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  for (const offset of [8, 10]) end.writeUInt16LE(entries.length, offset);
  end.writeUInt32LE(Buffer.concat(directory).length, 12);
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...files, ...directory, end]);
}
