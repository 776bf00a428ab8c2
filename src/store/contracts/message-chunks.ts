import type { TimeBudget } from "./time-budget.ts";

/** How long after its first chunk a message can be completed, in ms. */
export const CHUNKS_TIMEOUT_MS = 30_000;

/** A chunk of a message that a client could not send in one frame. */
export interface MessageChunk {
  /** The message's number. A larger number is a later message of the connection. */
  readonly message: number;
  /** From 0. */
  readonly index: number;
  /** Number of chunks; 2 or more. */
  readonly count: number;
  /** The text of the chunk. */
  readonly text: string;
}

/**
 * The result of adding a chunk:
 * - `opened`: it is the first of its message, and others are missing;
 * - `kept`: others are missing, or the chunk was already stored;
 * - `closed`: its message was aborted, has timed out, or a later message has replaced it;
 * - `{ whole }`: it completed the message, which is `whole`.
 */
export type ChunkResult = "opened" | "kept" | "closed" | { readonly whole: string };

/**
 * Assembles messages from chunks: one message of a connection at a time, for `CHUNKS_TIMEOUT_MS` from its first chunk.
 * Every implementation guarantees:
 *
 * - Exactly one of several concurrent calls resolves to the whole message.
 * - A repeated chunk counts once, also after its message was completed.
 * - An incomplete message is dropped when it is aborted, by the connection's next message, or by later chunks of any
 *   connection.
 */
export interface MessageChunks {
  /** @param now ms since the epoch */
  add(connectionId: string, chunk: MessageChunk, now: number, budget?: TimeBudget): Promise<ChunkResult>;

  /**
   * Closes a message if chunks of it are missing.
   * @returns whether chunks were missing
   */
  abort(connectionId: string, message: number, budget?: TimeBudget): Promise<boolean>;
}
