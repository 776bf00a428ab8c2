import { WebSocket } from "ws";
import type { WebSocketConstructor } from "../../src/client/index.ts";
import { FrameLog, type FrameLogOptions } from "./frame-log.ts";

/** Logs the messages on a client's sockets before the client reads them. */
export class WireRecorder {
  readonly WebSocket: WebSocketConstructor;
  readonly #sockets = new Set<WebSocket>();
  /** Channels that the newest socket is subscribed to. */
  #subscribed = new Set<string>();
  /** Called after each message about a long request. */
  onRequestMessage: ((id: string) => void) | undefined;

  /** @param opened called for each socket that opens */
  constructor(options: Omit<FrameLogOptions, "now" | "onRequest">, opened: () => void) {
    const open = (socket: WebSocket) => {
      this.#keep(socket);
      socket.on("open", () => {
        this.#subscribed = new Set();
        opened();
      });
    };
    const onRequest = (id: string) => this.onRequestMessage?.(id);
    const onSubscribed = (channel: string) => this.#subscribed.add(channel);
    this.WebSocket = class extends WebSocket {
      readonly #frames = new FrameLog({ ...options, onRequest, now: Date.now });

      constructor(url: string) {
        super(url, { perMessageDeflate: false });
        open(this);
        this.on("message", (data) => {
          // The client ignores messages after it closed the socket.
          if (this.readyState !== WebSocket.OPEN) return;
          this.#frames.received(JSON.parse(String(data))).forEach(onSubscribed);
        });
      }

      override send(data: string): void {
        this.#frames.sent(JSON.parse(data));
        super.send(data);
      }
    } as unknown as WebSocketConstructor;
  }

  /** Whether the newest socket is subscribed to all of these channels. */
  isSubscribed(channels: Iterable<string>): boolean {
    return [...channels].every((channel) => this.#subscribed.has(channel));
  }

  /** Ends the sockets without a close frame. */
  close(): void {
    for (const socket of this.#sockets) socket.terminate();
  }

  #keep(socket: WebSocket): void {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("error", () => {});
  }
}
