import type { Timer } from "../clock.ts";
import { Emitter } from "../emitter.ts";
import { ClientError } from "../errors.ts";
import type { ResolvedOptions } from "../options.ts";
import { MessageHandlers } from "../requests/message-handlers.ts";
import { abortable } from "../requests/timeouts.ts";
import { backoffDelay } from "./backoff.ts";
import type { ClientState } from "./client-state.ts";
import { Credentials } from "./credentials.ts";
import { Heartbeat, type HeartbeatEvents } from "./heartbeat.ts";
import { connectFailed, connectionClosed, Session } from "./session.ts";
import { onWake } from "./wake.ts";

/** A connection that lasted this long resets the count of failures. */
const STABLE_MS = 10_000;
/** After this many failures in a row the application gets an error. */
const REPORT_AFTER_FAILURES = 5;
/** How long a replaced socket stays open, so that frames on their way still arrive. */
const LINGER_MS = 5_000;
/** Delay before a failed replacement is retried. */
const REPLACE_RETRY_MS = 30_000;

export interface ConnectionEvents extends HeartbeatEvents {
  /** Subscribes on a session. @returns whether it has every subscription */
  attach(session: Session): Promise<boolean>;
  detach(session: Session): void;
}

/**
 * Keeps one session connected. Connecting, reconnecting and replacing a session before its lifetime ends work the same
 * way: open a session, promote it, and close the previous one after a while.
 */
export class ConnectionManager {
  /** Set before `connect`. */
  events!: ConnectionEvents;
  state: ClientState = { status: "idle" };
  readonly states = new Emitter<ClientState>();
  readonly handlers = new MessageHandlers();
  readonly #settings: ResolvedOptions;
  readonly #reportError: (error: ClientError) => void;
  readonly #credentials: Credentials;
  readonly #heartbeat: Heartbeat;
  /** Every session that is open or opening. */
  readonly #sessions = new Set<Session>();
  #current: Session | undefined;
  /** The session to promote next; `"asking"` while it waits for its credentials. */
  #next: Session | "asking" | undefined;
  #failures = 0;
  /** Fires for the next attempt, or to replace the session. */
  #timer: Timer | undefined;
  /** Aborted when the client disconnects. */
  #lifetime = new AbortController();

  /** @param reportError called when connecting keeps failing */
  constructor(settings: ResolvedOptions, reportError: (error: ClientError) => void) {
    this.#settings = settings;
    this.#reportError = reportError;
    this.#credentials = new Credentials(settings);
    this.#heartbeat = new Heartbeat(settings, this.#credentials);
  }

  /** The session that takes requests. */
  get session(): Session | undefined {
    return this.#current;
  }

  connect(): void {
    if (this.state.status !== "idle" && this.state.status !== "closed") return;
    this.#failures = 0;
    this.#lifetime = new AbortController();
    onWake(this.#lifetime.signal, () => this.#wake());
    this.#setState({ status: "connecting" });
    void this.#open();
  }

  disconnect(): void {
    if (this.state.status === "idle") return;
    this.#stop();
    this.#setState({ status: "idle" });
  }

  /**
   * Resolves with the session, once connected. Rejects with the error of a closed client.
   * @param whileIdle whether to wait for `connect`; otherwise an idle client rejects with CONNECTION_CLOSED
   */
  whenConnected(signal: AbortSignal, whileIdle = false): Promise<Session> {
    return abortable(signal, (resolve, reject) => {
      const settle = () => {
        if (this.#current) resolve(this.#current);
        else if (this.state.status === "closed") reject(this.state.error);
        else if (this.state.status === "idle" && !whileIdle) reject(connectionClosed());
      };
      settle();
      return this.states.on(settle);
    });
  }

  /** Checks whether the socket still works, after a request without a response. */
  probe(): void {
    this.#heartbeat.probe();
  }

  #stop(): void {
    this.#lifetime.abort();
    this.#timer?.cancel();
    this.#heartbeat.stop();
    this.#current = this.#next = undefined;
    const sessions = [...this.#sessions];
    this.#sessions.clear();
    for (const session of sessions) {
      this.events.detach(session);
      session.end();
    }
  }

  async #open(): Promise<void> {
    const { signal } = this.#lifetime;
    this.#next = "asking";
    try {
      const url = await this.#credentials.url(signal);
      if (signal.aborted) return;
      this.#next = new Session(new this.#settings.WebSocket(url), this.#settings, {
        opened: (session) => void this.#opened(session),
        handlers: this.handlers,
        ended: (session, error) => this.#ended(session, error),
      });
      this.#sessions.add(this.#next);
    } catch (error) {
      if (signal.aborted) return;
      this.#next = undefined;
      // Any other error comes from the WebSocket's constructor.
      this.#failed(error instanceof ClientError ? error : connectFailed(error));
    }
  }

  async #opened(session: Session): Promise<void> {
    // Replaces a working session only when it has the same subscriptions.
    if (!this.#current) this.#promote(session);
    // A listener may have disconnected.
    if (session.ended) return;
    const complete = await this.events.attach(session);
    if (session.ended || this.#current === session) return;
    if (complete) this.#promote(session);
    else session.end();
  }

  #promote(session: Session): void {
    const old = this.#current;
    this.#current = session;
    this.#next = undefined;
    if (old) {
      this.events.detach(old);
      old.endAfter(LINGER_MS);
    }
    this.#heartbeat.start(session, this.events);
    const { maxConnectionMs } = this.#settings;
    this.#openLater(maxConnectionMs * (1 - this.#settings.random() / 10));
    if (this.state.status !== "connected") this.#setState({ status: "connected" });
  }

  #openLater(ms: number): void {
    this.#timer?.cancel();
    this.#timer = this.#settings.clock.setTimeout(() => void this.#open(), ms);
  }

  #ended(session: Session, error: ClientError): void {
    // `#stop` has removed the session already.
    if (!this.#sessions.delete(session)) return;
    this.events.detach(session);
    if (session === this.#next) this.#next = undefined;
    else if (session !== this.#current && error.retry) return;
    if (session === this.#current) {
      this.#current = undefined;
      this.#heartbeat.stop();
      this.#timer?.cancel();
      if (session.openFor!() >= STABLE_MS) this.#failures = 0;
    }
    this.#failed(error);
  }

  /** Decides what to do after a session ended or failed to open. */
  #failed(error: ClientError): void {
    const { getToken, getTicket } = this.#settings;
    if (!error.retry || (error.code === "TOKEN_EXPIRED" && !getToken && !getTicket)) {
      this.#stop();
      this.#setState({ status: "closed", error });
    } else if (this.#current) {
      this.#openLater(REPLACE_RETRY_MS);
    } else {
      this.#reconnect(error);
    }
  }

  #reconnect(error: ClientError): void {
    this.#failures++;
    const now = this.#settings.clock.now();
    // The next session is opening already.
    const ms = this.#next ? 0 : backoffDelay(this.#settings, this.#failures);
    this.#setState({ status: "reconnecting", attempt: this.#failures, at: now + ms, error });
    if (this.#failures === REPORT_AFTER_FAILURES) this.#reportError(error);
    // A listener may have disconnected.
    if (this.state.status !== "reconnecting") return;
    if (!this.#next) this.#openLater(ms);
    // An open session need not wait for its subscriptions once the previous one is gone.
    else if (this.#next !== "asking" && this.#next.openFor) this.#promote(this.#next);
  }

  #wake(): void {
    if (this.#current) {
      this.#heartbeat.probe();
    } else if (this.state.status === "reconnecting" && !this.#next) {
      this.#timer?.cancel();
      void this.#open();
    }
  }

  #setState(state: ClientState): void {
    this.state = state;
    this.states.emit(state);
  }
}
