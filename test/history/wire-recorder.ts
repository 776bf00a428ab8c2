import { WebSocket } from "ws";
import type { WebSocketConstructor } from "../../src/client/index.ts";
import type {
  Action,
  ChannelMessage,
  Position,
  ServerMessage,
  Subscribed,
} from "../../src/protocol/index.ts";
import type { LogEvent, SeenMessage, TenantChannel } from "./log.ts";

/** A request that a client sent. */
interface SentRequest {
  readonly action: Action;
  // biome-ignore lint/suspicious/noExplicitAny: the shape depends on the action
  readonly payload: any;
  readonly t: number;
}

/** Logs the messages on a client's sockets before the client reads them. */
export class WireRecorder {
  readonly WebSocket: WebSocketConstructor;
  readonly #client: string;
  readonly #tenant: string;
  readonly #user: string;
  readonly #log: (fact: LogEvent) => void;
  readonly #sockets = new Set<WebSocket>();
  /** Channels that the newest socket is subscribed to. */
  #subscribed = new Set<string>();

  /** @param opened called for each socket that opens */
  constructor(
    { client, tenant, user }: { readonly client: string; readonly tenant: string; readonly user: string },
    log: (fact: LogEvent) => void,
    opened: () => void,
  ) {
    this.#client = client;
    this.#tenant = tenant;
    this.#user = user;
    this.#log = log;
    const open = (socket: WebSocket) => {
      this.#keep(socket);
      socket.on("open", () => {
        this.#subscribed = new Set();
        opened();
      });
    };
    this.WebSocket = class extends WebSocket {
      readonly #asked = new Map<string, SentRequest>();
      /** Channels in which this socket holds the user's stream, with the start times. */
      readonly #holds = new Map<string, number>();

      constructor(url: string) {
        super(url, { perMessageDeflate: false });
        open(this);
        this.on("message", (data) => read(this, this.#asked, this.#holds, String(data)));
      }

      override send(data: string): void {
        const { id, action, payload } = JSON.parse(data);
        this.#asked.set(id, { action, payload, t: Date.now() });
        if (action === "stream_end") this.#holds.delete(payload.channel);
        super.send(data);
      }
    } as unknown as WebSocketConstructor;
    const read = (
      socket: WebSocket,
      asked: Map<string, SentRequest>,
      holds: Map<string, number>,
      text: string,
    ) => {
      // The client ignores messages after it closed the socket.
      if (socket.readyState === WebSocket.OPEN) this.#read(asked, holds, JSON.parse(text));
    };
  }

  /** Whether the newest socket is subscribed to all of these channels. */
  isSubscribed(channels: Iterable<string>): boolean {
    return [...channels].every((channel) => this.#subscribed.has(channel));
  }

  /** Ends the sockets without a close frame. */
  close(): void {
    for (const socket of this.#sockets) socket.terminate();
  }

  #keep(socket: WebSocket): void {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("error", () => {});
  }

  #read(asked: Map<string, SentRequest>, holds: Map<string, number>, message: ServerMessage): void {
    const target = { client: this.#client, tenant: this.#tenant };
    if (message.type === "message")
      this.#log({ kind: "received", client: this.#client, ...this.#seen(message) });
    else if (message.type === "presence") {
      const { channel, event, user } = message;
      this.#log({ kind: "presence", client: this.#client, tenant: this.#tenant, channel, event, user });
    } else if (message.type === "stream_started") {
      const { channel, at, live } = message;
      this.#log({ kind: "stream_started", ...target, channel, at, user: live.user, since: live.since });
    } else if (message.type === "stream_ended") {
      const { channel, at, user, reason } = message;
      this.#log({ kind: "stream_ended", ...target, channel, at, user, reason });
    } else if (message.type === "response") {
      const request = asked.get(message.request_id);
      asked.delete(message.request_id);
      // biome-ignore lint/suspicious/noExplicitAny: the shape depends on the action
      if (request !== undefined) this.#hold(holds, request, message.data as any);
      // biome-ignore lint/suspicious/noExplicitAny: the shape depends on the action
      if (request !== undefined) this.#answered(request, message.data as any);
    }
  }

  /** A response shows that the connection was alive when it sent the request. */
  // biome-ignore lint/suspicious/noExplicitAny: the shape depends on the action
  #hold(holds: Map<string, number>, { action, payload, t }: SentRequest, data: any): void {
    const user = this.#user;
    for (const [channel, from] of holds) {
      const target = { client: this.#client, tenant: this.#tenant, channel };
      if (t > from) this.#log({ kind: "held", ...target, user, from, until: t });
    }
    const holding: string[] =
      action === "stream_start"
        ? [payload.channel]
        : action === "subscribe"
          ? data.channels.flatMap(({ channel, live }: Subscribed) => (live?.user === user ? [channel] : []))
          : [];
    for (const channel of holding) if (!holds.has(channel)) holds.set(channel, Date.now());
  }

  // biome-ignore lint/suspicious/noExplicitAny: the shape depends on the action
  #answered({ action, payload, t }: SentRequest, data: any): void {
    if (action === "history" && payload.after !== undefined) {
      this.#answer(action, t, payload.after, { ...data, channel: payload.channel });
    }
    if (action !== "subscribe") return;
    for (const answer of data.channels) {
      if ("error" in answer) continue;
      this.#subscribed.add(answer.channel);
      const request = payload.channels.find(({ channel }: { channel: string }) => channel === answer.channel);
      this.#answer(action, t, request?.position, answer);
    }
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
