import type { Push } from "./channel-frames.ts";
import type { Exchange } from "./exchange.ts";
import { type AnySchema, Definitions } from "./schema.ts";

/** All channels of a document are at this address, below the server's: they share one socket. */
const ADDRESS = "/";

/** What is under `components.correlationIds`. */
export const CORRELATION_IDS = {
  request: { location: "$message.payload#/id" },
  answer: { location: "$message.payload#/request_id" },
};

/** What a channel of a document says of itself. */
export interface About {
  readonly title: string;
  readonly description: string;
  readonly [extension: `x-${string}`]: unknown;
}

/** A channel of a document, and the operations on it. */
export class DocumentChannel {
  readonly key: string;
  readonly #about: About;
  readonly #messages = new Map<string, object>();
  readonly #operations = new Map<string, object>();

  constructor(key: string, about: About) {
    this.key = key;
    this.#about = about;
  }

  get channel(): object {
    return { address: ADDRESS, ...this.#about, messages: Object.fromEntries(this.#messages) };
  }

  /** Their keys are unique in the document. */
  get operations(): [string, object][] {
    return [...this.#operations].map(([name, operation]) => [`${this.key}.${name}`, operation]);
  }

  /** The server receives the request, and answers it. */
  receives(action: string, { summary, request, response }: Exchange): void {
    const messages = [this.#message(action, request, { summary, ...correlated("request") })];
    const answers = [
      ...(response === undefined
        ? []
        : [this.#message(`${action}.response`, response, correlated("answer"))]),
      this.#message("error", { $ref: Definitions.pointer("ErrorMessage") }, correlated("answer")),
    ];
    const channel = this.#reference;
    this.#operations.set(action, {
      action: "receive",
      channel,
      summary,
      messages,
      reply: { channel, messages: answers },
    });
  }

  /** The server sends these without being asked. */
  sends(name: string, summary: string, pushes: Iterable<readonly [type: string, push: Push]>): void {
    const messages = [...pushes].map(([type, push]) =>
      this.#message(`${type}.event`, push.frame, { summary: push.summary }),
    );
    this.#operations.set(name, { action: "send", channel: this.#reference, summary, messages });
  }

  get #reference(): object {
    return { $ref: `#/channels/${this.key}` };
  }

  /** @returns a reference to it */
  #message(key: string, payload: AnySchema, about: object): object {
    this.#messages.set(key, { name: `${this.key}.${key}`, ...about, payload });
    return { $ref: `#/channels/${this.key}/messages/${key}` };
  }
}

function correlated(by: keyof typeof CORRELATION_IDS): object {
  return { correlationId: { $ref: `#/components/correlationIds/${by}` } };
}
