import type { Channels } from "./channels/channels.ts";
import type { ConnectionManager } from "./connection/connection-manager.ts";
import type { ClientError } from "./errors.ts";
import type { ResolvedOptions } from "./options.ts";
import type { Outbox } from "./outbox/outbox.ts";
import type { RequestQueue } from "./requests/request-queue.ts";

/** The parts of a client that features build on. */
export interface ClientCore {
  readonly settings: ResolvedOptions;
  readonly link: ConnectionManager;
  readonly requests: RequestQueue;
  readonly channels: Channels;
  readonly outbox: Outbox;
  /** Reports an error that no call returns. */
  readonly reportError: (error: ClientError) => void;
}
