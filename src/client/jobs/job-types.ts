import type { Json } from "../../protocol/index.ts";
import type { RequestOptions } from "../requests/timeouts.ts";

/** How far a request is. */
export interface Progress<Details = Json> {
  /** 0 to 100. */
  readonly percentage: number;
  /** A text for people; may be empty. */
  readonly message: string;
  /** Details from the handler. */
  readonly details?: Details | undefined;
  /** The number of the attempt, from 1; grows with each retry. */
  readonly attempt: number;
}

/** Options of `attach`. */
export interface WatchOptions<Details = Json> {
  /** Called with each progress; a newer one may replace earlier ones. */
  readonly onProgress?: (progress: Progress<Details>) => void;
  /** Called with each piece of a stored request's output, once and in order: a string of a text, or a JSON value. */
  readonly onOutput?: (chunk: Json) => void;
  /** Stops watching when aborted. The request itself continues: see `cancel`. */
  readonly signal?: AbortSignal;
}

/** Options of `request`. */
export interface CallOptions<Details = Json> extends WatchOptions<Details> {
  /** Limits the wait for the first answer, in ms. A stored request may take longer. Default: `requestTimeoutMs`. */
  readonly timeoutMs?: number;
  /**
   * Identifies the request, for `attach`: 1 to 128 bytes, no control characters, no `~` at the start. The same id, action and
   * input are the same request. Another call fails with CONFLICT. While a job with this id runs, the client compares the
   * inputs as JSON text, so their keys need the same order.
   * Default: a random id.
   */
  readonly id?: string;
  /** Whether to store the request, however short it is. Default: the server decides. */
  readonly background?: boolean;
  /**
   * Starts the request no earlier than this time, in ms since the epoch: at most 90 days ahead, and not for anonymous clients.
   * It is stored until then. Default: at once.
   */
  readonly startAt?: number;
  /**
   * Whether the server may run the action twice. The client sends a call without an answer again: with `true` as a new call,
   * otherwise as a `resend`. The server runs a resend again only if its handler is declared `idempotent`; the job of any other
   * request in place rejects with OUTCOME_UNKNOWN. Default: false.
   */
  readonly idempotent?: boolean;
}

/**
 * A request: a promise of its result. A lost connection does not end it. A rejection that nobody handles is not reported.
 * @throws {ClientError} the codes of the server and of the handler, INVALID_OPTION, OUTCOME_UNKNOWN, CANCELLED, TIMEOUT,
 * ABORTED, TRANSFER_FAILED
 */
export interface Job<Result = Json, Details = Json> extends Promise<Result> {
  /** The id of the request. */
  readonly id: string;
  /** Iterates over the progress: always the newest, and the last one, also after the end. Ends with the request. */
  readonly progress: AsyncIterable<Progress<Details>>;
  /**
   * Iterates over the output of a stored request, each piece once and in order: strings of a text, or JSON values. Ends with
   * the request, and throws its error. The first iterator gets it from the start, if it is created before the end; after the
   * end, use `attach`.
   */
  readonly output: AsyncIterable<Json>;
  /** Cancels the request, from any device of its user. Does nothing when it has ended. @throws {ClientError} */
  cancel(options?: RequestOptions): Promise<void>;
}
