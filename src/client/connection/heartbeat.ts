import type { Position } from "../../protocol/index.ts";
import { monotonicNow, type Timer } from "../clock.ts";
import type { ClientError } from "../errors.ts";
import type { ResolvedOptions } from "../options.ts";
import { MAX_TIMER_MS } from "../requests/timeouts.ts";
import type { Credentials } from "./credentials.ts";
import { connectionClosed, type Session } from "./session.ts";

/** A socket that received a frame this recently is not checked when the tab becomes visible. */
const FRESH_MS = 10_000;
/** Refreshes a token this long before it expires, at most. */
const REFRESH_AHEAD_MS = 60_000;

type Positions = { readonly [channel: string]: Position };

export interface HeartbeatEvents {
  /** The positions of the channels, in groups that fit into a heartbeat each. */
  positions(): readonly Positions[];
  /** Called with the positions of channels that have newer messages. */
  observeHeads(heads: Positions): void;
  /** Called after each heartbeat. */
  onHeartbeat(): void;
}

/** Keeps the current session open with heartbeats, closes a dead one, and refreshes its token. */
export class Heartbeat {
  readonly #settings: ResolvedOptions;
  readonly #credentials: Credentials;
  #session: Session | undefined;
  #events!: HeartbeatEvents;
  /** Fires for the next heartbeat; `undefined` during one. */
  #timer: Timer | undefined;
  #refresh: Timer | undefined;

  constructor(settings: ResolvedOptions, credentials: Credentials) {
    this.#settings = settings;
    this.#credentials = credentials;
  }

  start(session: Session, events: HeartbeatEvents): void {
    this.stop();
    this.#session = session;
    this.#events = events;
    this.#scheduleHeartbeat(session);
    this.#scheduleRefresh(session);
  }

  stop(): void {
    this.#session = undefined;
    this.#timer?.cancel();
    this.#refresh?.cancel();
  }

  /** Sends a heartbeat now, unless the socket received a frame lately. */
  probe(): void {
    const session = this.#session;
    if (!session || !this.#timer || session.silentFor() < FRESH_MS) return;
    this.#timer.cancel();
    void this.#heartbeat(session);
  }

  #scheduleHeartbeat(session: Session): void {
    const { clock, heartbeatMs, random } = this.#settings;
    this.#timer = clock.setTimeout(() => void this.#heartbeat(session), heartbeatMs * (1 - random() / 10));
  }

  async #heartbeat(session: Session): Promise<void> {
    this.#timer = undefined;
    const frames = this.#events.positions();
    await Promise.all((frames[0] ? frames : [undefined]).map((positions) => this.#send(session, positions)));
    if (this.#session !== session) return;
    this.#scheduleHeartbeat(session);
    this.#events.onHeartbeat();
  }

  async #send(session: Session, positions: Positions | undefined): Promise<void> {
    const { heartbeatTimeoutMs: timeoutMs } = this.#settings;
    try {
      const { heads } = await session.request("heartbeat", { positions }, { timeoutMs });
      this.#events.observeHeads(heads);
    } catch (error) {
      // Any response, even an error, shows that the socket works.
      if ((error as ClientError).code === "TIMEOUT") session.end(connectionClosed(error));
    }
  }

  /** Schedules a refresh before the token expires. After a failure it tries again while there is time. */
  #scheduleRefresh(session: Session): void {
    const { clock, getToken } = this.#settings;
    if (this.#session !== session) return;
    const remaining = this.#credentials.expiresAt - monotonicNow(clock);
    const ms = remaining - Math.min(REFRESH_AHEAD_MS, remaining / 10);
    // Stops trying in the last second: the server then reports TOKEN_EXPIRED. NaN: the token never expires.
    if (!(ms >= 1_000 && ms <= MAX_TIMER_MS && getToken)) return;
    this.#refresh = clock.setTimeout(() => void this.#refreshToken(session), ms);
  }

  async #refreshToken(session: Session): Promise<void> {
    const before = this.#credentials.expiresAt;
    try {
      const token = await this.#credentials.token(session.signal);
      if (this.#session !== session) return;
      if (token !== undefined) await session.request("refresh", { token });
    } catch {
      // The old token is still valid.
      if (this.#session === session) this.#credentials.expiresAt = before;
    }
    this.#scheduleRefresh(session);
  }
}
