import type { Socket } from "node:net";
import { WebSocket } from "ws";
import type { Timer } from "../clock.ts";
import type { ConnectionDetails } from "../messages/events.ts";
import type { GatewaySettings } from "../options.ts";
import { Throttle } from "../upgrade/throttle.ts";
import {
  CLOSE_REASONS,
  type CloseReason,
  closeReasonFromError,
  closeReasonFromFrame,
  closeReasonFromStatus,
} from "./close-codes.ts";
import { type Frame, FrameMeter } from "./frames.ts";
import { InboundQueue } from "./inbound-queue.ts";

/** Who is told what happens on a connection. */
export interface ConnectionListener {
  /** @param done to be called when the message is no longer under way */
  onMessage(connection: LiveConnection, text: string, done: () => void): void;
  /** Once, however it ended. Nothing can be sent any more. */
  onClose(connection: LiveConnection, ending: CloseReason): void;
}

/** Bytes that are still read, and dropped, after the end of a connection from this side. */
const MAX_BYTES_AFTER_END = 1024 * 1024;

/** s after which a full count of refused messages is forgotten. */
const REFUSALS_FORGOTTEN_SECONDS = 10;

/** `full`: more than `bufferBytes` wait for this client. */
export type SendOutcome = "sent" | "full" | "closed";

/** The `ws` class with a place for our connection, so that all sockets share one listener per event. */
export class ClientSocket extends WebSocket {
  declare connection: LiveConnection;

  /** `ws` closes with a bare status on faulty bytes. The client is to see the same reason as `$disconnect`. */
  override close(code?: number, reason?: string | Buffer): void {
    const ending = code !== undefined && reason === undefined ? closeReasonFromStatus(code) : undefined;
    if (ending) super.close(ending.code, ending.reason);
    else super.close(code, reason);
  }
}

/** An open connection: the client's socket and what is known of it. */
export class LiveConnection {
  readonly details: ConnectionDetails;
  /** Elapsed ms, by the gateway's clock. */
  activeAt: number;
  readonly #socket: ClientSocket;
  /** The transport below it. Frames are written to it ready-made; `ws` writes its own synchronously, so they never mix. */
  readonly #transport: Socket;
  readonly #listener: ConnectionListener;
  readonly #settings: GatewaySettings;
  readonly #meter: FrameMeter;
  // These three are made with the first message: most connections of a large room only listen.
  #intake: InboundQueue | undefined;
  #rate: Throttle | undefined;
  #refusals: Throttle | undefined;
  /** The client has closed; messages that it had sent before still wait. */
  #closing = false;
  #ended = false;
  #bytesAfterEnd = 0;
  #slow: Timer | undefined;

  constructor(
    socket: ClientSocket,
    transport: Socket,
    origin: ConnectionDetails,
    settings: GatewaySettings,
    listener: ConnectionListener,
  ) {
    this.details = origin;
    this.activeAt = origin.startedAt;
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
    // Before ws reads them: it must not deliver a message whose frame was too long.
    transport.prependListener("data", (chunk: Buffer) => {
      if (this.#ended) this.#readAfterEnd(chunk.length);
      else if (this.#meter.exceeds(chunk)) this.close(CLOSE_REASONS.tooBig);
    });
  }

  get id(): string {
    return this.details.connectionId;
  }

  /** ms since the epoch, by the wall clock as it is now. */
  get lastActiveAt(): number {
    const { clock } = this.#settings;
    return Math.round(clock.now() - (clock.elapsed() - this.activeAt));
  }

  /** @param now elapsed ms, for a caller that sends to many */
  send(frame: Frame, now = this.#settings.clock.elapsed()): SendOutcome {
    if (this.#ended || this.#closing) return "closed";
    const { bufferBytes } = this.#settings.limits;
    if (this.#transport.writableLength >= bufferBytes) return "full";
    // It is below its buffer, so what grace had begun is over.
    this.#slow?.cancel();
    this.activeAt = now;
    this.#transport.write(frame, "latin1");
    if (this.#transport.writableLength >= bufferBytes) this.#slow = this.#watchSlow();
    return "sent";
  }

  /**
   * Ends it from this side, with a close frame. The listener is told at once: a silent peer holds nothing up.
   * @param clientCode the code in the frame, where it is not the one that `$disconnect` is told
   */
  close(ending: CloseReason, clientCode: number = ending.code): void {
    if (this.#ended) return;
    this.#socket.close(clientCode, ending.reason);
    this.#end(ending);
  }

  /** Ends the transport without waiting for the peer. */
  terminate(): void {
    this.#socket.terminate();
  }

  /** Counts a message; `false` when the client sends more than one connection may. */
  takeMessage(): boolean {
    const { clock, limits } = this.#settings;
    const { connectionMessagesPerSecond: rate } = limits;
    this.#rate ??= new Throttle(rate, rate, clock);
    return this.#rate.take();
  }

  /** Counts a refused message. A client that goes on being refused is closed. */
  countRefusal(): void {
    const { clock, limits } = this.#settings;
    const { refusedMessages: burst } = limits;
    this.#refusals ??= new Throttle(burst / REFUSALS_FORGOTTEN_SECONDS, burst, clock);
    if (!this.#refusals.take()) this.close(CLOSE_REASONS.tooManyRefusals);
  }

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
    this.#intake ??= new InboundQueue(this.#settings.limits, this.#socket, (text, done) =>
      this.#listener.onMessage(this, text, done),
    );
    this.#intake.push(data.toString());
  }

  handleClose(code: number, reason: Buffer): void {
    this.#endAfterMessages(closeReasonFromFrame(code, reason));
  }

  handleError(error: Error): void {
    this.#endAfterMessages(closeReasonFromError(error));
  }

  /** A client may finish its message and its close frame. If it goes on sending, `ws` cuts it off unread. */
  #readAfterEnd(bytes: number): void {
    this.#bytesAfterEnd += bytes;
    if (this.#bytesAfterEnd > MAX_BYTES_AFTER_END) this.#socket.pause();
  }

  #endAfterMessages(ending: CloseReason): void {
    if (this.#ended || this.#closing) return;
    this.#closing = true;
    if (this.#intake === undefined) this.#end(ending);
    else this.#intake.whenEmpty(() => this.#end(ending));
  }

  #end(ending: CloseReason): void {
    this.#ended = true;
    this.#intake?.clear();
    this.#slow?.cancel();
    this.#listener.onClose(this, ending);
  }

  /** A client that stays over its buffer for the grace time is cut off, so that it costs bounded memory. */
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
  // Of the three types that ws can hand over, nodebuffer is the default and the only one here.
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
