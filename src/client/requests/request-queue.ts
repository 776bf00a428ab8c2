import type { Action, Results } from "../../protocol/index.ts";
import { backoffDelay } from "../connection/backoff.ts";
import type { ConnectionManager } from "../connection/connection-manager.ts";
import type { Payload, Session } from "../connection/session.ts";
import type { ClientError } from "../errors.ts";
import type { ResolvedOptions } from "../options.ts";
import { delay, type RequestOptions, withTimeout } from "./timeouts.ts";

/** Options of `retry`. */
export interface RetryOptions {
  readonly signal: AbortSignal;
  /** Whether to wait for `connect` while the client is idle. Default: false, which rejects. */
  readonly whileIdle?: boolean;
  /** Called before each attempt. */
  onAttempt?(): void;
  /** Called after each failed attempt. `error.retry` says whether another one follows. */
  onFailure?(error: ClientError): void;
}

/** Retries requests until they succeed: on the next session after a lost connection, with backoff after other errors. */
export class RequestQueue {
  readonly #settings: ResolvedOptions;
  readonly #connection: ConnectionManager;

  constructor(settings: ResolvedOptions, connection: ConnectionManager) {
    this.#settings = settings;
    this.#connection = connection;
  }

  /** Sends an idempotent request. @throws {ClientError} */
  request<A extends Action>(action: A, payload: Payload<A>, options?: RequestOptions): Promise<Results[A]> {
    return this.run(options, (session, signal) => session.request(action, payload, { signal }));
  }

  /** Sends a request that reads a page, given its payload with the options. @throws {ClientError} */
  query<A extends Action>(
    action: A,
    { signal, timeoutMs, ...query }: Payload<A> & RequestOptions,
  ): Promise<Results[A]> {
    return this.request(action, query as Payload<A>, { signal, timeoutMs });
  }

  /** Runs `send` with retries until the timeout. @throws {ClientError} */
  run<T>(
    { signal: given, timeoutMs = this.#settings.requestTimeoutMs }: RequestOptions = {},
    send: (session: Session, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    return withTimeout(this.#settings.clock, { signal: given, timeoutMs }, (signal) =>
      this.retry({ signal }, (session) => send(session, signal)),
    );
  }

  /**
   * Runs `send` until it succeeds.
   * @throws {ClientError} an error without `retry`, or the error of a closed client; or the signal's reason
   */
  async retry<T>(options: RetryOptions, send: (session: Session) => Promise<T>): Promise<T> {
    const { signal, whileIdle } = options;
    for (let failures = 1; ; failures++) {
      const session = await this.#connection.whenConnected(signal, whileIdle);
      options.onAttempt?.();
      try {
        return await send(session);
      } catch (error) {
        if (signal.aborted) throw error;
        options.onFailure?.(error as ClientError);
        const { retry, code } = error as ClientError;
        if (!retry) throw error;
        if (code === "TIMEOUT") this.#connection.probe();
        // Ends the delay when the session ends: the next session needs no backoff.
        const ended = AbortSignal.any([signal, session.signal]);
        await delay(this.#settings.clock, backoffDelay(this.#settings, failures), ended).catch(() => {});
      }
    }
  }
}
