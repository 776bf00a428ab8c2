import {
  CHUNKS_TIMEOUT_MS,
  type ChunkResult,
  type MessageChunk,
  type MessageChunks,
} from "../contracts/message-chunks.ts";

/** Connections looked at with each part for what is over: more than one, so that silence costs no memory. */
const SWEPT_PER_PART = 2;

/** Characters of all open messages: 512 of the largest. Beyond them the oldest is closed, and its client sends it again. */
const MAX_CHARACTERS = 64 * 1_024 * 1_024;

interface Message {
  readonly number: number;
  readonly count: number;
  readonly expiresAt: number;
  /** Those that have come, by index; none when it is open no more. */
  readonly texts: Map<number, string>;
  state: "open" | "whole" | "closed";
}

/** Parts in this process's memory. */
export class MemoryMessageChunks implements MessageChunks {
  /** By connection, the first to be over first. */
  readonly #messages = new Map<string, Message>();
  /** The first to be over first. */
  readonly #open = new Set<Message>();
  readonly #maxCharacters: number;
  #characters = 0;

  constructor(maxCharacters = MAX_CHARACTERS) {
    this.#maxCharacters = maxCharacters;
  }

  async add(connectionId: string, part: MessageChunk, now: number): Promise<ChunkResult> {
    this.#sweep(now);
    const standing = this.#messages.get(connectionId);
    if (standing === undefined || standing.number < part.message) return this.#begin(connectionId, part, now);
    const isOf = standing.number === part.message && standing.count === part.count;
    if (!isOf || standing.state === "closed" || standing.expiresAt <= now) return "closed";
    if (standing.state === "whole") return "kept";
    this.#keep(standing, part);
    if (standing.texts.size < standing.count) return "kept";
    const whole = Array.from({ length: standing.count }, (_, index) => standing.texts.get(index)).join("");
    this.#end(standing, "whole");
    return { whole };
  }

  async abort(connectionId: string, number: number): Promise<boolean> {
    const message = this.#messages.get(connectionId);
    if (message?.number !== number || message.state !== "open") return false;
    this.#end(message, "closed");
    return true;
  }

  #begin(connectionId: string, part: MessageChunk, now: number): ChunkResult {
    const before = this.#messages.get(connectionId);
    if (before !== undefined) this.#end(before, "closed");
    const { message: number, count } = part;
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
    this.#keep(message, part);
    return "opened";
  }

  #keep(message: Message, { index, text }: MessageChunk): void {
    this.#characters += text.length - (message.texts.get(index)?.length ?? 0);
    message.texts.set(index, text);
    for (const oldest of this.#open) {
      if (this.#characters <= this.#maxCharacters) return;
      if (oldest !== message) this.#end(oldest, "closed");
    }
  }

  #end(message: Message, state: "whole" | "closed"): void {
    for (const text of message.texts.values()) this.#characters -= text.length;
    message.texts.clear();
    message.state = state;
    this.#open.delete(message);
  }

  /** What is over is remembered as long again: a part that comes late must not begin its message anew. */
  #sweep(now: number): void {
    let left = SWEPT_PER_PART;
    for (const [connectionId, message] of this.#messages) {
      if (left-- === 0 || message.expiresAt > now) return;
      if (message.expiresAt + CHUNKS_TIMEOUT_MS <= now) this.#messages.delete(connectionId);
      else if (message.state === "open") this.#end(message, "closed");
    }
  }
}
