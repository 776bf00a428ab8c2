import {
  type Action,
  type ChannelRequest,
  CLIENT_LIMITS,
  type ErrorMessage,
  type Payloads,
  type ResponseMessage,
  type Results,
  type ServerMessage,
  utf8Length,
} from "../../protocol/index.ts";
import { stopwatch, type Timer } from "../clock.ts";
import { ClientError, toClientError } from "../errors.ts";
import type { ResolvedOptions } from "../options.ts";
import { splitIntoChunks } from "../requests/chunking.ts";
import { parseMessage } from "../requests/parse-message.ts";
import { abortable, type RequestOptions, timeoutError } from "../requests/timeouts.ts";

/** What the client uses of a WebSocket: the browser's, Node's and `ws`'s all have it. */
export interface WebSocketLike {
  send(data: string): void;
  close(code?: number, reason?: string): void;
  // biome-ignore lint/suspicious/noExplicitAny: their events have types that nothing else fits all of
  addEventListener(type: "open" | "message" | "close" | "error", listener: (event: any) => void): void;
}

export type WebSocketConstructor = new (url: string) => WebSocketLike;

/** As it is before it is written: what is undefined is left out then. */
export type Serializable<T> = {
  readonly [Name in keyof T]: T[Name] | (Pick<T, Name> extends Required<Pick<T, Name>> ? never : undefined);
};

/** An action's payload. */
export type Payload<A extends Action> = A extends "heartbeat"
  ? { readonly positions?: { readonly [channel: string]: unknown } | undefined }
  : A extends "subscribe"
    ? { readonly channels: readonly Serializable<ChannelRequest>[] }
    : Serializable<Payloads[A]>;

/** What comes unasked. */
export type PushedMessage = Exclude<ServerMessage, ResponseMessage | ErrorMessage>;

/** Whom a session tells. */
export interface SessionEvents {
  opened(session: Session): void;
  message(message: PushedMessage): void;
  /** Once, whoever ended it; `error` says why, and its `retry` whether to come back. */
  ended(session: Session, error: ClientError): void;
}

interface Pending {
  resolve(data: unknown): void;
  reject(error: ClientError): void;
}

/** One socket, and what was asked over it. */
export class Session {
  /** ms since it opened; `undefined`: it is not open yet. */
  openFor: (() => number) | undefined;
  /** ms since anything was read; set when it opens. */
  silentFor!: () => number;
  readonly #socket: WebSocketLike;
  readonly #settings: ResolvedOptions;
  readonly #events: SessionEvents;
  #timer: Timer;
  readonly #pending = new Map<string, Pending>();
  readonly #ending = new AbortController();
  #requests = 0;
  /** Ends when the last message in parts that was asked for has its answer. */
  #inParts: Promise<unknown> = Promise.resolve();

  /** @throws what the constructor of the WebSocket throws */
  constructor(socket: WebSocketLike, settings: ResolvedOptions, events: SessionEvents) {
    this.#socket = socket;
    this.#settings = settings;
    this.#events = events;
    this.#timer = this.#settings.clock.setTimeout(() => this.#closed(), settings.connectTimeoutMs);
    socket.addEventListener("open", () => this.#opened());
    socket.addEventListener("message", (event: { readonly data: unknown }) => this.#receive(event.data));
    socket.addEventListener("close", () => this.#closed());
    // A close follows; without a listener some implementations throw.
    socket.addEventListener("error", () => {});
  }

  get ended(): boolean {
    return this.signal.aborted;
  }

  /** Aborted with its end. */
  get signal(): AbortSignal {
    return this.#ending.signal;
  }

  /** @throws {ClientError} the server's; TIMEOUT, CONNECTION_CLOSED, TOO_LARGE, NOT_JSON, or the signal's reason */
  async request<A extends Action>(
    action: A,
    payload: Payload<A>,
    options: RequestOptions = {},
  ): Promise<Results[A]> {
    const id = `${++this.#requests}`;
    const frame = serialize({ id, action, payload });
    const bytes = utf8Length(frame);
    if (bytes > CLIENT_LIMITS.frameBytes) throw tooLarge();
    if (bytes <= CLIENT_LIMITS.clientFrameBytes) return this.#exchange(id, [frame], options);
    // A connection has one message in parts at a time.
    const answer = this.#inParts.then(() => this.#exchange<A>(id, splitIntoChunks(id, frame), options));
    this.#inParts = answer.catch(() => {});
    return answer;
  }

  /** The server decides the shape of a response; PROTOCOL.md gives it by action. */
  #exchange<A extends Action>(
    id: string,
    frames: readonly string[],
    { timeoutMs = this.#settings.requestTimeoutMs, signal }: RequestOptions,
  ): Promise<Results[A]> {
    return abortable(signal, (resolve, reject) => {
      if (this.ended) throw connectionClosed();
      const timer = this.#settings.clock.setTimeout(() => reject(timeoutError(timeoutMs)), timeoutMs);
      this.#pending.set(id, { resolve: resolve as Pending["resolve"], reject });
      for (const frame of frames) this.#socket.send(frame);
      return () => {
        timer.cancel();
        this.#pending.delete(id);
      };
    });
  }

  /** Closes it; nothing is read from it any more. */
  end(error: ClientError = connectionClosed()): void {
    if (this.ended) return;
    this.#ending.abort(connectionClosed(error));
    this.#timer.cancel();
    // 1000, as browsers let a page give no other of the standard codes.
    this.#socket.close(1000);
    for (const { reject } of this.#pending.values()) reject(connectionClosed(error));
    this.#events.ended(this, error);
  }

  /** Ends it after a while, unless something else does. */
  endAfter(ms: number): void {
    this.#timer = this.#settings.clock.setTimeout(() => this.end(), ms);
  }

  #opened(): void {
    if (this.ended) return;
    this.#timer.cancel();
    this.openFor = this.silentFor = stopwatch(this.#settings.clock);
    this.#events.opened(this);
  }

  #closed(): void {
    this.end(this.openFor ? connectionClosed() : connectFailed());
  }

  #receive(data: unknown): void {
    if (this.ended || typeof data !== "string") return;
    this.silentFor = stopwatch(this.#settings.clock);
    const message = parseMessage(data);
    if (!message) return;
    if (message.type === "response") this.#pending.get(message.request_id)?.resolve(message.data);
    else if (message.type !== "error") this.#events.message(message);
    // Without an id it is the connection's end.
    else if (message.request_id === undefined) this.end(toClientError(message.error));
    else this.#pending.get(message.request_id)?.reject(toClientError(message.error));
  }
}

export function connectionClosed(cause?: unknown): ClientError {
  return new ClientError("CONNECTION_CLOSED", "Disconnected", { retry: true, cause });
}

export function connectFailed(cause?: unknown): ClientError {
  return new ClientError("CONNECT_FAILED", "Could not connect", { retry: true, cause });
}

export function tooLarge(): ClientError {
  return new ClientError("TOO_LARGE", `The message is over ${CLIENT_LIMITS.frameBytes} bytes`);
}

/** @throws {ClientError} NOT_JSON */
export function serialize(value: object): string {
  try {
    return JSON.stringify(value);
  } catch (cause) {
    throw notJson(cause);
  }
}

export function notJson(cause?: unknown): ClientError {
  return new ClientError("NOT_JSON", "Not JSON", { cause });
}
