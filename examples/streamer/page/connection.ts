// The connection's status, and the network switch.

import type { Client, ClientError, ClientState } from "lift-ws/client";
import type { Network } from "./network.ts";
import { find, inWords, Refused } from "./view.js";

/** Browsers hide the status of a refused upgrade. This many failures while the server responds count as a refusal. */
const FAILURES_TO_REFUSAL = 3;

const WORDS = {
  idle: "Connecting",
  connecting: "Connecting",
  connected: "Online",
  reconnecting: "Reconnecting",
  closed: "Closed",
  cut: "Cut off",
};

export interface ConnectionEvents {
  onDisconnect(): void;
  onReconnect(): void;
  /** The server no longer accepts the user, for the given reason. */
  refused(why: string): void;
}

export class Connection {
  readonly #client: Client;
  readonly #network: Network;
  readonly #events: ConnectionEvents;
  #wasConnected = false;
  #refusals = 0;
  #waiting = 0;
  #countdown: ReturnType<typeof setInterval> | undefined;

  constructor(client: Client, network: Network, events: ConnectionEvents) {
    this.#client = client;
    this.#network = network;
    this.#events = events;
    client.onState((state) => this.#become(state));
    find("network").onclick = () => this.#switch();
    this.#show();
  }

  /** Shows the number of lines in the outbox. */
  waiting(lines: number): void {
    this.#waiting = lines;
    this.#show();
  }

  #become(state: ClientState): void {
    const isConnected = state.status === "connected";
    if (isConnected) {
      this.#refusals = 0;
      this.#events.onReconnect();
    } else if (this.#wasConnected) {
      this.#events.onDisconnect();
    }
    this.#wasConnected = isConnected;
    if (state.status === "reconnecting") void this.#suspect(state.error);
    if (state.status === "closed") this.#refuse(state.error.message);
    this.#show();
  }

  /** Browsers do not tell whether the server is unreachable or refused the connection. */
  async #suspect({ code, cause }: ClientError): Promise<void> {
    const isRefused = code === "TOKEN_FAILED" && cause instanceof Refused;
    if (!(isRefused || code === "CONNECT_FAILED") || !this.#network.isUp) return;
    const answers = await fetch("/", { method: "HEAD", cache: "no-store" }).then(
      () => true,
      () => false,
    );
    if (answers && isRefused) return this.#refuse(cause.message);
    this.#refusals = answers ? this.#refusals + 1 : 0;
    if (this.#refusals < FAILURES_TO_REFUSAL) return;
    this.#refuse("The server is there, but it did not let you in. The token may be wrong or expired.");
  }

  #refuse(why: string): void {
    this.#refusals = 0;
    this.#client.disconnect();
    this.#events.refused(why);
  }

  #switch(): void {
    if (this.#network.isUp) this.#network.cut();
    else this.#network.mend();
    find("network").ariaChecked = String(this.#network.isUp);
    this.#show();
  }

  #show(): void {
    const { state } = this.#client;
    const kind = this.#network.isUp ? state.status : "cut";
    find("status").dataset.kind = kind;
    find("status-text").textContent = WORDS[kind];
    const lines = this.#waiting === 1 ? "1 line waits" : `${this.#waiting} lines wait`;
    const show = () => {
      const next = kind === state.status && "at" in state ? `in ${inWords(state.at - Date.now())}` : "";
      find("status-wait").textContent = kind !== "connected" && this.#waiting > 0 ? lines : next;
    };
    show();
    clearInterval(this.#countdown);
    if (kind === "reconnecting") this.#countdown = setInterval(show, 500);
  }
}
