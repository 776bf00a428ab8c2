import type { SteadyClock, Timer } from "../clock.ts";
import type { GatewayLimits } from "../options.ts";
import { CLOSE_REASONS } from "./close-codes.ts";
import type { LiveConnection } from "./socket.ts";

/**
 * Two sweeps are at least this many ms apart, or a tenth of the shorter timeout if that is less. A sweep looks at every
 * connection, so one per deadline would be too many.
 */
const MAX_SWEEP_GAP_MS = 1000;

/** The open connections by id. Closes those that are idle or have reached their lifetime limit. */
export class ConnectionRegistry {
  readonly #connections = new Map<string, LiveConnection>();
  readonly #clock: SteadyClock;
  readonly #idleMs: number;
  readonly #lifetimeMs: number;
  #sweep: Timer | undefined;
  #sweepAt = Number.POSITIVE_INFINITY;

  constructor(clock: SteadyClock, { idleMs, lifetimeMs }: GatewayLimits) {
    this.#clock = clock;
    this.#idleMs = idleMs;
    this.#lifetimeMs = lifetimeMs;
  }

  get size(): number {
    return this.#connections.size;
  }

  get(id: string): LiveConnection | undefined {
    return this.#connections.get(id);
  }

  values(): Iterable<LiveConnection> {
    return this.#connections.values();
  }

  add(connection: LiveConnection): void {
    this.#connections.set(connection.id, connection);
    this.#schedule(this.#deadline(connection));
  }

  delete(connection: LiveConnection): void {
    this.#connections.delete(connection.id);
    if (this.#connections.size === 0) this.stop();
  }

  /** Cancels the next sweep. Open connections stay open. A connection that is added later starts the sweeps again. */
  stop(): void {
    this.#sweep?.cancel();
    this.#sweep = undefined;
    this.#sweepAt = Number.POSITIVE_INFINITY;
  }

  #deadline(connection: LiveConnection): number {
    return Math.min(connection.activeAt + this.#idleMs, connection.details.startedAt + this.#lifetimeMs);
  }

  #schedule(at: number): void {
    if (at >= this.#sweepAt || at === Number.POSITIVE_INFINITY) return;
    this.#sweep?.cancel();
    this.#sweepAt = at;
    this.#sweep = this.#clock.setTimeout(() => this.#closeExpired(), at - this.#clock.elapsed());
  }

  #closeExpired(): void {
    this.stop();
    const now = this.#clock.elapsed();
    let next = Number.POSITIVE_INFINITY;
    for (const connection of this.#connections.values()) {
      const deadline = this.#deadline(connection);
      if (deadline <= now) connection.close(CLOSE_REASONS.goingAway);
      else next = Math.min(next, deadline);
    }
    const gap = Math.min(MAX_SWEEP_GAP_MS, this.#idleMs / 10, this.#lifetimeMs / 10);
    this.#schedule(Math.max(next, now + gap));
  }
}
