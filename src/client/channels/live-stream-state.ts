import type { LiveStream, StreamEndedMessage, StreamMessage } from "../../protocol/index.ts";
import { Emitter } from "../emitter.ts";

/** Who streams in a channel: what the server answers, and what it tells meanwhile, put together by their times. */
export class LiveStreamState {
  stream: LiveStream | undefined;
  /** Why the last one has ended. */
  endReason: StreamEndedMessage["reason"] | undefined;
  readonly changes = new Emitter<void>();
  /** When what is known of the stream happened. */
  #at = 0;
  /** The last count that was told, and when. */
  #count = 0;
  #countAt = 0;
  /** What was told since the channel was asked for: it is newer than the answer may be. */
  #isStreamTold = false;
  #isCountTold = false;
  #asked = 0;

  /** The server is asked. @returns what takes its answer, unless it has been asked again by then */
  startFetch(): (answer: { readonly live?: LiveStream }) => void {
    this.#isStreamTold = this.#isCountTold = false;
    const asked = ++this.#asked;
    return ({ live }) => {
      if (asked !== this.#asked) return;
      const at = live?.since ?? 0;
      if (!this.#isStreamTold || at > this.#at) {
        this.#at = at;
        this.stream = live && this.#isCountTold ? { ...live, viewers: this.#count } : live;
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
      this.#isCountTold = true;
      this.stream &&= { ...this.stream, viewers: message.count };
    } else {
      if (at < this.#at) return;
      this.#at = at;
      this.#isStreamTold = true;
      const { live, reason }: { live?: LiveStream; reason?: StreamEndedMessage["reason"] } = message;
      this.stream = live;
      this.endReason = reason;
    }
    this.changes.emit();
  }
}
