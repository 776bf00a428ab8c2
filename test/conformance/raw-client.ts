import { connect, type Socket } from "node:net";
import { onTestFinished } from "vitest";
import type { Gateway } from "../../src/gateway/index.ts";
import { gate, UPGRADE_HEADERS } from "./harness.ts";
import { Queue } from "./queue.ts";

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export interface RawFrame {
  readonly fin: boolean;
  readonly opcode: number;
  readonly payload: Buffer;
}

interface FrameOptions {
  readonly fin?: boolean;
  /** Clients must mask. False omits the mask. */
  readonly masked?: boolean;
  /** The length in the header, if it differs from the payload's. */
  readonly length?: number;
}

/** Encodes a client's frame, valid or not. */
export function frame(opcode: number, payload: string | Uint8Array = "", options: FrameOptions = {}): Buffer {
  const data = Buffer.from(payload as string);
  const { fin = true, masked = true, length = data.length } = options;
  const header = [(fin ? 0x80 : 0) | opcode];
  const mask = masked ? 0x80 : 0;
  if (length < 126) header.push(mask | length);
  else if (length < 65_536) header.push(mask | 126, length >> 8, length & 0xff);
  else {
    const long = Buffer.alloc(8);
    long.writeBigUInt64BE(BigInt(length));
    header.push(mask | 127, ...long);
  }
  // A mask of zeros does not change the payload.
  return Buffer.concat([Buffer.from(header), Buffer.alloc(masked ? 4 : 0), data]);
}

export function closePayload(code: number, reason = ""): Buffer {
  return Buffer.concat([Buffer.from([code >> 8, code & 0xff]), Buffer.from(reason)]);
}

/** A WebSocket client that writes raw bytes, so that tests can violate the protocol. */
export class RawClient {
  readonly frames = new Queue<RawFrame>();
  readonly socket: Socket;
  /** Resolves when either side has ended the transport. */
  readonly ended: Promise<void>;
  readonly #head = gate<string>();
  #bytes: Buffer = Buffer.alloc(0);
  #open = false;

  constructor(port: number) {
    this.socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    this.ended = new Promise((resolve) => this.socket.once("end", resolve).once("close", resolve));
    this.socket.on("error", () => {});
    this.socket.on("data", (chunk: Buffer) => this.#read(chunk));
    onTestFinished(() => {
      this.socket.destroy();
    });
  }

  /** Resolves to the response's head. */
  get head(): Promise<string> {
    return this.#head.opened;
  }

  /** Sends an upgrade request, with `after` in the same write. */
  upgrade(path = "/dev", after: Uint8Array = Buffer.alloc(0)): void {
    this.request({ Host: "127.0.0.1", ...UPGRADE_HEADERS }, `GET ${path} HTTP/1.1`, after);
  }

  /** Sends a request line and these header lines unchanged. */
  request(
    headers: Readonly<Record<string, string>>,
    line = "GET /dev HTTP/1.1",
    after: Uint8Array = Buffer.alloc(0),
  ): void {
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    this.socket.write(Buffer.concat([Buffer.from(`${line}\r\n${lines.join("")}\r\n`), after]));
  }

  write(...frames: readonly Uint8Array[]): void {
    for (const bytes of frames) this.socket.write(bytes);
  }

  #read(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    if (!this.#open) {
      const end = this.#bytes.indexOf("\r\n\r\n");
      if (end === -1) return;
      this.#open = true;
      this.#head.open(this.#bytes.subarray(0, end).toString());
      this.#bytes = this.#bytes.subarray(end + 4);
    }
    for (let next = this.#frame(); next; next = this.#frame()) this.frames.push(next);
  }

  #frame(): RawFrame | undefined {
    const bytes = this.#bytes;
    if (bytes.length < 2) return undefined;
    const short = bytes[1]! & 0x7f;
    const start = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (bytes.length < start) return undefined;
    const length =
      short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
    if (bytes.length < start + length) return undefined;
    this.#bytes = bytes.subarray(start + length);
    return {
      fin: bytes[0]! >= 0x80,
      opcode: bytes[0]! & 0x0f,
      payload: bytes.subarray(start, start + length),
    };
  }
}

export async function rawConnect(gateway: Gateway): Promise<RawClient> {
  const client = new RawClient(gateway.port);
  client.upgrade();
  await client.head;
  return client;
}

/** Resolves to the code and reason in the next close frame. */
export async function nextClose(client: RawClient): Promise<{ code: number; reason: string }> {
  for (;;) {
    const { opcode, payload } = await client.frames.next();
    if (opcode === OPCODE.close) {
      return { code: payload.readUInt16BE(0), reason: payload.subarray(2).toString() };
    }
  }
}
