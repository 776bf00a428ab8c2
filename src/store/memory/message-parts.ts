import { type Joined, type MessagePart, type MessageParts, PARTS_MS } from "../channels.ts";

/** Connections looked at with each part for what is over: more than one, so that silence costs no memory. */
const SWEPT_PER_PART = 2;

interface Message {
  readonly number: number;
  readonly count: number;
  readonly expiresAt: number;
  /** Those that have come, by index; none when it is open no more. */
  readonly texts: Map<number, string>;
  state: "open" | "whole" | "closed";
}

/** Parts in this process's memory. */
export class MemoryParts implements MessageParts {
  /** By connection, the first to be over first. */
  readonly #messages = new Map<string, Message>();

  async add(connectionId: string, part: MessagePart, now: number): Promise<Joined> {
    this.#sweep(now);
    const standing = this.#messages.get(connectionId);
    if (standing === undefined || standing.number < part.message) return this.#begin(connectionId, part, now);
    const isOf = standing.number === part.message && standing.count === part.count;
    if (!isOf || standing.state === "closed" || standing.expiresAt <= now) return "closed";
    if (standing.state === "whole") return "kept";
    standing.texts.set(part.index, part.text);
    if (standing.texts.size < standing.count) return "kept";
    const whole = Array.from({ length: standing.count }, (_, index) => standing.texts.get(index)).join("");
    end(standing, "whole");
    return { whole };
  }

  async giveUp(connectionId: string, number: number): Promise<boolean> {
    const message = this.#messages.get(connectionId);
    if (message?.number !== number || message.state !== "open") return false;
    end(message, "closed");
    return true;
  }

  #begin(connectionId: string, { message, count, index, text }: MessagePart, now: number): Joined {
    const texts = new Map([[index, text]]);
    this.#messages.delete(connectionId);
    this.#messages.set(connectionId, {
      number: message,
      count,
      expiresAt: now + PARTS_MS,
      texts,
      state: "open",
    });
    return "opened";
  }

  /** What is over is remembered as long again: a part that comes late must not begin its message anew. */
  #sweep(now: number): void {
    let left = SWEPT_PER_PART;
    for (const [connectionId, message] of this.#messages) {
      if (left-- === 0 || message.expiresAt > now) return;
      if (message.expiresAt + PARTS_MS <= now) this.#messages.delete(connectionId);
      else end(message, "closed");
    }
  }
}

function end(message: Message, state: "whole" | "closed"): void {
  message.state = state;
  message.texts.clear();
}
