// A WebSocket that reconnects: a new token after a failed connect or an expired token, growing delays, and
// a ping that detects a dead connection. It knows nothing about the page or the chat except that error.

const FIRST_DELAY_MS = 500;
const LAST_DELAY_MS = 15_000;
/** Browsers hide the status of a refused upgrade. This many failures while the server responds count as a refusal. */
const FAILURES_TO_REFUSAL = 3;
/** Well under API Gateway's idle limit of ten minutes. */
const PING_AFTER_MS = 45_000;
const PONG_WITHIN_MS = 10_000;

/**
 * @typedef {{ kind: "connecting" } | { kind: "online" } | { kind: "waiting", until: number }
 *   | { kind: "refused", why: string } | { kind: "closed" }} State
 *
 * @typedef {object} Options
 * @property {string} address `ws:` or `wss:`
 * @property {() => Promise<string>} getToken Rejects with `Refused` when there is no point in asking again.
 * @property {(state: State) => void} onState
 * @property {(frame: any) => void} onFrame Each frame, parsed; what is not JSON never arrives.
 */

export class Refused extends Error {}

export class Socket {
  /** @type {Options} */ #options;
  /** @type {State} */ #state = { kind: "closed" };
  /** @type {WebSocket | undefined} */ #socket;
  /** @type {string | undefined} */ #token;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #retryTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #pingTimer;
  #failures = 0;
  #refusals = 0;

  /** @param {Options} options */
  constructor(options) {
    this.#options = options;
    addEventListener("online", this.retry);
    this.#open();
  }

  /** @param {object} frame @returns {boolean} whether it was handed over */
  send(frame) {
    if (this.#state.kind !== "online") return false;
    this.#socket?.send(JSON.stringify(frame));
    return true;
  }

  /** Reconnects now instead of later. */
  retry = () => {
    if (this.#state.kind !== "waiting" && this.#state.kind !== "refused") return;
    this.#refusals = 0;
    this.#open();
  };

  close() {
    removeEventListener("online", this.retry);
    this.#become({ kind: "closed" });
    this.#socket?.close(1000);
  }

  /** @param {State} state */
  #become(state) {
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#pingTimer);
    this.#state = state;
    this.#options.onState(state);
  }

  async #open() {
    const attempt = /** @type {State} */ ({ kind: "connecting" });
    this.#become(attempt);
    try {
      this.#token ??= await this.#options.getToken();
    } catch (error) {
      if (this.#state !== attempt) return;
      if (error instanceof Refused) this.#become({ kind: "refused", why: error.message });
      else this.#wait();
      return;
    }
    if (this.#state === attempt) this.#dial(this.#token);
  }

  /** @param {string} token */
  #dial(token) {
    const url = new URL(this.#options.address);
    url.searchParams.set("token", token);
    const socket = new WebSocket(url);
    this.#socket = socket;
    let opened = false;
    socket.onopen = () => {
      opened = true;
      this.#refusals = 0;
      this.#become({ kind: "online" });
      this.#listenForSilence(socket);
    };
    socket.onmessage = ({ data }) => {
      this.#failures = 0;
      this.#listenForSilence(socket);
      const frame = parse(data);
      // The server closes the connection next, and the reconnect needs a new token.
      if (frame?.error?.code === "TOKEN_EXPIRED") this.#token = undefined;
      if (frame !== undefined) this.#options.onFrame(frame);
    };
    socket.onclose = () => {
      if (this.#socket !== socket || this.#state.kind === "closed") return;
      if (opened) this.#wait();
      else this.#failed();
    };
  }

  /** Handles a failed connect: the server is unreachable, or refused it. */
  async #failed() {
    const attempt = this.#state;
    this.#token = undefined;
    const answers = await isReachable(this.#options.address);
    if (this.#state !== attempt) return;
    this.#refusals = answers ? this.#refusals + 1 : 0;
    if (this.#refusals < FAILURES_TO_REFUSAL) return this.#wait();
    this.#become({
      kind: "refused",
      why: "The server is there, but it did not let you in. The token may be wrong or expired.",
    });
  }

  #wait() {
    const longest = Math.min(LAST_DELAY_MS, FIRST_DELAY_MS * 2 ** this.#failures++);
    // Half of the delay is random, so that a thousand pages do not reconnect at the same moment.
    const delay = longest * (0.5 + Math.random() / 2);
    this.#become({ kind: "waiting", until: Date.now() + delay });
    this.#retryTimer = setTimeout(() => this.#open(), delay);
  }

  /** @param {WebSocket} socket */
  #listenForSilence(socket) {
    clearTimeout(this.#pingTimer);
    this.#pingTimer = setTimeout(() => {
      socket.send('{"action":"ping"}');
      this.#pingTimer = setTimeout(() => {
        // A dead connection takes minutes to report its close, so do not wait for it.
        this.#socket = undefined;
        socket.close();
        this.#wait();
      }, PONG_WITHIN_MS);
    }, PING_AFTER_MS);
  }
}

/** @param {string} address Any HTTP answer will do, a refusal as well. */
async function isReachable(address) {
  try {
    await fetch(address.replace(/^ws/, "http"), { mode: "no-cors", cache: "no-store" });
    return true;
  } catch {
    return false;
  }
}

/** @param {unknown} data */
function parse(data) {
  try {
    return JSON.parse(String(data));
  } catch {
    return undefined;
  }
}
