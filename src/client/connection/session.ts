import {
  type Action,
  type ChannelRequest,
  MAX_CLIENT_FRAME_BYTES,
  MAX_MESSAGE_BYTES,
  type Payloads,
  type Results,
  utf8Length,
} from "../../protocol/index.ts";
import { stopwatch, type Timer } from "../clock.ts";
import { ClientError, toClientError } from "../errors.ts";
import type { ResolvedOptions } from "../options.ts";
import { splitIntoChunks } from "../requests/chunking.ts";
import type { MessageHandlers } from "../requests/message-handlers.ts";
import { abortable, type RequestOptions, timeoutError } from "../requests/timeouts.ts";
import type { WebSocketLike } from "./websocket.ts";

/** A value before serialization, which leaves out `undefined` fields. */
export type Serializable<T> = {
  readonly [Name in keyof T]: T[Name] | (Pick<T, Name> extends Required<Pick<T, Name>> ? never : undefined);
};

/** The payload of an action. */
export type Payload<A extends Action> = A extends "heartbeat"
  ? { readonly positions?: { readonly [channel: string]: unknown } | undefined }
  : A extends "subscribe"
    ? { readonly channels: readonly Serializable<ChannelRequest>[] }
    : Serializable<Payloads[A]>;

export interface SessionEvents {
  opened(session: Session): void;
  /** Of the messages that the server sends without a request. */
  readonly handlers: MessageHandlers;
  /** Called once, whichever side ends the session. `error.retry` says whether to reconnect. */
  ended(session: Session, error: ClientError): void;
}

interface Pending {
  resolve(data: unknown): void;
  reject(error: ClientError): void;
}

/** One socket, with its pending requests. */
export class Session {
  /** ms since the socket opened; `undefined` before that. */
  openFor: (() => number) | undefined;
  /** ms since the last frame from the server; set when the socket opens. */
  silentFor!: () => number;
  readonly #socket: WebSocketLike;
  readonly #settings: ResolvedOptions;
  readonly #events: SessionEvents;
  #timer: Timer;
  readonly #pending = new Map<string, Pending>();
  readonly #lifetime = new AbortController();
  #requests = 0;
  /** Settles when the last message in chunks has its response. */
  #chunkedRequest: Promise<unknown> = Promise.resolve();

  constructor(socket: WebSocketLike, settings: ResolvedOptions, events: SessionEvents) {
    this.#socket = socket;
    this.#settings = settings;
    this.#events = events;
    this.#timer = settings.clock.setTimeout(() => this.#closed(), settings.connectTimeoutMs);
    socket.addEventListener("open", () => this.#opened());
    socket.addEventListener("message", (event: { readonly data: unknown }) => this.#receive(event.data));
    socket.addEventListener("close", () => this.#closed());
    // A close event follows. Without a listener some implementations throw.
    socket.addEventListener("error", () => {});
  }

  get ended(): boolean {
    return this.signal.aborted;
  }

  /** Aborted when the session ends. */
  get signal(): AbortSignal {
    return this.#lifetime.signal;
  }

  /**
   * Sends a request and resolves with its response.
   * @throws {ClientError} the server's codes, TIMEOUT, CONNECTION_CLOSED, TOO_LARGE, NOT_JSON; or the signal's reason
   */
  async request<A extends Action>(
    action: A,
    payload: Payload<A>,
    options: RequestOptions = {},
  ): Promise<Results[A]> {
    const id = `${++this.#requests}`;
    const frame = serialize({ id, action, payload });
    const bytes = utf8Length(frame);
    if (bytes > MAX_MESSAGE_BYTES) throw tooLarge();
    if (bytes <= MAX_CLIENT_FRAME_BYTES) return this.#send(id, [frame], options);
    // The server takes one message in chunks at a time from a connection.
    const answer = this.#chunkedRequest.then(() => this.#send<A>(id, splitIntoChunks(id, frame), options));
    this.#chunkedRequest = answer.catch(() => {});
    return answer;
  }

  /** Trusts the server for the shape of the response, which the action determines. */
  #send<A extends Action>(
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

  /** Closes the socket and ignores later frames. */
  end(error: ClientError = connectionClosed()): void {
    if (this.ended) return;
    this.#lifetime.abort(connectionClosed(error));
    this.#timer.cancel();
    // Browsers allow pages no standard close code but 1000.
    this.#socket.close(1000);
    for (const { reject } of this.#pending.values()) reject(connectionClosed(error));
    this.#events.ended(this, error);
  }

  /** Ends the session after `ms`. */
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
    const { handlers } = this.#events;
    const message = handlers.parse(data);
    if (!message) return;
    if (message.type === "response") this.#pending.get(message.request_id)?.resolve(message.data);
    else if (message.type !== "error") handlers.handle(message);
    // An error without an id ends the connection.
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
  return new ClientError("TOO_LARGE", `The message is over ${MAX_MESSAGE_BYTES} bytes`);
}

/** Serializes a message. @throws {ClientError} NOT_JSON */
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
