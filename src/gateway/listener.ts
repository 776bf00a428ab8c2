import {
  createServer as createHttpServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
} from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { createServer as createTcpServer, type Server as NetServer, type Socket } from "node:net";
import { GatewayError } from "./errors.ts";

/** First byte of a TLS handshake record. No HTTP request begins with it. */
const TLS_HANDSHAKE = 0x16;

/** Timeouts in ms. */
export interface ListenerTimeouts {
  /** Time until the first byte of a new connection, which tells TLS from HTTP. */
  readonly firstByte: number;
  /** Time until the end of a request's headers. Default Node's: a minute. */
  readonly headersTimeout?: number;
  /** Interval of Node's check of `headersTimeout`. Default Node's: 30 s. */
  readonly connectionsCheckingInterval?: number;
}

const TIMEOUTS: ListenerTimeouts = { firstByte: 10_000 };

/** Time for open sockets to finish their close handshake when the listener closes, in ms. */
const CLOSE_MS = 1_000;

/** Java's HTTP client offers an upgrade to h2c with every request. It is handled as a plain request. Needs Node 24. */
const OPTIONS = {
  shouldUpgradeCallback: ({ headers }: IncomingMessage) => headers.upgrade?.toLowerCase() === "websocket",
};

export type UpgradeListener = (request: IncomingMessage, socket: Socket, head: Buffer) => void;

interface Tls {
  readonly key: string;
  readonly cert: string;
}

/** An HTTP server. With `tls` the same port accepts HTTPS too: the first byte of a connection decides. */
export class Listener {
  readonly #http: Server;
  readonly #https: Server | undefined;
  readonly #netServer: NetServer;
  readonly #sockets = new Set<Socket>();
  readonly #firstByteMs: number;

  constructor(
    onRequest: RequestListener,
    onUpgrade: UpgradeListener,
    tls: Tls | undefined,
    timeouts: ListenerTimeouts = TIMEOUTS,
  ) {
    const { firstByte, ...requestTimeouts } = timeouts;
    const options = { ...OPTIONS, ...requestTimeouts };
    this.#firstByteMs = firstByte;
    this.#http = createHttpServer(options, onRequest).on("upgrade", onUpgrade);
    this.#https = tls && createHttpsServer({ ...options, ...tls }, onRequest).on("upgrade", onUpgrade);
    this.#netServer = this.#https ? createTcpServer((socket) => this.#detectProtocol(socket)) : this.#http;
    this.#netServer.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
  }

  /**
   * Starts to listen.
   * @returns the port
   * @throws {GatewayError} ADDRESS_IN_USE
   */
  async listen(port: number, host: string): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#netServer.once("error", (error: NodeJS.ErrnoException) => {
        if (error.code !== "EADDRINUSE") return reject(error);
        reject(
          new GatewayError("ADDRESS_IN_USE", `Port ${port} on ${host} is already in use`, { cause: error }),
        );
      });
      this.#netServer.listen(port, host, resolve);
    });
    // Node starts its check of request timeouts on this event, and these two servers never listen themselves.
    if (this.#netServer !== this.#http) for (const server of this.#servers) server.emit("listening");
    const address = this.#netServer.address();
    return typeof address === "object" && address !== null ? address.port : port;
  }

  /** Stops to listen. Open sockets get 1 s to finish their close handshake and are then destroyed. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#netServer.close(() => resolve()));
    // Closing stops the check of request timeouts and idle connections, also on servers that never listened.
    for (const server of this.#servers) if (server !== this.#netServer) server.close();
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

  #detectProtocol(socket: Socket): void {
    socket.setTimeout(this.#firstByteMs, () => socket.destroy());
    socket.on("error", ignore);
    socket.once("readable", () => {
      const chunk: Buffer | null = socket.read();
      // Null when the client closed the connection without sending a byte.
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
