// How the page's connection is, and the switch that cuts it.

import type { Client, ClientError, ClientState } from "lift-ws/client";
import type { Network } from "./network.ts";
import { find, inWords, Refused } from "./view.js";

/** A browser hides the status of a refused upgrade: so many failures while the server answers are a refusal. */
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
  lost(): void;
  back(): void;
  /** The server lets this person in no more, and says why. */
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

  /** So many lines are in the outbox. */
  waiting(lines: number): void {
    this.#waiting = lines;
    this.#show();
  }

  #become(state: ClientState): void {
    const isConnected = state.status === "connected";
    if (isConnected) {
      this.#refusals = 0;
      this.#events.back();
    } else if (this.#wasConnected) {
      this.#events.lost();
    }
    this.#wasConnected = isConnected;
    if (state.status === "reconnecting") void this.#suspect(state.error);
    if (state.status === "closed") this.#refuse(state.error.message);
    this.#show();
  }

  /** A browser does not tell why a socket did not open: a server that is away, or one that does not want us. */
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
