import { randomBytes } from "node:crypto";

/** Bytes for the wire, prepared in advance so that encoding costs the client no time. */

/** Protocol of a server: bytes of a fixed length, RFC 6455, or socket.io's protocol on it. */
export type Protocol = "tcp" | "websocket" | "socket.io";

/** Bytes of a message's text, the same for all sides. */
const MESSAGE_BYTES = 100;

const MASK = Uint8Array.of(0x37, 0xfa, 0x21, 0x3d);
const FRAME_HEADER = 2;

/** A message of 100 bytes that selects a route. */
export function messageText(action: string): string {
  const empty = JSON.stringify({ action, text: "" });
  return JSON.stringify({ action, text: "x".repeat(MESSAGE_BYTES - empty.length) });
}

/** Bytes that the client sends for a message. */
export function request(protocol: Protocol, text: string): Buffer {
  if (protocol === "tcp") return Buffer.from(`..${text}`);
  return maskedFrame(protocol === "socket.io" ? socketIoEvent(text) : text);
}

/** Bytes that a receiver gets for a message. */
export function response(protocol: Protocol, text: string): Buffer {
  // The bare TCP server sends as many bytes as a WebSocket frame with this text.
  if (protocol === "tcp") return Buffer.from(`..${text}`);
  const payload = Buffer.from(protocol === "socket.io" ? socketIoEvent(text) : text);
  return Buffer.concat([Uint8Array.of(0x81, payload.length), payload]);
}

export function upgradeRequest(port: number, path: string): string {
  return [
    `GET ${path} HTTP/1.1`,
    `Host: 127.0.0.1:${port}`,
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    // serverless-offline distinguishes concurrent clients by this header.
    `Sec-WebSocket-Key: ${randomBytes(16).toString("base64")}`,
    "\r\n",
  ].join("\r\n");
}

/** An engine.io message (4) with a socket.io event (2) named `m` and the message as its argument. */
function socketIoEvent(text: string): string {
  return `42["m",${text}]`;
}

export function maskedFrame(text: string): Buffer {
  const payload = Buffer.from(text);
  if (payload.length > 125) throw new Error("The payload exceeds the one-byte length of a frame");
  const frame = Buffer.alloc(FRAME_HEADER + MASK.length + payload.length);
  frame[0] = 0x81;
  frame[1] = 0x80 | payload.length;
  frame.set(MASK, FRAME_HEADER);
  for (const [i, byte] of payload.entries()) frame[FRAME_HEADER + MASK.length + i] = byte ^ MASK[i % 4]!;
  return frame;
}
