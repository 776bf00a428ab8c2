import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** Time until the remaining end of a half-open connection closes. */
const HALF_OPEN_MS = 3_000;
const MID_FRAME_MS = 1_500;

/** A proxied connection: the client's socket and the server's. */
interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  /** Only half of the next bytes in this direction pass, and then the connection ends. */
  cutAt: "client" | "server" | undefined;
  /** Whether bytes from both ends are dropped. */
  silent: boolean;
}

/** A proxy between one client and the server that breaks connections as networks do. */
export class Network {
  readonly #server: Server;
  readonly #log: (fault: string) => void;
  readonly #pairs = new Set<Pair>();
  /** Port of the server. `undefined` while no server runs. */
  target: number | undefined;
  /** Whether new connections are refused. */
  blocked = false;

  /** @param log called for each fault that took effect */
  constructor(log: (fault: string) => void) {
    this.#log = log;
    this.#server = createServer((client) => this.#join(client));
  }

  async listen(): Promise<number> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return (this.#server.address() as AddressInfo).port;
  }

  get size(): number {
    return this.#pairs.size;
  }

  cut(): void {
    for (const pair of [...this.#pairs]) {
      this.#log("cut");
      this.#end(pair);
    }
  }

  /** Cuts within the next bytes. @param at the end that receives half of them */
  cutMidFrame(at: "client" | "server"): void {
    for (const pair of this.#pairs) {
      pair.cutAt = at;
      setTimeout(() => this.#end(pair), MID_FRAME_MS);
    }
  }

  /** Delays all bytes for some ms, without loss. */
  stall(ms: number): void {
    for (const { client, server } of this.#pairs) {
      this.#log("stall");
      client.pause();
      server.pause();
      setTimeout(() => {
        client.resume();
        server.resume();
      }, ms);
    }
  }

  /** Ends one side without notice to the other. */
  halfOpen(gone: "client" | "server"): void {
    for (const pair of [...this.#pairs]) {
      if (pair.silent) continue;
      this.#log(gone === "client" ? "client vanished" : "server vanished");
      pair.silent = true;
      pair[gone].destroy();
      setTimeout(() => this.#end(pair), HALF_OPEN_MS);
    }
  }

  close(): void {
    this.#server.close();
    for (const pair of [...this.#pairs]) this.#end(pair);
  }

  #join(client: Socket): void {
    if (this.target === undefined || this.blocked) {
      client.destroy();
      return;
    }
    const server = connect(this.target, "127.0.0.1");
    const pair: Pair = { client, server, cutAt: undefined, silent: false };
    this.#pairs.add(pair);
    for (const [from, to, name] of [
      [client, server, "server"],
      [server, client, "client"],
    ] as const) {
      from.setNoDelay();
      from.on("data", (chunk) => this.#forward(pair, to, name, chunk));
      from.on("error", () => {});
      from.on("close", () => {
        if (!pair.silent) this.#end(pair);
      });
    }
  }

  #forward(pair: Pair, to: Socket, name: "client" | "server", chunk: Buffer): void {
    if (pair.silent) return;
    if (pair.cutAt !== name || chunk.length < 2) {
      to.write(chunk);
      return;
    }
    pair.cutAt = undefined;
    pair.silent = true;
    this.#log("cut mid-frame");
    // `end` closes the socket after the bytes are written.
    to.end(chunk.subarray(0, chunk.length >> 1), () => this.#end(pair));
  }

  #end(pair: Pair): void {
    if (!this.#pairs.delete(pair)) return;
    pair.client.destroy();
    pair.server.destroy();
  }
}
