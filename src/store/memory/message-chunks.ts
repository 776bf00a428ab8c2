import {
  CHUNKS_TIMEOUT_MS,
  type ChunkResult,
  type MessageChunk,
  type MessageChunks,
} from "../contracts/message-chunks.ts";

/** Connections checked for expired messages with each chunk. More than one, so that silent ones take no memory. */
const SWEPT_PER_CHUNK = 2;

/** Characters of all open messages: 512 of the largest. Above it the oldest one is closed, and its client resends it. */
const MAX_CHARACTERS = 64 * 1_024 * 1_024;

interface Message {
  readonly number: number;
  readonly count: number;
  readonly expiresAt: number;
  /** Received texts by index; empty when the message is no longer open. */
  readonly texts: Map<number, string>;
  state: "open" | "whole" | "closed";
}

/** Message chunks in this process's memory. */
export class MemoryMessageChunks implements MessageChunks {
  /** By connection id, in order of expiry. */
  readonly #messages = new Map<string, Message>();
  /** In order of expiry. */
  readonly #open = new Set<Message>();
  readonly #maxCharacters: number;
  #characters = 0;

  constructor(maxCharacters = MAX_CHARACTERS) {
    this.#maxCharacters = maxCharacters;
  }

  /** Characters of all open messages. */
  get characters(): number {
    return this.#characters;
  }

  async add(connectionId: string, chunk: MessageChunk, now: number): Promise<ChunkResult> {
    this.#sweep(now);
    const current = this.#messages.get(connectionId);
    if (current === undefined || current.number < chunk.message)
      return this.#openMessage(connectionId, chunk, now);
    const isSameMessage = current.number === chunk.message && current.count === chunk.count;
    if (!isSameMessage || current.state === "closed" || current.expiresAt <= now) return "closed";
    if (current.state === "whole") return "kept";
    this.#store(current, chunk);
    if (current.texts.size < current.count) return "kept";
    const whole = Array.from({ length: current.count }, (_, index) => current.texts.get(index)).join("");
    this.#close(current, "whole");
    return { whole };
  }

  async abort(connectionId: string, number: number): Promise<boolean> {
    const message = this.#messages.get(connectionId);
    if (message?.number !== number || message.state !== "open") return false;
    this.#close(message, "closed");
    return true;
  }

  #openMessage(connectionId: string, chunk: MessageChunk, now: number): ChunkResult {
    const previous = this.#messages.get(connectionId);
    if (previous !== undefined) this.#close(previous, "closed");
    const { message: number, count } = chunk;
    const message: Message = {
      number,
      count,
      expiresAt: now + CHUNKS_TIMEOUT_MS,
      texts: new Map(),
      state: "open",
    };
    this.#messages.delete(connectionId);
    this.#messages.set(connectionId, message);
    this.#open.add(message);
    this.#store(message, chunk);
    return "opened";
  }

  #store(message: Message, { index, text }: MessageChunk): void {
    this.#characters += text.length - (message.texts.get(index)?.length ?? 0);
    message.texts.set(index, text);
    for (const oldest of this.#open) {
      if (this.#characters <= this.#maxCharacters) return;
      if (oldest !== message) this.#close(oldest, "closed");
    }
  }

  #close(message: Message, state: "whole" | "closed"): void {
    for (const text of message.texts.values()) this.#characters -= text.length;
    message.texts.clear();
    message.state = state;
    this.#open.delete(message);
  }

  /** Remembers expired messages for another `CHUNKS_TIMEOUT_MS`, so that a late chunk does not reopen its message. */
  #sweep(now: number): void {
    let remaining = SWEPT_PER_CHUNK;
    for (const [connectionId, message] of this.#messages) {
      if (remaining-- === 0 || message.expiresAt > now) return;
      if (message.expiresAt + CHUNKS_TIMEOUT_MS <= now) this.#messages.delete(connectionId);
      else if (message.state === "open") this.#close(message, "closed");
    }
  }
}
