import { connect, type Socket } from "node:net";
import { maskedFrame, type Protocol, upgradeRequest } from "./wire.ts";

export interface Endpoint {
  readonly protocol: Protocol;
  readonly port: number;
  /** Path of the upgrade request. */
  readonly path: string;
}

/** Receives the bytes of an open connection. The buffer is valid until the call returns. */
export type Receive = (length: number, buffer: Buffer) => void;

const OPENING_MS = 30_000;

// All connections share a buffer, because each read is handled before the next. Streams, events and copies would cost
// the client more than the servers under test.
const shared = Buffer.allocUnsafe(64 * 1024);

/** Opens a connection on a bare socket. Rejects when it is refused. */
export function open(endpoint: Endpoint, receive: Receive): Promise<Socket> {
  return new Promise((resolve, reject) => {
    let greeting: string | undefined = "";
    const timer = setTimeout(() => fail(new Error("no answer to the handshake")), OPENING_MS);
    const onread = {
      buffer: shared,
      callback: (length: number): boolean => {
        if (greeting === undefined) receive(length, shared);
        else hear(shared.toString("latin1", 0, length));
        return true;
      },
    };
    const socket = connect({ host: "127.0.0.1", port: endpoint.port, noDelay: true, onread });
    const fail = (error: Error): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(error);
    };
    const hear = (text: string): void => {
      greeting += text;
      const state = readGreeting(endpoint.protocol, greeting!);
      if (state === "refused") fail(new Error(greeting!.split("\r\n", 1)[0]));
      if (state === "join") socket.write(maskedFrame("40"));
      if (state === "open") succeed();
    };
    const succeed = (): void => {
      clearTimeout(timer);
      greeting = undefined;
      resolve(socket);
    };
    socket.once("error", fail);
    socket.once("close", () => fail(new Error("closed during the handshake")));
    socket.once("connect", () => {
      if (endpoint.protocol === "tcp") succeed();
      else socket.write(upgradeRequest(endpoint.port, endpoint.path));
    });
  });
}

/** socket.io's handshake: the server sends its session (0), the client joins the namespace (40), the server confirms (40). */
function readGreeting(protocol: Protocol, text: string): "waiting" | "refused" | "join" | "open" {
  if (text.length >= 12 && !text.startsWith("HTTP/1.1 101")) return "refused";
  const end = text.indexOf("\r\n\r\n");
  if (end === -1) return "waiting";
  if (protocol === "websocket") return "open";
  if (/40\{"sid":"[^"]+"/.test(text)) return "open";
  return /0\{"sid".*\}$/.test(text) ? "join" : "waiting";
}
