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
import { abortable, type RequestOptions, withTimeout } from "../requests/timeouts.ts";
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

/** A message to the server. */
export interface ClientMessage {
  readonly id: string;
  readonly action: string;
  readonly [field: string]: unknown;
}

export interface SessionEvents {
  opened(session: Session): void;
  /** The messages that the server sends without a request. */
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
  #chunked = 0;
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
   * @throws {ClientError} the server's codes, TIMEOUT, ABORTED, CONNECTION_CLOSED, TOO_LARGE, NOT_JSON
   */
  request<A extends Action>(
    action: A,
    payload: Payload<A>,
    { timeoutMs = this.#settings.requestTimeoutMs, signal }: RequestOptions = {},
  ): Promise<Results[A]> {
    // The application chooses the ids of its own requests, so these must differ from them.
    const id = `~${++this.#requests}`;
    return this.exchange({ id, action, payload }, (send) =>
      // Trusts the server for the shape of the response, which the action determines.
      withTimeout(this.#settings.clock, { signal, timeoutMs }, (ending) =>
        abortable(ending, (resolve, reject) => {
          send();
          this.#pending.set(id, { resolve: resolve as Pending["resolve"], reject });
          return () => this.#pending.delete(id);
        }),
      ),
    );
  }

  /**
   * Sends a message, in chunks if it is large.
   * @param run sends it by calling `send`, and settles with its answer
   * @throws {ClientError} TOO_LARGE, NOT_JSON, CONNECTION_CLOSED; or the error of `run`
   */
  async exchange<T>(message: ClientMessage, run: (send: () => void) => Promise<T>): Promise<T> {
    const text = serialize(message);
    const bytes = utf8Length(text);
    if (bytes > MAX_MESSAGE_BYTES) throw tooLarge();
    const isLarge = bytes > MAX_CLIENT_FRAME_BYTES;
    const frames = isLarge ? splitIntoChunks(message.id, ++this.#chunked, text) : [text];
    const send = () => {
      if (this.ended) throw connectionClosed();
      for (const frame of frames) this.#socket.send(frame);
    };
    if (!isLarge) return run(send);
    // The server takes one message in chunks at a time from a connection.
    const answer = this.#chunkedRequest.then(() => run(send));
    this.#chunkedRequest = answer.catch(() => {});
    return answer;
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
    const { request_id: id } = message as { readonly request_id?: string };
    const pending = this.#pending.get(id!);
    if (message.type === "error" && (pending || id === undefined)) {
      const error = toClientError(message.error);
      // An error without an id ends the connection.
      if (pending) pending.reject(error);
      else this.end(error);
    } else if (!pending) handlers.handle(message);
    else if (message.type === "response" && message.data instanceof Object) pending.resolve(message.data);
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

/** Returns an id that no other client uses. */
export function randomId(): string {
  // Pages served over plain HTTP have no `randomUUID`.
  return crypto.getRandomValues(new Uint32Array(4)).join("-");
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
