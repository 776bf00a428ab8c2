import { isUtf8 } from "node:buffer";
import type { MessageData } from "../../apigw/index.ts";

const FIN = 0x80;
const TEXT = 0x01;
const CONTINUATION = 0x00;
const MASKED = 0x80;
/** Header and mask of a client's frame whose length is in the second byte. */
const SHORT_HEADER_BYTES = 6;

/** A message as bytes for the wire. In a string, each character is one byte (latin1). */
export type Frame = Buffer | string;

export function byteLength(data: MessageData): number {
  return typeof data === "string" ? Buffer.byteLength(data) : data.byteLength;
}

/**
 * Encodes a text message in frames of at most `frameBytes`. Servers do not mask. Invalid UTF-8 becomes replacement
 * characters, because text frames must be valid UTF-8 and the service has no binary frames.
 */
export function textFrame(data: MessageData, frameBytes: number, length: number = byteLength(data)): Buffer {
  if (typeof data === "string" && length <= frameBytes) {
    const header = headerLength(length);
    const frame = Buffer.allocUnsafe(header + length);
    writeHeader(frame, 0, FIN | TEXT, length);
    frame.write(data, header);
    return frame;
  }
  return fragments(typeof data === "string" ? Buffer.from(data) : toValidUtf8(data), frameBytes);
}

/**
 * Encodes a message for one recipient. ASCII stays a string, because creating a Buffer costs more than writing a string
 * once. For many recipients, use `textFrame`: a Buffer is faster to write.
 */
export function textFrameOnce(
  data: MessageData,
  frameBytes: number,
  length: number = byteLength(data),
): Frame {
  const isAscii = typeof data === "string" && length === data.length;
  if (isAscii && length <= frameBytes && length < 65_536) return asciiHeader(length) + data;
  return textFrame(data, frameBytes, length);
}

/** Headers of messages with a length of one byte. */
const SHORT_HEADERS = Array.from({ length: 126 }, (_, length) => String.fromCharCode(FIN | TEXT, length));

function asciiHeader(length: number): string {
  if (length < 126) return SHORT_HEADERS[length]!;
  return String.fromCharCode(FIN | TEXT, 126, length >> 8, length & 0xff);
}

function fragments(payload: Uint8Array, frameBytes: number): Buffer {
  const chunks: Uint8Array[] = [];
  let start = 0;
  do {
    const chunk = payload.subarray(start, start + frameBytes);
    const opcode = start === 0 ? TEXT : CONTINUATION;
    start += chunk.byteLength;
    const header = Buffer.allocUnsafe(headerLength(chunk.byteLength));
    writeHeader(header, 0, start === payload.byteLength ? FIN | opcode : opcode, chunk.byteLength);
    chunks.push(header, chunk);
  } while (start < payload.byteLength);
  return Buffer.concat(chunks);
}

function toValidUtf8(bytes: Uint8Array): Uint8Array {
  return isUtf8(bytes) ? bytes : Buffer.from(new TextDecoder().decode(bytes));
}

function headerLength(length: number): number {
  if (length < 126) return 2;
  return length < 65_536 ? 4 : 10;
}

function writeHeader(target: Buffer, at: number, first: number, length: number): void {
  target[at] = first;
  if (length < 126) {
    target[at + 1] = length;
  } else if (length < 65_536) {
    target[at + 1] = 126;
    target.writeUInt16BE(length, at + 2);
  } else {
    target[at + 1] = 127;
    target.writeBigUInt64BE(BigInt(length), at + 2);
  }
}

/**
 * Measures the frames in a client's bytes, because `ws` limits whole messages and the service limits single frames too.
 * Reads only lengths; `ws` validates the rest.
 */
export class FrameMeter {
  readonly #limit: number;
  /** Missing bytes of the current frame (mask and payload). */
  #skip = 0;
  /** Bytes of the current header read so far; 0 between frames. */
  #seen = 0;
  /** Number of length bytes after the second byte of the current header. */
  #extended = 0;
  #masked = false;
  #length = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Returns whether a frame longer than the limit starts in `chunk`. */
  exceeds(chunk: Uint8Array): boolean {
    if (this.#skip === 0 && this.#seen === 0 && isShortFrame(chunk)) {
      return chunk.length - SHORT_HEADER_BYTES > this.#limit;
    }
    let at = 0;
    while (at < chunk.length) {
      if (this.#skip > 0) {
        const step = Math.min(this.#skip, chunk.length - at);
        this.#skip -= step;
        at += step;
        continue;
      }
      if (!this.#header(chunk[at++]!)) continue;
      if (this.#length > this.#limit) return true;
      this.#skip = this.#length + (this.#masked ? 4 : 0);
    }
    return false;
  }

  /** Reads one header byte. Returns true for the last one. */
  #header(byte: number): boolean {
    const index = this.#seen++;
    if (index === 0) return false;
    if (index === 1) {
      this.#masked = (byte & 0x80) !== 0;
      const length = byte & 0x7f;
      this.#extended = length === 127 ? 8 : length === 126 ? 2 : 0;
      this.#length = this.#extended === 0 ? length : 0;
    } else {
      this.#length = this.#length * 256 + byte;
    }
    if (index < 1 + this.#extended) return false;
    this.#seen = 0;
    return true;
  }
}

/** Returns whether a chunk, which starts with a header, is one whole masked frame of at most 125 bytes, as most are. */
function isShortFrame(chunk: Uint8Array): boolean {
  const length = chunk.length - SHORT_HEADER_BYTES;
  return length >= 0 && length < 126 && chunk[1] === MASKED + length;
}
