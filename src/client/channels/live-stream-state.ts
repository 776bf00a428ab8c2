import type { LiveStream, StreamEndedMessage, StreamMessage } from "../../protocol/index.ts";
import { Emitter } from "../emitter.ts";

/** A channel's live stream. Merges the server's responses with its messages, by their times. */
export class LiveStreamState {
  stream: LiveStream | undefined;
  /** Why the last live stream ended; `undefined` while one is live, and when its end was missed. */
  endReason: StreamEndedMessage["reason"] | undefined;
  readonly changes = new Emitter<void>();
  /** The time of the newest known start or end; 0 after a response without a stream. */
  #at = 0;
  /** The last number of viewers, and its time. */
  #count = 0;
  #countAt = 0;
  /** Whether a message has arrived since the last request: it may be newer than the response. */
  #hasStreamMessage = false;
  #hasCountMessage = false;
  #fetches = 0;

  /** Call before a request. @returns a function that applies its response, unless another request has started since */
  startFetch(): (result: { readonly live?: LiveStream }) => void {
    this.#hasStreamMessage = this.#hasCountMessage = false;
    const fetch = ++this.#fetches;
    return ({ live }) => {
      if (fetch !== this.#fetches) return;
      const at = live?.since ?? 0;
      if (!this.#hasStreamMessage || at > this.#at) {
        this.#at = at;
        // A response gives no reason, and the reason of an earlier stream would be wrong.
        if (live || this.stream) this.endReason = undefined;
        this.stream = live && this.#hasCountMessage ? { ...live, viewers: this.#count } : live;
      }
      this.changes.emit();
    };
  }

  apply(message: StreamMessage): void {
    const { at } = message;
    if (message.type === "viewers") {
      if (at < this.#countAt) return;
      this.#countAt = at;
      this.#count = message.count;
      this.#hasCountMessage = true;
      this.stream &&= { ...this.stream, viewers: message.count };
    } else {
      if (at < this.#at) return;
      this.#at = at;
      this.#hasStreamMessage = true;
      const { live, reason }: { live?: LiveStream; reason?: StreamEndedMessage["reason"] } = message;
      this.stream = live;
      this.endReason = reason;
    }
    this.changes.emit();
  }
}
