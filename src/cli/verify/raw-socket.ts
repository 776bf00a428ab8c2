import { EventEmitter, once } from "node:events";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** The response to an upgrade. */
export interface UpgradeResponse {
  readonly status: number;
  /** The header lines, names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  /** Empty after a 101. */
  readonly body: string;
}

/** A message from the server, with the sizes of its frames. */
export interface Message {
  readonly opcode: number;
  readonly text: string;
  readonly frames: readonly number[];
}

/** Encodes a client's frame, valid or not. A mask of zeros leaves the payload as it is. */
export function frame(
  opcode: number,
  payload: string | Uint8Array,
  { fin = true, masked = true } = {},
): Buffer {
  const data = Buffer.from(payload as string);
  const head = Buffer.alloc(data.length < 126 ? 2 : data.length < 65_536 ? 4 : 10);
  head[0] = (fin ? 0x80 : 0) | opcode;
  head[1] = (masked ? 0x80 : 0) | (data.length < 126 ? data.length : head.length === 4 ? 126 : 127);
  if (head.length === 4) head.writeUInt16BE(data.length, 2);
  if (head.length === 10) head.writeBigUInt64BE(BigInt(data.length), 2);
  return Buffer.concat([head, Buffer.alloc(masked ? 4 : 0), data]);
}

/** A WebSocket client that writes any bytes, because other clients refuse to send invalid ones. */
export class RawSocket {
  readonly transport: Socket;
  /** Resolves to the response. Rejects when the connection ends without one. */
  readonly response: Promise<UpgradeResponse>;
  /** Resolves to the close frame's code and reason, or to `no close frame` when the transport has ended. */
  readonly closed: Promise<string>;
  /** Below TLS, which cannot be reset. */
  readonly #tcp: Socket;
  readonly #changed = new EventEmitter();
  readonly #messages: Message[] = [];
  #bytes: Buffer = Buffer.alloc(0);
  #response: UpgradeResponse | undefined;
  #fragments: { opcode: number; payload: Buffer }[] = [];
  #close: string | undefined;
  #ended = false;

  /** Connects, and writes the head of a request: its lines, without the last empty one. */
  constructor({ protocol, hostname, port }: URL, lines: readonly string[]) {
    const host = hostname.replace(/^\[|\]$/g, "");
    const isSecure = protocol === "wss:";
    this.#tcp = connectTcp({ host, port: Number(port || (isSecure ? 443 : 80)) });
    this.#tcp.setNoDelay(true);
    this.#tcp.on("error", () => {});
    this.transport = isSecure
      ? connectTls({ socket: this.#tcp, servername: host, ALPNProtocols: ["http/1.1"] })
      : this.#tcp;
    this.#changed.setMaxListeners(0);
    this.transport.write(`${lines.join("\r\n")}\r\n\r\n`);
    this.transport.on("data", (chunk) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      this.#read();
      this.#changed.emit("change");
    });
    this.transport.on("error", () => {});
    this.transport.on("close", () => {
      this.#ended = true;
      this.#readResponse();
      this.#changed.emit("change");
    });
    this.response = this.#when(
      () => this.#response,
      () => "the connection ended without a response",
    );
    this.closed = this.#when(
      () => this.#close ?? (this.#ended ? "no close frame" : undefined),
      () => "",
    );
    this.response.catch(() => {});
  }

  send(text: string): void {
    this.transport.write(frame(OPCODE.text, text));
  }

  /** Resolves to the next message. Rejects when the connection has ended. */
  next(): Promise<Message> {
    return this.#when(
      () => this.#messages.shift(),
      () => `the connection ended: ${this.#close ?? "no close frame"}`,
    );
  }

  /** Closes with 1000. */
  close(): void {
    this.transport.end(frame(OPCODE.close, Buffer.from([0x03, 0xe8])));
  }

  destroy(): void {
    this.transport.destroy();
  }

  /** Ends the connection as a crash does. */
  reset(): void {
    this.#tcp.resetAndDestroy();
  }

  async #when<Value>(find: () => Value | undefined, otherwise: () => string): Promise<Value> {
    for (;;) {
      const found = find();
      if (found !== undefined) return found;
      if (this.#ended) throw new Error(otherwise());
      await once(this.#changed, "change");
    }
  }

  #read(): void {
    if (this.#response === undefined) this.#readResponse();
    if (this.#response?.status === 101) while (this.#readFrame());
  }

  #readResponse(): void {
    const end = this.#bytes.indexOf("\r\n\r\n");
    if (this.#response !== undefined || end < 0) return;
    const [first = "", ...lines] = this.#bytes.subarray(0, end).toString("latin1").split("\r\n");
    const headers = new Map(
      lines.map((line) => {
        const at = line.indexOf(":");
        return [line.slice(0, at).toLowerCase(), line.slice(at + 1).trim()] as const;
      }),
    );
    const status = Number(first.split(" ")[1]);
    const body = this.#bytes.subarray(end + 4);
    const length = Number(headers.get("content-length") ?? Number.POSITIVE_INFINITY);
    if (status !== 101 && body.length < length && !this.#ended) return;
    this.#response = { status, headers, body: status === 101 ? "" : body.toString() };
    this.#bytes = status === 101 ? body : Buffer.alloc(0);
  }

  #readFrame(): boolean {
    const bytes = this.#bytes;
    if (bytes.length < 2) return false;
    const short = bytes[1]! & 0x7f;
    const start = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (bytes.length < start) return false;
    const length =
      short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
    if (bytes.length < start + length) return false;
    this.#bytes = bytes.subarray(start + length);
    this.#take(bytes[0]! & 0x0f, bytes[0]! >= 0x80, bytes.subarray(start, start + length));
    return true;
  }

  #take(opcode: number, fin: boolean, payload: Buffer): void {
    if (opcode === OPCODE.ping) this.transport.write(frame(OPCODE.pong, payload));
    if (opcode === OPCODE.close) {
      const code = payload.length < 2 ? 1005 : payload.readUInt16BE(0);
      this.#close = `${code} ${payload.subarray(2)}`.trim();
      this.transport.end(frame(OPCODE.close, payload));
    }
    if (opcode >= OPCODE.close) return;
    this.#fragments.push({ opcode, payload });
    if (!fin) return;
    const parts = this.#fragments.splice(0);
    this.#messages.push({
      opcode: parts[0]!.opcode,
      text: Buffer.concat(parts.map((each) => each.payload)).toString(),
      frames: parts.map((each) => each.payload.length),
    });
  }
}
