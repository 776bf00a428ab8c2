import type {
  Action,
  ChannelMessage,
  Position,
  ServerMessage,
  Subscribed,
} from "../../src/protocol/index.ts";
import type { LogEvent, SeenMessage, TenantChannel } from "./log.ts";
import { isRequestChannel, RequestFrames, type RequestFramesOptions } from "./request-frames.ts";

/** A request that a client sent. */
interface SentRequest {
  readonly action: Action;
  // biome-ignore lint/suspicious/noExplicitAny: the shape depends on the action
  readonly payload: any;
  readonly t: number;
}

export interface FrameLogOptions extends RequestFramesOptions {
  /** ms since the epoch. */
  readonly now: () => number;
}

/** Logs the frames of one connection. */
export class FrameLog {
  readonly #client: string;
  readonly #tenant: string;
  readonly #user: string;
  readonly #log: (event: LogEvent) => void;
  readonly #now: () => number;
  readonly #requests: RequestFrames;
  readonly #asked = new Map<string, SentRequest>();
  /** Channels in which the connection holds the user's stream, with the start times. */
  readonly #holds = new Map<string, number>();

  constructor(options: FrameLogOptions) {
    const { client, tenant, user, log, now } = options;
    this.#requests = new RequestFrames(options);
    this.#client = client;
    this.#tenant = tenant;
    this.#user = user;
    this.#log = log;
    this.#now = now;
  }

  // biome-ignore lint/suspicious/noExplicitAny: the shape depends on the action
  sent({ id, action, payload }: { id: string; action: Action; payload: any }): void {
    this.#asked.set(id, { action, payload, t: this.#now() });
    if (action === "stream_end") this.#holds.delete(payload.channel);
  }

  /** @returns the channels to which a response has subscribed the connection */
  received(message: ServerMessage): string[] {
    if (this.#requests.received(message)) return [];
    const target = { client: this.#client, tenant: this.#tenant };
    if (message.type === "message") this.#log({ kind: "received", ...target, ...this.#seen(message) });
    else if (message.type === "presence") {
      const { channel, event, user } = message;
      this.#log({ kind: "presence", ...target, channel, event, user });
    } else if (message.type === "stream_started") {
      const { channel, at, live } = message;
      this.#log({ kind: "stream_started", ...target, channel, at, user: live.user, since: live.since });
    } else if (message.type === "stream_ended") {
      const { channel, at, user, reason } = message;
      this.#log({ kind: "stream_ended", ...target, channel, at, user, reason });
    } else if (message.type === "response") {
      const request = this.#asked.get(message.request_id);
      this.#asked.delete(message.request_id);
      if (request === undefined) return [];
      // biome-ignore lint/suspicious/noExplicitAny: the shape depends on the action
      const data = message.data as any;
      this.#hold(request, data);
      return this.#answered(request, data);
    }
    return [];
  }

  /** A response shows that the connection was alive when it sent the request. */
  // biome-ignore lint/suspicious/noExplicitAny: the shape depends on the action
  #hold({ action, payload, t }: SentRequest, data: any): void {
    const user = this.#user;
    for (const [channel, from] of this.#holds) {
      const target = { client: this.#client, tenant: this.#tenant, channel };
      if (t > from) this.#log({ kind: "held", ...target, user, from, until: t });
    }
    const holding: string[] =
      action === "stream_start"
        ? [payload.channel]
        : action === "subscribe"
          ? data.channels.flatMap(({ channel, live }: Subscribed) => (live?.user === user ? [channel] : []))
          : [];
    for (const channel of holding) if (!this.#holds.has(channel)) this.#holds.set(channel, this.#now());
  }

  // biome-ignore lint/suspicious/noExplicitAny: the shape depends on the action
  #answered({ action, payload, t }: SentRequest, data: any): string[] {
    if (action === "history" && isRequestChannel(payload.channel)) {
      for (const message of data.messages) this.#requests.output(message);
    } else if (action === "history" && payload.after !== undefined) {
      this.#answer(action, t, payload.after, { ...data, channel: payload.channel });
    }
    if (action !== "subscribe") return [];
    const subscribed: string[] = [];
    for (const answer of data.channels) {
      if ("error" in answer) continue;
      subscribed.push(answer.channel);
      if (isRequestChannel(answer.channel)) {
        for (const message of answer.messages ?? []) this.#requests.output(message);
        continue;
      }
      const request = payload.channels.find(({ channel }: { channel: string }) => channel === answer.channel);
      this.#answer(action, t, request?.position, answer);
    }
    return subscribed;
  }

  #answer(
    action: "subscribe" | "history",
    asked: number,
    after: Position | undefined,
    { channel, position, recovered, messages = [], more = false }: Subscribed,
  ): void {
    this.#log({
      kind: "answered",
      client: this.#client,
      action,
      tenant: this.#tenant,
      channel,
      asked,
      after,
      position: position!,
      recovered,
      more,
      messages: messages.map((message) => seenMessage(message)),
    });
  }

  #seen(message: ChannelMessage): TenantChannel & SeenMessage {
    return { tenant: this.#tenant, channel: message.channel, ...seenMessage(message) };
  }
}

/** Reads the names that the publisher put into the data. */
export function seenMessage({ data, position, at }: ChannelMessage): SeenMessage {
  const { uid, tenant, channel } = data as { uid: string; tenant: string; channel: string };
  return { uid, origin: { tenant, channel }, position: position!, at };
}
