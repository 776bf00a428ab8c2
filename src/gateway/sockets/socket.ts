import type { Socket } from "node:net";
import { WebSocket } from "ws";
import type { Timer } from "../clock.ts";
import type { ConnectionDetails } from "../connection-details.ts";
import type { GatewaySettings } from "../options.ts";
import { Throttle } from "../throttle.ts";
import {
  CLOSE_REASONS,
  type CloseReason,
  closeReasonFromError,
  closeReasonFromFrame,
  closeReasonFromStatus,
} from "./close-codes.ts";
import { type Frame, FrameMeter } from "./frames.ts";
import { InboundQueue } from "./inbound-queue.ts";

/** Receives the events of a connection. */
export interface ConnectionListener {
  /** @param done call it when the message has been handled */
  onMessage(connection: LiveConnection, text: string, done: () => void): void;
  /** Called once, for every kind of close. Nothing can be sent afterwards. */
  onClose(connection: LiveConnection, closeReason: CloseReason): void;
}

/** Maximum bytes that are read and dropped after this side has closed the connection. */
const MAX_BYTES_AFTER_END = 1024 * 1024;

/** Seconds until a full count of refused messages is back at zero. */
const REFUSALS_FORGOTTEN_SECONDS = 10;

/** `full`: at least `bufferBytes` are buffered for this client. */
export type SendOutcome = "sent" | "full" | "closed";

/** A `ws` socket with a reference to its connection, so that all sockets share one listener per event. */
export class ClientSocket extends WebSocket {
  declare connection: LiveConnection;

  /** Adds a reason when `ws` closes because of invalid bytes, so that the client gets the same one as `$disconnect`. */
  override close(code?: number, reason?: string | Buffer): void {
    const closeReason = code !== undefined && reason === undefined ? closeReasonFromStatus(code) : undefined;
    if (closeReason) super.close(closeReason.code, closeReason.reason);
    else super.close(code, reason);
  }
}

/** An open connection: the client's socket, its details and its limits. */
export class LiveConnection {
  readonly details: ConnectionDetails;
  /** Time of the last message in either direction, in elapsed ms. */
  activeAt: number;
  readonly #socket: ClientSocket;
  /** The TCP or TLS socket. Encoded frames are written to it; `ws` writes its own synchronously, so they never mix. */
  readonly #transport: Socket;
  readonly #listener: ConnectionListener;
  readonly #settings: GatewaySettings;
  readonly #meter: FrameMeter;
  // Created with the first message, because most connections of a large room only receive.
  #inbound: InboundQueue | undefined;
  #rate: Throttle | undefined;
  #refusals: Throttle | undefined;
  /** The client has closed, but messages that it sent before still wait. */
  #closing = false;
  #ended = false;
  #bytesAfterEnd = 0;
  #slow: Timer | undefined;

  constructor(
    socket: ClientSocket,
    transport: Socket,
    details: ConnectionDetails,
    settings: GatewaySettings,
    listener: ConnectionListener,
  ) {
    this.details = details;
    this.activeAt = details.startedAt;
    this.#socket = socket;
    this.#transport = transport;
    this.#settings = settings;
    this.#listener = listener;
    this.#meter = new FrameMeter(settings.limits.frameBytes);
    socket.connection = this;
    socket.on("message", onMessage);
    socket.on("close", onClose);
    socket.on("error", onError);
    if (settings.pingResetsIdle) socket.on("ping", onPing);
    // Measure before `ws` reads, because it must not deliver a message with a frame that is too long.
    transport.prependListener("data", (chunk: Buffer) => {
      if (this.#ended) this.#readAfterEnd(chunk.length);
      else if (this.#meter.exceeds(chunk)) this.close(CLOSE_REASONS.tooBig);
    });
  }

  get id(): string {
    return this.details.connectionId;
  }

  /** Time of the last message in ms since the epoch, by the current wall clock. */
  get lastActiveAt(): number {
    const { clock } = this.#settings;
    return Math.round(clock.now() - (clock.elapsed() - this.activeAt));
  }

  /** @param now elapsed ms; pass it when sending to many connections */
  send(frame: Frame, now = this.#settings.clock.elapsed()): SendOutcome {
    if (this.#ended || this.#closing) return "closed";
    const { bufferBytes } = this.#settings.limits;
    if (this.#transport.writableLength >= bufferBytes) return "full";
    // The buffer has drained, so the grace period ends.
    this.#slow?.cancel();
    this.activeAt = now;
    this.#transport.write(frame, "latin1");
    if (this.#transport.writableLength >= bufferBytes) this.#slow = this.#watchSlow();
    return "sent";
  }

  /**
   * Closes the connection with a close frame. The listener is called at once, without waiting for the peer.
   * @param clientCode the code in the frame, when it differs from the one in the `$disconnect` event
   */
  close(closeReason: CloseReason, clientCode: number = closeReason.code): void {
    if (this.#ended) return;
    this.#socket.close(clientCode, closeReason.reason);
    this.#end(closeReason);
  }

  /** Destroys the transport without waiting for the peer. */
  terminate(): void {
    this.#socket.terminate();
  }

  /** Counts a message. Returns false when the connection is over its message rate. */
  takeMessage(): boolean {
    const { clock, limits } = this.#settings;
    const { connectionMessagesPerSecond: rate } = limits;
    this.#rate ??= new Throttle(rate, rate, clock);
    return this.#rate.take();
  }

  /** Counts a refused message. Closes the connection after too many. */
  countRefusal(): void {
    const { clock, limits } = this.#settings;
    const { refusedMessages: burst } = limits;
    this.#refusals ??= new Throttle(burst / REFUSALS_FORGOTTEN_SECONDS, burst, clock);
    if (!this.#refusals.take()) this.close(CLOSE_REASONS.tooManyRefusals);
  }

  /** Resets the idle timeout. */
  touch(): void {
    this.activeAt = this.#settings.clock.elapsed();
  }

  handleMessage(data: Buffer, isBinary: boolean): void {
    if (this.#ended) return;
    if (isBinary) {
      this.close(CLOSE_REASONS.binaryMessage);
      return;
    }
    this.touch();
    this.#inbound ??= new InboundQueue(this.#settings.limits, this.#socket, (text, done) =>
      this.#listener.onMessage(this, text, done),
    );
    this.#inbound.push(data.toString());
  }

  handleClose(code: number, reason: Buffer): void {
    this.#endAfterMessages(closeReasonFromFrame(code, reason));
  }

  handleError(error: Error): void {
    this.#endAfterMessages(closeReasonFromError(error));
  }

  /** Lets a client finish its message and its close frame. Stops reading when it sends more; `ws` then destroys it. */
  #readAfterEnd(bytes: number): void {
    this.#bytesAfterEnd += bytes;
    if (this.#bytesAfterEnd > MAX_BYTES_AFTER_END) this.#socket.pause();
  }

  #endAfterMessages(closeReason: CloseReason): void {
    if (this.#ended || this.#closing) return;
    this.#closing = true;
    if (this.#inbound === undefined) this.#end(closeReason);
    else this.#inbound.whenEmpty(() => this.#end(closeReason));
  }

  #end(closeReason: CloseReason): void {
    this.#ended = true;
    this.#inbound?.clear();
    this.#slow?.cancel();
    this.#listener.onClose(this, closeReason);
  }

  /** Disconnects a client that stays over its buffer for the grace period, so that its memory stays bounded. */
  #watchSlow(): Timer {
    const { clock, limits } = this.#settings;
    return clock.setTimeout(() => {
      if (this.#transport.writableLength < limits.bufferBytes) return;
      this.close(CLOSE_REASONS.tooSlow);
      this.terminate();
    }, limits.slowClientMs);
  }
}

function onMessage(this: WebSocket, data: unknown, isBinary: boolean): void {
  // `ws` passes a Buffer, because `binaryType` has its default, nodebuffer.
  (this as ClientSocket).connection.handleMessage(data as Buffer, isBinary);
}

function onClose(this: WebSocket, code: number, reason: Buffer): void {
  (this as ClientSocket).connection.handleClose(code, reason);
}

function onError(this: WebSocket, error: Error): void {
  (this as ClientSocket).connection.handleError(error);
}

function onPing(this: WebSocket): void {
  (this as ClientSocket).connection.touch();
}
