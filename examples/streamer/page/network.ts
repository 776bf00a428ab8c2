// A network switch for the real client. When it is off, the socket closes and no other opens.

import type { WebSocketConstructor } from "lift-ws/client";

export class Network {
  #isUp = true;
  readonly #sockets = new Set<WebSocket>();

  get isUp(): boolean {
    return this.#isUp;
  }

  /** The class for the client's option `WebSocket`. */
  get WebSocket(): WebSocketConstructor {
    const open = (url: string) => this.#open(url);
    return class {
      constructor(url: string) {
        // biome-ignore lint/correctness/noConstructorReturn: returns the browser's socket, which this switch controls.
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
    // Browsers fire this event when the network comes back.
    dispatchEvent(new Event("online"));
  }
}
