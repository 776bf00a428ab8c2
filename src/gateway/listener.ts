import {
  createServer as createHttpServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
} from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { createServer as createTcpServer, type Server as NetServer, type Socket } from "node:net";
import { GatewayError } from "./errors.ts";

/** The first byte of a TLS handshake record; no HTTP request begins with it. */
const TLS_HANDSHAKE = 0x16;

/** ms. */
export interface ListenerTimeouts {
  /** That a new connection may stay silent before it has shown whether it speaks TLS. */
  readonly firstByte: number;
  /** That a request's headers may take. Default: Node's, a minute. */
  readonly headersTimeout?: number;
  /** How often that is looked at. Default: Node's, 30 s. */
  readonly connectionsCheckingInterval?: number;
}

const TIMEOUTS: ListenerTimeouts = { firstByte: 10_000 };

/** ms that peers get to finish what was begun when the listener closes. */
const CLOSE_MS = 1_000;

/** Java's HTTP client offers h2c with every request; that is a request, no upgrade of ours. (Node 24 on.) */
const OPTIONS = {
  shouldUpgradeCallback: ({ headers }: IncomingMessage) => headers.upgrade?.toLowerCase() === "websocket",
};

export type UpgradeListener = (request: IncomingMessage, socket: Socket, head: Buffer) => void;

interface Tls {
  readonly key: string;
  readonly cert: string;
}

/** An HTTP server; with `tls` the same port answers HTTPS too, whichever the client begins with. */
export class Listener {
  readonly #http: Server;
  readonly #https: Server | undefined;
  readonly #entrance: NetServer;
  readonly #sockets = new Set<Socket>();
  readonly #firstByteMs: number;

  constructor(
    onRequest: RequestListener,
    onUpgrade: UpgradeListener,
    tls: Tls | undefined,
    timeouts: ListenerTimeouts = TIMEOUTS,
  ) {
    const { firstByte, ...ofRequests } = timeouts;
    const options = { ...OPTIONS, ...ofRequests };
    this.#firstByteMs = firstByte;
    this.#http = createHttpServer(options, onRequest).on("upgrade", onUpgrade);
    this.#https = tls && createHttpsServer({ ...options, ...tls }, onRequest).on("upgrade", onUpgrade);
    this.#entrance = this.#https ? createTcpServer((socket) => this.#sort(socket)) : this.#http;
    this.#entrance.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
  }

  /** @throws {GatewayError} ADDRESS_IN_USE */
  async listen(port: number, host: string): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#entrance.once("error", (error: NodeJS.ErrnoException) => {
        if (error.code !== "EADDRINUSE") return reject(error);
        reject(new GatewayError("ADDRESS_IN_USE", `Port ${port} of ${host} is taken`, { cause: error }));
      });
      this.#entrance.listen(port, host, resolve);
    });
    // Node watches over a server's requests from this event on, and these two never listen themselves.
    if (this.#entrance !== this.#http) for (const server of this.#servers) server.emit("listening");
    const address = this.#entrance.address();
    return typeof address === "object" && address !== null ? address.port : port;
  }

  /** Stops to listen. What is still connected gets a moment to finish its close handshake and is then cut. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#entrance.close(() => resolve()));
    // Those that never listened as well: it ends their watch, and their idle connections.
    for (const server of this.#servers) if (server !== this.#entrance) server.close();
    this.#http.closeIdleConnections();
    const cut = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
    }, CLOSE_MS);
    await closed;
    clearTimeout(cut);
  }

  get #servers(): Server[] {
    return this.#https === undefined ? [this.#http] : [this.#http, this.#https];
  }

  #sort(socket: Socket): void {
    socket.setTimeout(this.#firstByteMs, () => socket.destroy());
    socket.on("error", ignore);
    socket.once("readable", () => {
      const chunk: Buffer | null = socket.read();
      // Null at the end of a stream that carried nothing.
      if (chunk === null) return void socket.destroy();
      socket.setTimeout(0);
      socket.removeListener("error", ignore);
      socket.unshift(chunk);
      const server = chunk[0] === TLS_HANDSHAKE ? this.#https : this.#http;
      server?.emit("connection", socket);
    });
  }
}

function ignore(): void {}
