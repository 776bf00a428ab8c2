import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** How long an end that nobody tells of the other's stays open. */
const HALF_OPEN_MS = 3_000;
const MID_FRAME_MS = 1_500;

/** A client's socket and the server's, joined. */
interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  /** The next bytes in this direction are the last, and only half of them go through. */
  cutAt: "client" | "server" | undefined;
  /** What comes from either end is thrown away. */
  silent: boolean;
}

/** The network between one client and the server, which does to a connection what networks do. */
export class Network {
  readonly #server: Server;
  readonly #tell: (fault: string) => void;
  readonly #pairs = new Set<Pair>();
  /** The server's; `undefined`: there is none. */
  target: number | undefined;
  /** Nobody gets through. */
  blocked = false;

  /** @param tell told of each fault that has come about */
  constructor(tell: (fault: string) => void) {
    this.#tell = tell;
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
      this.#tell("cut");
      this.#end(pair);
    }
  }

  /** In the middle of what comes next. @param at the end that gets half of it */
  cutMidFrame(at: "client" | "server"): void {
    for (const pair of this.#pairs) {
      pair.cutAt = at;
      setTimeout(() => this.#end(pair), MID_FRAME_MS);
    }
  }

  /** Nothing goes through for a while; nothing is lost. */
  stall(ms: number): void {
    for (const { client, server } of this.#pairs) {
      this.#tell("stall");
      client.pause();
      server.pause();
      setTimeout(() => {
        client.resume();
        server.resume();
      }, ms);
    }
  }

  /** One end is gone, and the other is not told. */
  halfOpen(gone: "client" | "server"): void {
    for (const pair of [...this.#pairs]) {
      if (pair.silent) continue;
      this.#tell(gone === "client" ? "client vanished" : "server vanished");
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
    this.#tell("cut mid-frame");
    // Its end comes behind the bytes.
    to.end(chunk.subarray(0, chunk.length >> 1), () => this.#end(pair));
  }

  #end(pair: Pair): void {
    if (!this.#pairs.delete(pair)) return;
    pair.client.destroy();
    pair.server.destroy();
  }
}
