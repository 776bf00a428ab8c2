import type { JsonSchema } from "../../protocol/index.ts";
import type { Push } from "./channel-frames.ts";
import { Definitions } from "./definitions.ts";
import type { Exchange } from "./exchange.ts";

/** The address of every channel of a document, below the server's: all channels share one socket. */
const ADDRESS = "/";

/** The entries of `components.correlationIds`. */
export const CORRELATION_IDS = {
  request: { location: "$message.payload#/id" },
  answer: { location: "$message.payload#/request_id" },
};

export interface ChannelInfo {
  readonly title: string;
  readonly description: string;
  readonly [extension: `x-${string}`]: unknown;
}

/** A channel of a document, with its operations. */
export class DocumentChannel {
  readonly key: string;
  readonly #info: ChannelInfo;
  readonly #messages = new Map<string, object>();
  readonly #operations = new Map<string, object>();

  constructor(key: string, info: ChannelInfo) {
    this.key = key;
    this.#info = info;
  }

  get channel(): object {
    return { address: ADDRESS, ...this.#info, messages: Object.fromEntries(this.#messages) };
  }

  /** Operations by a key that is unique in the document. */
  get operations(): [string, object][] {
    return [...this.#operations].map(([name, operation]) => [`${this.key}.${name}`, operation]);
  }

  /** Adds a request that the server receives and answers. */
  addExchange(action: string, { summary, request, response }: Exchange): void {
    const messages = [this.#addMessage(action, request, { summary, ...correlated("request") })];
    const replies = [
      ...(response === undefined
        ? []
        : [this.#addMessage(`${action}.response`, response, correlated("answer"))]),
      this.#addMessage("error", { $ref: Definitions.pointer("ErrorMessage") }, correlated("answer")),
    ];
    const channel = this.#reference;
    this.#operations.set(action, {
      action: "receive",
      channel,
      summary,
      messages,
      reply: { channel, messages: replies },
    });
  }

  /** Adds messages that the server sends without a request. */
  addPushes(name: string, summary: string, pushes: Iterable<readonly [type: string, push: Push]>): void {
    const messages = [...pushes].map(([type, push]) =>
      this.#addMessage(`${type}.event`, push.frame, { summary: push.summary }),
    );
    this.#operations.set(name, { action: "send", channel: this.#reference, summary, messages });
  }

  get #reference(): object {
    return { $ref: `#/channels/${this.key}` };
  }

  /** @returns a reference to the message */
  #addMessage(key: string, payload: JsonSchema, info: object): object {
    this.#messages.set(key, { name: `${this.key}.${key}`, ...info, payload });
    return { $ref: `#/channels/${this.key}/messages/${key}` };
  }
}

function correlated(by: keyof typeof CORRELATION_IDS): object {
  return { correlationId: { $ref: `#/components/correlationIds/${by}` } };
}
