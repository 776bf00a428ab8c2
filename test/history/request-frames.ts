import type { ChannelMessage, ServerMessage } from "../../src/protocol/index.ts";
import type { LogEvent } from "./log.ts";
import { formatRequest } from "./request-script.ts";

const REQUEST_CHANNEL = "request:";

export interface RequestFramesOptions {
  readonly client: string;
  readonly tenant: string;
  readonly user: string;
  readonly log: (event: LogEvent) => void;
  /** Called after each message about a long request. */
  readonly onRequest?: ((id: string) => void) | undefined;
}

type WithoutClient<Event> = Event extends unknown ? Omit<Event, "client"> : never;
type RequestEvent = WithoutClient<
  Extract<LogEvent, { readonly kind: "request_accepted" | "request_output" | "request_end" }>
>;

export function isRequestChannel(channel: string): boolean {
  return channel.startsWith(REQUEST_CHANNEL);
}

/** Logs the frames about long requests of one connection. */
export class RequestFrames {
  readonly #options: RequestFramesOptions;

  constructor(options: RequestFramesOptions) {
    this.#options = options;
  }

  /** @returns whether the message was about a long request */
  received(message: ServerMessage): boolean {
    if (message.type === "message") {
      if (isRequestChannel(message.channel)) this.output(message);
      return isRequestChannel(message.channel);
    }
    if (message.type === "acknowledgment") {
      this.#log(message.request_id, (request) => ({ kind: "request_accepted", request }));
    } else if (message.type === "complete" || (message.type === "error" && message.output !== undefined)) {
      const { type, output = 0 } = message;
      this.#log(message.request_id ?? "", (request) => ({ kind: "request_end", request, type, output }));
    } else if (message.type === "progress") this.#options.onRequest?.(message.request_id);
    else return false;
    return true;
  }

  output({ channel, position }: ChannelMessage): void {
    const offset = position?.offset ?? 0;
    const id = channel.slice(REQUEST_CHANNEL.length);
    this.#log(id, (request) => ({ kind: "request_output", request, offset }));
  }

  #log(id: string, describe: (request: string) => RequestEvent): void {
    const { client, tenant, user, log, onRequest } = this.#options;
    log({ client, ...describe(formatRequest({ tenant, user, id })) });
    onRequest?.(id);
  }
}
