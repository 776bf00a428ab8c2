import { WebSocket } from "ws";
import type { WebSocketConstructor } from "../../src/client/index.ts";
import type {
  Action,
  ChannelMessage,
  Position,
  ServerMessage,
  Subscribed,
} from "../../src/protocol/index.ts";
import type { Fact, Place, Sighting } from "./log.ts";

/** What a client has asked and what for, as it went out. */
interface Asked {
  readonly action: Action;
  // biome-ignore lint/suspicious/noExplicitAny: what the client writes, by the action
  readonly payload: any;
  readonly t: number;
}

/** A client's sockets, and what goes over them, written down before the client reads it. */
export class Wire {
  readonly WebSocket: WebSocketConstructor;
  readonly #client: string;
  readonly #tenant: string;
  readonly #user: string;
  readonly #log: (fact: Fact) => void;
  readonly #sockets = new Set<WebSocket>();
  /** By the newest socket. */
  #subscribed = new Set<string>();

  /** @param opened told of each socket that opens */
  constructor(
    { client, tenant, user }: { readonly client: string; readonly tenant: string; readonly user: string },
    log: (fact: Fact) => void,
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
      readonly #asked = new Map<string, Asked>();
      /** The streams of the user's that it holds, since when. */
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
    const read = (socket: WebSocket, asked: Map<string, Asked>, holds: Map<string, number>, text: string) => {
      // The client does not read what comes when it has closed the socket.
      if (socket.readyState === WebSocket.OPEN) this.#read(asked, holds, JSON.parse(text));
    };
  }

  /** Whether the server has let the newest socket into all of them. */
  isIn(channels: Iterable<string>): boolean {
    return [...channels].every((channel) => this.#subscribed.has(channel));
  }

  /** Without a word to the server. */
  close(): void {
    for (const socket of this.#sockets) socket.terminate();
  }

  #keep(socket: WebSocket): void {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("error", () => {});
  }

  #read(asked: Map<string, Asked>, holds: Map<string, number>, message: ServerMessage): void {
    const place = { client: this.#client, tenant: this.#tenant };
    if (message.type === "message")
      this.#log({ kind: "received", client: this.#client, ...this.#seen(message) });
    else if (message.type === "presence") {
      const { channel, event, user } = message;
      this.#log({ kind: "presence", client: this.#client, tenant: this.#tenant, channel, event, user });
    } else if (message.type === "stream_started") {
      const { channel, at, live } = message;
      this.#log({ kind: "stream_started", ...place, channel, at, user: live.user, since: live.since });
    } else if (message.type === "stream_ended") {
      const { channel, at, user, reason } = message;
      this.#log({ kind: "stream_ended", ...place, channel, at, user, reason });
    } else if (message.type === "response") {
      const request = asked.get(message.request_id);
      asked.delete(message.request_id);
      // biome-ignore lint/suspicious/noExplicitAny: as above
      if (request !== undefined) this.#hold(holds, request, message.data as any);
      // biome-ignore lint/suspicious/noExplicitAny: what the server answers, by the action
      if (request !== undefined) this.#answered(request, message.data as any);
    }
  }

  /** An answer shows that the connection was there when it was asked for. */
  // biome-ignore lint/suspicious/noExplicitAny: what the server answers, by the action
  #hold(holds: Map<string, number>, { action, payload, t }: Asked, data: any): void {
    const user = this.#user;
    for (const [channel, from] of holds) {
      const place = { client: this.#client, tenant: this.#tenant, channel };
      if (t > from) this.#log({ kind: "held", ...place, user, from, until: t });
    }
    const holding: string[] =
      action === "stream_start"
        ? [payload.channel]
        : action === "subscribe"
          ? data.channels.flatMap(({ channel, live }: Subscribed) => (live?.user === user ? [channel] : []))
          : [];
    for (const channel of holding) if (!holds.has(channel)) holds.set(channel, Date.now());
  }

  // biome-ignore lint/suspicious/noExplicitAny: see above
  #answered({ action, payload, t }: Asked, data: any): void {
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
      messages: messages.map((message) => sightingOf(message)),
    });
  }

  #seen(message: ChannelMessage): Place & Sighting {
    return { tenant: this.#tenant, channel: message.channel, ...sightingOf(message) };
  }
}

/** The publisher has put its name and place into the data. */
export function sightingOf({ data, position, at }: ChannelMessage): Sighting {
  const { uid, tenant, channel } = data as { uid: string; tenant: string; channel: string };
  return { uid, origin: { tenant, channel }, position: position!, at };
}
