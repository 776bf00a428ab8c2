// A network that can be cut. The client is the real one, and finds out as it would: its socket ends, no other opens.

import type { WebSocketConstructor } from "lift-ws/client";

export class Network {
  #isUp = true;
  readonly #sockets = new Set<WebSocket>();

  get isUp(): boolean {
    return this.#isUp;
  }

  /** What a client takes for its `WebSocket`. */
  get WebSocket(): WebSocketConstructor {
    const open = (url: string) => this.#open(url);
    return class {
      constructor(url: string) {
        // biome-ignore lint/correctness/noConstructorReturn: a browser's socket, which only this network opens.
        return open(url);
      }
    } as unknown as WebSocketConstructor;
  }

  #open(url: string): WebSocket {
    if (!this.#isUp) throw new Error("The network is cut");
    const socket = new WebSocket(url);
    this.#sockets.add(socket);
    socket.addEventListener("close", () => this.#sockets.delete(socket));
    return socket;
  }

  cut(): void {
    this.#isUp = false;
    for (const socket of this.#sockets) socket.close();
  }

  mend(): void {
    this.#isUp = true;
    // A browser says the same when a cable is plugged in again.
    dispatchEvent(new Event("online"));
  }
}
