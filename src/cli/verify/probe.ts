import { EventEmitter, once } from "node:events";
import { ROUTES } from "./probe-template.ts";
import { RawSocket, type UpgradeResponse } from "./raw-socket.ts";
import { withLimit } from "./time-limit.ts";

/** Instructions to the probe's function for an event. */
export interface Step {
  /** Waits, in ms. */
  readonly sleep?: number;
  /** Throws it. */
  readonly error?: string;
  /** Returns it in place of a 200 with the connection's id, or of an authorizer's policy. */
  readonly result?: unknown;
  /** Posts so many bytes to the connection `to`: these, in base64, again and again. */
  readonly post?: string;
  readonly bytes?: number;
  readonly to?: string;
  /** Deletes this connection. */
  readonly delete?: string;
  /** Changes of an authorizer's policy: its effect, more context, a context of so many bytes, and a field to leave out. */
  readonly effect?: "Deny";
  readonly context?: { readonly [name: string]: unknown };
  readonly fill?: number;
  readonly without?: string;
}

/** Steps of the events of an upgrade. */
export interface UpgradeSteps {
  readonly authorizer?: Step;
  readonly connect?: Step;
}

/** Parts of an upgrade that a question changes. */
export interface UpgradeShape {
  readonly steps?: UpgradeSteps;
  /** The path and query in place of the stage's with the steps. */
  readonly path?: (stage: string, query: string) => string;
  readonly headers?: readonly string[];
  readonly version?: string;
  /** Header lines of an upgrade. Default true. */
  readonly upgrade?: boolean;
}

/** An event that the probe's function got. */
export interface ProbeEvent {
  readonly kind: "authorizer" | "connect" | "message";
  // biome-ignore lint/suspicious/noExplicitAny: the questions are about its shape
  readonly event: any;
}

/** Counts the usage, for its cost. */
export class Meter {
  messages = 0;
  connectionMs = 0;
  invocations = 0;
}

/** Sockets for one question, and the events that they caused: a watcher's connection gets them. */
export class Probe {
  readonly #url: URL;
  readonly #meter: Meter;
  readonly #sockets = new Set<RawSocket>();
  readonly #events: ProbeEvent[] = [];
  readonly #changed = new EventEmitter();
  readonly #signal: AbortSignal;
  #watcher = "";
  #ended = false;

  private constructor(url: URL, meter: Meter, signal: AbortSignal) {
    this.#url = url;
    this.#meter = meter;
    this.#signal = signal;
    this.#changed.setMaxListeners(0);
  }

  /** Connects the watcher. @throws Error when the API refuses it */
  static async open(url: URL, meter: Meter, signal: AbortSignal): Promise<Probe> {
    const probe = new Probe(url, meter, signal);
    signal.throwIfAborted();
    signal.addEventListener("abort", probe.close);
    try {
      const watcher = await probe.connect();
      probe.#watcher = await probe.idOf(watcher);
      void probe.#watch(watcher);
    } catch (error) {
      probe.close();
      throw error;
    }
    return probe;
  }

  /** Sends an upgrade, or another request. */
  request({ steps = {}, path, headers = [], version = "1.1", upgrade = true }: UpgradeShape): RawSocket {
    const { host, pathname } = this.#url;
    const query = `?p=${encodeURIComponent(JSON.stringify({ watcher: this.#watcher, ...steps }))}`;
    const target = path?.(pathname, query) ?? `${pathname}${query}`;
    const key = Buffer.alloc(16).toString("base64");
    const forUpgrade = [
      "Upgrade: websocket",
      "Connection: Upgrade",
      `Sec-WebSocket-Key: ${key}`,
      "Sec-WebSocket-Version: 13",
    ];
    const socket = new RawSocket(this.#url, [
      `GET ${target} HTTP/${version}`,
      `Host: ${host}`,
      ...(upgrade ? forUpgrade : ["Connection: close"]),
      ...headers,
    ]);
    this.#sockets.add(socket);
    this.#meter.invocations += 2;
    const openedAt = performance.now();
    void socket.closed.then(() => {
      this.#meter.connectionMs += performance.now() - openedAt;
    });
    return socket;
  }

  /** Resolves to the response to an upgrade, or to another request. */
  async respond(shape: UpgradeShape): Promise<UpgradeResponse> {
    return await this.request(shape).response;
  }

  /** Opens a connection. @throws Error when it is refused or not answered */
  async connect(shape: UpgradeShape = {}): Promise<RawSocket> {
    const socket = this.request(shape);
    const { status, body } = await withLimit(socket.response);
    if (status !== 101) throw new Error(`the connection was refused with ${status} ${body}`.trim());
    return socket;
  }

  /** Sends a message to a route. */
  send(socket: RawSocket, step: Step, action: string = ROUTES.reply): void {
    this.#meter.messages += 2;
    this.#meter.invocations += 1;
    socket.send(JSON.stringify({ action, ...step }));
  }

  /** Asks for the id of a connection. */
  async idOf(socket: RawSocket): Promise<string> {
    this.send(socket, {});
    const { text } = await withLimit(socket.next());
    const { id } = JSON.parse(text) as { id?: string };
    if (id === undefined) throw new Error(`expected the id of a connection; got ${text}`);
    return id;
  }

  /** Resolves to the first event that fits. @throws Error when the watcher's connection has ended without it */
  async event(fits: (event: ProbeEvent) => boolean): Promise<ProbeEvent> {
    for (;;) {
      const found = this.#events.find(fits);
      if (found !== undefined) return found;
      if (this.#ended) throw new Error("the connection that receives the events has ended");
      await once(this.#changed, "change");
    }
  }

  readonly close = (): void => {
    this.#signal.removeEventListener("abort", this.close);
    for (const socket of this.#sockets) socket.destroy();
  };

  async #watch(watcher: RawSocket): Promise<void> {
    for (;;) {
      const message = await watcher.next().catch(() => undefined);
      if (message === undefined) break;
      this.#meter.messages += Math.ceil(message.text.length / 32_768);
      this.#events.push(JSON.parse(message.text) as ProbeEvent);
      this.#changed.emit("change");
    }
    this.#ended = true;
    this.#changed.emit("change");
  }
}
