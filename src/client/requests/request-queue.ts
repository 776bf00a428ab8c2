import type { Action, Results } from "../../protocol/index.ts";
import { delayOf } from "../connection/backoff.ts";
import type { Link } from "../connection/connection-manager.ts";
import type { Payload, Session } from "../connection/session.ts";
import type { ClientError } from "../errors.ts";
import type { Settings } from "../options.ts";
import { type Patience, pause, within } from "./timeouts.ts";

export interface Sending {
  readonly signal: AbortSignal;
  /** Whether it waits while the client is not asked to connect. Default: false. */
  readonly orIdle?: boolean;
  /** Before it is sent, each time. */
  sending?(): void;
  /** It has failed: for good, or it is sent again if the error may pass. */
  failed?(error: ClientError): void;
}

/** Asks until there is an answer: on another session when one has ended, and again after errors that may pass. */
export class Requests {
  readonly #settings: Settings;
  readonly #link: Link;

  constructor(settings: Settings, link: Link) {
    this.#settings = settings;
    this.#link = link;
  }

  /** For what may be asked twice. @throws {ClientError} */
  ask<A extends Action>(action: A, payload: Payload<A>, patience?: Patience): Promise<Results[A]> {
    return this.within(patience, (session, signal) => session.request(action, payload, { signal }));
  }

  /** As long as the patience lasts, in which the client stays connected. @throws {ClientError} */
  within<T>(
    { signal: given, timeoutMs = this.#settings.requestTimeoutMs }: Patience = {},
    ask: (session: Session, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    return within(this.#settings.clock, { signal: given, timeoutMs }, (signal) =>
      this.again({ signal }, (session) => ask(session, signal)),
    );
  }

  /** @throws {ClientError} one that does not pass; that which has ended the connection for good; the signal's reason */
  async again<T>(sending: Sending, ask: (session: Session) => Promise<T>): Promise<T> {
    const { signal, orIdle } = sending;
    for (let failures = 1; ; failures++) {
      const session = await this.#link.whenConnected(signal, orIdle);
      sending.sending?.();
      try {
        return await ask(session);
      } catch (thrown) {
        const error = thrown as ClientError;
        if (signal.aborted) throw error;
        sending.failed?.(error);
        if (!error.retry) throw error;
        if (error.code === "TIMEOUT") this.#link.check();
        // A session that has ended is no reason to wait: there is another one, or there will be.
        const ended = AbortSignal.any([signal, session.signal]);
        await pause(this.#settings.clock, delayOf(this.#settings, failures), ended).catch(() => {});
      }
    }
  }
}
