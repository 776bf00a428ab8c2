import type { ErrorBody, ServerMessage } from "../../src/protocol/index.ts";
import type { ModelServer } from "./model-server.ts";

type Listener = (event: object) => void;

/** Both ends of one connection: to the client it is a WebSocket. */
export class ModelSocket {
  readonly url: URL;
  /** The subscribed channels. */
  readonly channels = new Set<string>();
  /** The user from the query. */
  readonly user: string | undefined;
  /** Drops all frames without closing. */
  stalled = false;
  #state: "connecting" | "open" | "closed" = "connecting";
  readonly #server: ModelServer;
  readonly #listeners: { readonly type: string; readonly listener: Listener }[] = [];

  constructor(server: ModelServer, url: string) {
    this.#server = server;
    this.url = new URL(url);
    this.user = this.url.searchParams.get("user") ?? undefined;
    server.opened.push(this);
    this.#later(() => {
      if (this.#state !== "connecting" || this.stalled) return;
      if (!server.upgrade(this.url)) return this.cut();
      this.#state = "open";
      server.sockets.add(this);
      this.#emit("open", {});
    });
  }

  get open(): boolean {
    return this.#state === "open";
  }

  addEventListener(type: string, listener: Listener): void {
    this.#listeners.push({ type, listener });
  }

  send(frame: string): void {
    if (this.#state === "connecting") throw new Error("It is not open yet");
    this.#later(() => {
      if (this.#state === "open" && !this.stalled) this.#server.receive(this, frame);
    });
  }

  close(): void {
    this.cut();
  }

  /** Cuts the connection. */
  cut(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#server.sockets.delete(this);
    for (const name of [...this.channels]) this.#server.leave(this, name);
    this.#later(() => this.#emit("close", {}));
  }

  /** Sends to the client, subject to faults. */
  deliver(message: ServerMessage): void {
    const { random, faults } = this.#server;
    if (random() < faults.drop) return;
    const copies = random() < faults.duplicate ? 2 : 1;
    const data = JSON.stringify(message);
    for (let copy = 0; copy < copies; copy++) {
      this.#later(() => {
        if (this.#state === "open" && !this.stalled) this.#emit("message", { data });
      });
    }
  }

  /** Closes the connection with an error. */
  end(code: string, retry: boolean): void {
    const error: ErrorBody = { code, message: code, retry };
    this.#emit("message", { data: JSON.stringify({ type: "error", error }) });
    this.cut();
  }

  #later(happens: () => void): void {
    const { clock, random, faults } = this.#server;
    const [least, most] = faults.latency;
    clock.setTimeout(happens, least + Math.floor(random() * (most - least + 1)));
  }

  #emit(type: string, event: object): void {
    for (const one of this.#listeners) if (one.type === type) one.listener(event);
  }
}
