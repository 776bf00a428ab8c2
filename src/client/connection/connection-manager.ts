import type { ClientState } from "../channels/state.ts";
import type { Timer } from "../clock.ts";
import { Emitter } from "../emitter.ts";
import { ClientError } from "../errors.ts";
import type { ResolvedOptions } from "../options.ts";
import { abortable } from "../requests/timeouts.ts";
import { backoffDelay } from "./backoff.ts";
import { Credentials } from "./credentials.ts";
import { Heartbeat, type HeartbeatEvents } from "./heartbeat.ts";
import { connectFailed, connectionClosed, Session, type SessionEvents } from "./session.ts";
import { onWake } from "./wake.ts";

/** A connection that lasted so long counts as a success: the next failure is the first again. */
const STABLE_MS = 10_000;
/** The application is told once it has failed so often in a row. */
const TELL_AFTER = 5;
/** How long the old socket stays when a new one has taken over: what is under way on it arrives. */
const LINGER_MS = 5_000;
/** Before a rotation that failed is tried again. */
const ROTATE_AGAIN_MS = 30_000;

export interface ConnectionEvents extends HeartbeatEvents {
  message: SessionEvents["message"];
  /** Subscribes on a session. @returns whether everything is there */
  attach(session: Session): Promise<boolean>;
  detach(session: Session): void;
}

/**
 * Keeps one session up. Connecting, coming back and rotating are the same: another session is opened, it takes over,
 * and the one before it, if there still is one, goes after a while.
 */
export class ConnectionManager {
  /** Whom it tells: set before `connect`. */
  events!: ConnectionEvents;
  readonly states = new Emitter<ClientState>();
  readonly #settings: ResolvedOptions;
  readonly #error: (error: ClientError) => void;
  readonly #credentials: Credentials;
  readonly #keeper: Heartbeat;
  /** All that are open, or opening. */
  readonly #sessions = new Set<Session>();
  #state: ClientState = { status: "idle" };
  #current: Session | undefined;
  /** The one that is to take over; `"asking"`: its token is asked for. */
  #next: Session | "asking" | undefined;
  #failures = 0;
  /** Of the next try, or of the next rotation. */
  #timer: Timer | undefined;
  /** Aborted by the end of what `connect` began. */
  #life = new AbortController();

  /** @param error told that it keeps failing */
  constructor(settings: ResolvedOptions, error: (error: ClientError) => void) {
    this.#settings = settings;
    this.#error = error;
    this.#credentials = new Credentials(settings);
    this.#keeper = new Heartbeat(settings, this.#credentials);
  }

  get state(): ClientState {
    return this.#state;
  }

  /** The session to ask on. */
  get session(): Session | undefined {
    return this.#current;
  }

  connect(): void {
    if (this.#state.status !== "idle" && this.#state.status !== "closed") return;
    this.#failures = 0;
    this.#life = new AbortController();
    onWake(this.#life.signal, () => this.#wake());
    this.#become({ status: "connecting" });
    void this.#open();
  }

  disconnect(): void {
    if (this.#state.status === "idle") return;
    this.#stop();
    this.#become({ status: "idle" });
  }

  /**
   * The session, as soon as there is one. Rejects with the error that has ended the connection for good.
   * @param waitWhileIdle whether to wait for `connect` as well, or else to reject with CONNECTION_CLOSED
   */
  whenConnected(signal: AbortSignal, waitWhileIdle = false): Promise<Session> {
    return abortable(signal, (resolve, reject) => {
      const look = () => {
        if (this.#current) resolve(this.#current);
        else if (this.#state.status === "closed") reject(this.#state.error);
        else if (this.#state.status === "idle" && !waitWhileIdle) reject(connectionClosed());
      };
      look();
      return this.states.on(look);
    });
  }

  /** Something was not answered: finds out whether the socket lives. */
  checkLiveness(): void {
    this.#keeper.checkLiveness();
  }

  #stop(): void {
    this.#life.abort();
    this.#timer?.cancel();
    this.#keeper.stop();
    this.#current = this.#next = undefined;
    const sessions = [...this.#sessions];
    this.#sessions.clear();
    for (const session of sessions) {
      this.events.detach(session);
      session.end();
    }
  }

  async #open(): Promise<void> {
    const { signal } = this.#life;
    this.#next = "asking";
    try {
      const url = await this.#credentials.url(signal);
      if (signal.aborted) return;
      this.#next = new Session(new this.#settings.WebSocket(url), this.#settings, {
        opened: (session) => void this.#opened(session),
        message: (message) => this.events.message(message),
        ended: (session, error) => this.#ended(session, error),
      });
      this.#sessions.add(this.#next);
    } catch (error) {
      if (signal.aborted) return;
      this.#next = undefined;
      // Else the WebSocket's constructor has thrown.
      this.#failed(error instanceof ClientError ? error : connectFailed(error));
    }
  }

  async #opened(session: Session): Promise<void> {
    // Without another one it takes over at once; else it has to be where the other one is first.
    if (!this.#current) this.#take(session);
    // Who was told of it may have disconnected.
    if (session.ended) return;
    const complete = await this.events.attach(session);
    if (session.ended || this.#current === session) return;
    if (complete) this.#take(session);
    else session.end();
  }

  #take(session: Session): void {
    const old = this.#current;
    this.#current = session;
    this.#next = undefined;
    if (old) {
      this.events.detach(old);
      old.endAfter(LINGER_MS);
    }
    this.#keeper.start(session, this.events);
    const { maxConnectionMs } = this.#settings;
    this.#openIn(maxConnectionMs * (1 - this.#settings.random() / 10));
    if (this.#state.status !== "connected") this.#become({ status: "connected" });
  }

  #openIn(ms: number): void {
    this.#timer?.cancel();
    this.#timer = this.#settings.clock.setTimeout(() => void this.#open(), ms);
  }

  #ended(session: Session, error: ClientError): void {
    // Not one of these: the client itself has stopped.
    if (!this.#sessions.delete(session)) return;
    this.events.detach(session);
    if (session === this.#next) this.#next = undefined;
    else if (session !== this.#current && error.retry) return;
    if (session === this.#current) {
      this.#current = undefined;
      this.#keeper.stop();
      this.#timer?.cancel();
      if (session.openFor!() >= STABLE_MS) this.#failures = 0;
    }
    this.#failed(error);
  }

  /** A session has ended, or did not open: what next? */
  #failed(error: ClientError): void {
    const { getToken, getTicket } = this.#settings;
    if (!error.retry || (error.code === "TOKEN_EXPIRED" && !getToken && !getTicket)) {
      this.#stop();
      this.#become({ status: "closed", error });
    } else if (this.#current) {
      this.#openIn(ROTATE_AGAIN_MS);
    } else {
      this.#comeBack(error);
    }
  }

  #comeBack(error: ClientError): void {
    this.#failures++;
    const now = this.#settings.clock.now();
    // A rotation was under way: it brings the next session.
    const ms = this.#next ? 0 : backoffDelay(this.#settings, this.#failures);
    this.#become({ status: "reconnecting", attempt: this.#failures, at: now + ms, error });
    if (this.#failures === TELL_AFTER) this.#error(error);
    // Who was told may have disconnected.
    if (this.#state.status !== "reconnecting") return;
    if (!this.#next) this.#openIn(ms);
    // What a rotation has brought does not wait for its subscriptions when the socket before it is gone.
    else if (this.#next !== "asking" && this.#next.openFor) this.#take(this.#next);
  }

  #wake(): void {
    if (this.#current) {
      this.#keeper.checkLiveness();
    } else if (this.#state.status === "reconnecting" && !this.#next) {
      this.#timer?.cancel();
      void this.#open();
    }
  }

  #become(state: ClientState): void {
    this.#state = state;
    this.states.emit(state);
  }
}
