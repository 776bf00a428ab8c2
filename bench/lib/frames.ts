/** Creates a client's frame. Its masking key is zero, which is valid and leaves the bytes unchanged. */
export function clientFrame(text: string): Buffer {
  const payload = Buffer.from(text);
  const extended = payload.length < 126 ? 0 : 2;
  if (payload.length > 65_535) throw new Error("The payload exceeds the two-byte length of a frame");
  const frame = Buffer.alloc(2 + extended + 4 + payload.length);
  frame[0] = 0x81;
  frame[1] = 0x80 | (extended === 0 ? payload.length : 126);
  if (extended === 2) frame.writeUInt16BE(payload.length, 2);
  frame.set(payload, 2 + extended + 4);
  return frame;
}

/** Parses a server's bytes into messages. Joins fragmented messages. */
export class FrameReader {
  readonly #onMessage: (bytes: Buffer, start: number, end: number) => void;
  #rest: Buffer | undefined;
  #parts: Buffer[] = [];

  /** @param onMessage called for each message; the bytes are valid until it returns */
  constructor(onMessage: (bytes: Buffer, start: number, end: number) => void) {
    this.#onMessage = onMessage;
  }

  take(length: number, buffer: Buffer): void {
    let bytes = buffer.subarray(0, length);
    if (this.#rest !== undefined) bytes = Buffer.concat([this.#rest, bytes]);
    let at = 0;
    while (at + 2 <= bytes.length) {
      const short = bytes[at + 1]! & 0x7f;
      const header = short < 126 ? 2 : short === 126 ? 4 : 10;
      if (at + header > bytes.length) break;
      const size =
        short < 126
          ? short
          : Number(short === 126 ? bytes.readUInt16BE(at + 2) : bytes.readBigUInt64BE(at + 2));
      const end = at + header + size;
      if (end > bytes.length) break;
      this.#frame(bytes, at, at + header, end);
      at = end;
    }
    this.#rest = at === bytes.length ? undefined : Buffer.from(bytes.subarray(at));
  }

  #frame(bytes: Buffer, at: number, start: number, end: number): void {
    const first = bytes[at]!;
    const [isFinal, opcode] = [(first & 0x80) !== 0, first & 0x0f];
    if (opcode > 2) return;
    if (isFinal && opcode !== 0) {
      this.#onMessage(bytes, start, end);
      return;
    }
    this.#parts.push(Buffer.from(bytes.subarray(start, end)));
    if (!isFinal) return;
    const whole = Buffer.concat(this.#parts.splice(0));
    this.#onMessage(whole, 0, whole.length);
  }
}
