import { isUtf8 } from "node:buffer";
import type { MessageData } from "../../apigw/index.ts";

const FIN = 0x80;
const TEXT = 0x01;
const CONTINUATION = 0x00;

/** A message as the bytes that go on the wire. A string has a byte in each character (latin1). */
export type Frame = Buffer | string;

export function byteLength(data: MessageData): number {
  return typeof data === "string" ? Buffer.byteLength(data) : data.byteLength;
}

/**
 * A text message in frames of at most `frameBytes`. A server does not mask. Bytes that are no UTF-8 are sent with
 * replacement characters: a text frame may not carry them, and the service has no binary ones.
 */
export function textFrame(data: MessageData, frameBytes: number, length: number = byteLength(data)): Buffer {
  if (typeof data === "string" && length <= frameBytes) {
    const header = headerLength(length);
    const frame = Buffer.allocUnsafe(header + length);
    writeHeader(frame, 0, FIN | TEXT, length);
    frame.write(data, header);
    return frame;
  }
  return fragments(typeof data === "string" ? Buffer.from(data) : valid(data), frameBytes);
}

/**
 * `textFrame` for one recipient. Of ASCII it makes no Buffer, which costs more than Node takes to write a string once;
 * for many a Buffer is written faster.
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

function asciiHeader(length: number): string {
  if (length < 126) return String.fromCharCode(FIN | TEXT, length);
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

function valid(bytes: Uint8Array): Uint8Array {
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
 * Follows the frame headers in a client's bytes: `ws` limits whole messages, the service single frames too.
 * Reads nothing but lengths; everything else about a frame is for `ws` to judge.
 */
export class FrameMeter {
  readonly #limit: number;
  /** Bytes of the current frame (mask and payload) that are still to come. */
  #skip = 0;
  /** Bytes of the current header seen so far; 0 between frames. */
  #seen = 0;
  /** Length bytes in the current header after its second byte. */
  #extended = 0;
  #masked = false;
  #length = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Whether a frame longer than the limit begins in `chunk`. */
  exceeds(chunk: Uint8Array): boolean {
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

  /** Takes one header byte; true when it was the last one. */
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
