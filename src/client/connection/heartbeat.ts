import type { Position } from "../../protocol/index.ts";
import { monotonicNow, type Timer } from "../clock.ts";
import type { ClientError } from "../errors.ts";
import type { ResolvedOptions } from "../options.ts";
import { MAX_TIMER_MS } from "../requests/timeouts.ts";
import type { Credentials } from "./credentials.ts";
import { connectionClosed, type Session } from "./session.ts";

/** A socket that was heard so lately is not asked whether it lives when the tab is looked at. */
const FRESH_MS = 10_000;
/** A token is refreshed so long before it expires, at most. */
const REFRESH_AHEAD_MS = 60_000;

type Positions = { readonly [channel: string]: Position };

export interface HeartbeatEvents {
  /** Where the channels are, as many at a time as a heartbeat takes; nothing: one without positions. */
  positions(): readonly Positions[];
  /** Channels that are elsewhere by now. */
  observeHeads(heads: Positions): void;
  /** A heartbeat is over. */
  heartbeatDone(): void;
}

/** Keeps the current session alive, and finds out when it is not: heartbeats, and the refresh of its token. */
export class Heartbeat {
  readonly #settings: ResolvedOptions;
  readonly #credentials: Credentials;
  #session: Session | undefined;
  #events!: HeartbeatEvents;
  /** Of the next heartbeat; `undefined`: one is under way. */
  #beat: Timer | undefined;
  #refresh: Timer | undefined;

  constructor(settings: ResolvedOptions, credentials: Credentials) {
    this.#settings = settings;
    this.#credentials = credentials;
  }

  start(session: Session, events: HeartbeatEvents): void {
    this.stop();
    this.#session = session;
    this.#events = events;
    this.#beatLater(session);
    this.#refreshLater(session);
  }

  stop(): void {
    this.#session = undefined;
    this.#beat?.cancel();
    this.#refresh?.cancel();
  }

  /** Something makes doubtful that the socket lives: asks now. */
  checkLiveness(): void {
    const session = this.#session;
    if (!session || !this.#beat || session.silentFor() < FRESH_MS) return;
    this.#beat.cancel();
    void this.#heartbeat(session);
  }

  #beatLater(session: Session): void {
    const { clock, heartbeatMs, random } = this.#settings;
    this.#beat = clock.setTimeout(() => void this.#heartbeat(session), heartbeatMs * (1 - random() / 10));
  }

  async #heartbeat(session: Session): Promise<void> {
    this.#beat = undefined;
    const frames = this.#events.positions();
    await Promise.all((frames[0] ? frames : [undefined]).map((positions) => this.#ask(session, positions)));
    if (this.#session !== session) return;
    this.#beatLater(session);
    this.#events.heartbeatDone();
  }

  async #ask(session: Session, positions: Positions | undefined): Promise<void> {
    const { heartbeatTimeoutMs: timeoutMs } = this.#settings;
    try {
      const { heads } = await session.request("heartbeat", { positions }, { timeoutMs });
      this.#events.observeHeads(heads);
    } catch (error) {
      // Any answer, an error as well, is a sign of life.
      if ((error as ClientError).code === "TIMEOUT") session.end(connectionClosed(error));
    }
  }

  /** Before the token expires; when that fails again before it does, while there is time left. */
  #refreshLater(session: Session): void {
    const { clock, getToken } = this.#settings;
    if (this.#session !== session) return;
    const left = this.#credentials.expiresAt - monotonicNow(clock);
    const ms = left - Math.min(REFRESH_AHEAD_MS, left / 10);
    // Under a second it was tried often enough: the server will say that the token has expired. NaN: it never does.
    if (!(ms >= 1_000 && ms <= MAX_TIMER_MS && getToken)) return;
    this.#refresh = clock.setTimeout(() => void this.#renew(session), ms);
  }

  async #renew(session: Session): Promise<void> {
    const before = this.#credentials.expiresAt;
    try {
      const token = await this.#credentials.token(session.signal);
      if (this.#session !== session) return;
      if (token !== undefined) await session.request("refresh", { token });
    } catch {
      // The old token still holds.
      if (this.#session === session) this.#credentials.expiresAt = before;
    }
    this.#refreshLater(session);
  }
}
