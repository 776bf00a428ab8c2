import type { Action, Results } from "../../protocol/index.ts";
import { backoffDelay } from "../connection/backoff.ts";
import type { ConnectionManager } from "../connection/connection-manager.ts";
import type { Payload, Session } from "../connection/session.ts";
import type { ClientError } from "../errors.ts";
import type { ResolvedOptions } from "../options.ts";
import { delay, type RequestOptions, withTimeout } from "./timeouts.ts";

export interface RetryOptions {
  readonly signal: AbortSignal;
  /** Whether it waits while the client is not asked to connect. Default: false. */
  readonly waitWhileIdle?: boolean;
  /** Before it is sent, each time. */
  beforeAttempt?(): void;
  /** It has failed: for good, or it is sent again if the error may pass. */
  onFailure?(error: ClientError): void;
}

/** Asks until there is an answer: on another session when one has ended, and again after errors that may pass. */
export class RequestQueue {
  readonly #settings: ResolvedOptions;
  readonly #link: ConnectionManager;

  constructor(settings: ResolvedOptions, link: ConnectionManager) {
    this.#settings = settings;
    this.#link = link;
  }

  /** For what may be asked twice. @throws {ClientError} */
  request<A extends Action>(action: A, payload: Payload<A>, patience?: RequestOptions): Promise<Results[A]> {
    return this.run(patience, (session, signal) => session.request(action, payload, { signal }));
  }

  /** As long as the patience lasts, in which the client stays connected. @throws {ClientError} */
  run<T>(
    { signal: given, timeoutMs = this.#settings.requestTimeoutMs }: RequestOptions = {},
    ask: (session: Session, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    return withTimeout(this.#settings.clock, { signal: given, timeoutMs }, (signal) =>
      this.retry({ signal }, (session) => ask(session, signal)),
    );
  }

  /** @throws {ClientError} one that does not pass; that which has ended the connection for good; the signal's reason */
  async retry<T>(sending: RetryOptions, ask: (session: Session) => Promise<T>): Promise<T> {
    const { signal, waitWhileIdle } = sending;
    for (let failures = 1; ; failures++) {
      const session = await this.#link.whenConnected(signal, waitWhileIdle);
      sending.beforeAttempt?.();
      try {
        return await ask(session);
      } catch (thrown) {
        const error = thrown as ClientError;
        if (signal.aborted) throw error;
        sending.onFailure?.(error);
        if (!error.retry) throw error;
        if (error.code === "TIMEOUT") this.#link.checkLiveness();
        // A session that has ended is no reason to wait: there is another one, or there will be.
        const ended = AbortSignal.any([signal, session.signal]);
        await delay(this.#settings.clock, backoffDelay(this.#settings, failures), ended).catch(() => {});
      }
    }
  }
}
