// A small server of PROTOCOL.md, as unreliable as a test wants.
import type { WebSocketConstructor } from "../../src/client/index.ts";
import {
  ACTIONS,
  type ChannelMessage,
  type ErrorCode,
  type Json,
  type LiveStream,
  type PartPayload,
  type Position,
  type PresenceMessage,
  parseMessage,
  RETRY_BY_CODE,
  type Request,
  type Results,
  type StreamMessage,
} from "../../src/protocol/index.ts";
import { isStored, ModelRequests } from "./model-requests.ts";
import { ModelSocket } from "./model-socket.ts";
import type { TestClock } from "./test-clock.ts";

export interface Faults {
  /** Minimum and maximum latency, in ms. Later frames may arrive earlier. */
  latency: readonly [number, number];
  /** Probabilities, 0 to 1, for a frame to the client. */
  drop: number;
  duplicate: number;
}

type StreamFields = StreamMessage extends infer One
  ? One extends StreamMessage
    ? Omit<One, "id" | "channel" | "at"> & { readonly at?: number }
    : never
  : never;

/** A result, or an error's code. */
type Answer = Results[keyof Results] | ErrorCode;
type Handler = (request: Request, socket: ModelSocket) => Answer | undefined;

export class ModelChannel {
  epoch = "e1";
  readonly messages: ChannelMessage[] = [];
  offset = 0;
  readonly keys = new Map<string, { id: string; position?: Position }>();

  get head(): Position {
    return { epoch: this.epoch, offset: this.offset };
  }

  /** Whether history has every message after a position. */
  covers(position: Position): boolean {
    if (position.epoch !== this.epoch || position.offset > this.offset) return false;
    return position.offset === this.offset || firstOffset(this.messages[0]!) <= position.offset + 1;
  }
}

/** Parses a client's message. Every action that is not the protocol's is one of the application. */
function parse(message: string) {
  return parseMessage(message, (action) => !(ACTIONS as readonly string[]).includes(action));
}

function firstOffset({ from, position }: ChannelMessage): number {
  return from ?? position!.offset;
}

export class ModelServer {
  readonly clock: TestClock;
  readonly random: () => number;
  readonly faults: Faults = { latency: [1, 1], drop: 0, duplicate: 0 };
  /** Open sockets. */
  readonly sockets = new Set<ModelSocket>();
  /** Every socket so far. */
  readonly opened: ModelSocket[] = [];
  /** Every request so far. */
  readonly requests: Request[] = [];
  /** The data of every accepted message, even if its response was lost. */
  readonly stored: Json[] = [];
  /** Live streams, by channel. */
  readonly streams = new Map<string, LiveStream>();
  readonly states = new Map<string, Json | undefined>();
  readonly jobs = new ModelRequests(this);
  readonly WebSocket: WebSocketConstructor;
  /** Messages in a channel's history, and in a page. */
  historySize = 100;
  pageSize = 100;
  /** Decides whether an upgrade succeeds. */
  upgrade: (url: URL) => boolean = () => true;
  /** Overrides a response; `undefined` leaves it to the model. */
  intercept: Handler = () => undefined;
  readonly #channels = new Map<string, ModelChannel>();
  /** The unfinished message in parts of each socket. */
  readonly #open = new Map<ModelSocket, { readonly message: number; readonly texts: string[] }>();
  #ids = 0;

  constructor(clock: TestClock, random: () => number = () => 0.5) {
    this.clock = clock;
    this.random = random;
    const server = this;
    this.WebSocket = class extends ModelSocket {
      constructor(url: string) {
        super(server, url);
      }
    };
  }

  channel(name: string): ModelChannel {
    const known = this.#channels.get(name);
    if (known !== undefined) return known;
    const channel = new ModelChannel();
    this.#channels.set(name, channel);
    return channel;
  }

  /** The actions of the requests. */
  get actions(): string[] {
    return this.requests.map(({ action }) => action);
  }

  publish(name: string, data: Json, { key, user }: { key?: string; user?: string } = {}) {
    const channel = this.channel(name);
    const known = key === undefined ? undefined : channel.keys.get(key);
    if (known !== undefined) return known;
    this.stored.push(data);
    const id = `m${++this.#ids}`;
    const kept = isStored(name);
    const result = kept ? { id, position: { epoch: channel.epoch, offset: ++channel.offset } } : { id };
    const message: ChannelMessage = {
      type: "message",
      ...result,
      channel: name,
      data,
      at: this.clock.now(),
      ...(user === undefined ? {} : { user }),
    };
    if (kept) channel.messages.push(message);
    this.trim(name, this.historySize);
    if (key !== undefined) channel.keys.set(key, result);
    this.broadcast(name, message);
    return result;
  }

  /** Drops all but the newest messages. */
  trim(name: string, size: number): void {
    const { messages } = this.channel(name);
    messages.splice(0, Math.max(0, messages.length - size));
  }

  /** Drops the history. */
  loseHistory(name: string): void {
    const channel = this.channel(name);
    channel.epoch += "x";
    channel.offset = 0;
    channel.messages.length = 0;
  }

  /** Sends a live stream's message to the channel's members. */
  sendStreamMessage(name: string, message: StreamFields): void {
    const head = { id: `s${++this.#ids}`, channel: name, at: this.clock.now() };
    this.broadcast(name, { ...head, ...message } as StreamMessage);
  }

  broadcast(name: string, message: ChannelMessage | PresenceMessage | StreamMessage): void {
    for (const socket of this.sockets) if (socket.channels.has(name)) socket.deliver(message);
  }

  /** Handles a client's frame. */
  receive(socket: ModelSocket, frame: string): void {
    const request = parse(frame);
    if (request.action === "call") {
      this.jobs.call({ id: request.id!, ...request.payload }, socket);
      return;
    }
    this.requests.push(request);
    if (request.action === "part") this.#part(request.payload, socket);
    else this.#take(request, socket);
  }

  #part({ message, index, count, text }: PartPayload, socket: ModelSocket): void {
    const standing = this.#open.get(socket);
    if (standing !== undefined && standing.message > message) return;
    const texts = standing?.message === message ? standing.texts : [];
    this.#open.set(socket, { message, texts });
    texts[index] = text;
    if (Object.keys(texts).length !== count) return;
    const whole = parse(texts.join(""));
    if (whole.action === "call") this.jobs.call({ id: whole.id!, ...whole.payload }, socket);
    else this.#take(whole, socket);
  }

  #take(request: Request, socket: ModelSocket): void {
    const answer = this.intercept(request, socket) ?? this.#answer(request, socket);
    if (answer === undefined) return;
    if (typeof answer === "string") {
      const error = { code: answer, message: answer, retry: RETRY_BY_CODE[answer] };
      socket.deliver({ type: "error", request_id: request.id!, error });
    } else {
      socket.deliver({ type: "response", request_id: request.id!, success: true, data: answer as never });
    }
  }

  leave(socket: ModelSocket, name: string): void {
    if (!socket.channels.delete(name)) return;
    const { user } = socket;
    if (user !== undefined && !this.users(name).includes(user)) this.#sendPresence(name, user, "leave");
  }

  users(name: string): string[] {
    const there = [...this.sockets].filter(({ channels }) => channels.has(name));
    return [...new Set(there.flatMap(({ user }) => (user === undefined ? [] : [user])))];
  }

  #answer(request: Request, socket: ModelSocket): Answer | undefined {
    switch (request.action) {
      case "subscribe":
        return { channels: request.payload.channels.map((one) => this.#subscribe(one, socket)) };
      case "unsubscribe":
        for (const name of request.payload.channels) this.leave(socket, name);
        return {};
      case "publish": {
        const { channel, data, key } = request.payload;
        return this.publish(channel, data, {
          ...(key && { key }),
          ...(socket.user && { user: socket.user }),
        });
      }
      case "history":
        return this.#history(request.payload);
      case "presence": {
        const { channel, after = "" } = request.payload;
        const behind = this.users(channel)
          .sort()
          .filter((user) => user > after);
        const page = behind.slice(0, this.pageSize);
        const since = this.clock.now();
        const users = page.map((user) => ({ user, since, ...this.#stateOf(user) }));
        return { users, more: behind.length > page.length };
      }
      case "set_presence": {
        const { channel, state } = request.payload;
        if (!socket.channels.has(channel)) return "FORBIDDEN";
        this.states.set(socket.user!, state);
        this.#sendPresence(channel, socket.user!, "update");
        return {};
      }
      case "stream_start": {
        const { channel, data } = request.payload;
        const since = this.streams.get(channel)?.since ?? this.clock.now();
        const viewers = [...this.sockets].filter(({ channels }) => channels.has(channel)).length;
        const live = { user: socket.user!, since, viewers, ...(data === undefined ? {} : { data }) };
        this.streams.set(channel, live);
        this.sendStreamMessage(channel, { type: "stream_started", live });
        return { live };
      }
      case "stream_end": {
        const { channel } = request.payload;
        this.streams.delete(channel);
        this.sendStreamMessage(channel, { type: "stream_ended", user: socket.user!, reason: "ended" });
        return {};
      }
      case "stream": {
        const live = this.streams.get(request.payload.channel);
        return live === undefined ? {} : { live };
      }
      case "heartbeat":
        return { heads: this.#heads(request.payload.positions ?? new Map()) };
      case "request":
      case "result":
      case "requests":
      case "cancel":
      case "resend":
        return this.jobs.handle(request, socket) as Answer | undefined;
      default:
        return {};
    }
  }

  #stateOf(user: string): { state?: Json } {
    const state = this.states.get(user);
    return state === undefined ? {} : { state };
  }

  #sendPresence(name: string, user: string, event: "join" | "leave" | "update"): void {
    const at = this.clock.now();
    const id = `p${++this.#ids}`;
    const state = event === "leave" ? {} : this.#stateOf(user);
    this.broadcast(name, { type: "presence", id, channel: name, event, user, at, ...state });
  }

  #subscribe(
    {
      channel: name,
      position,
      recent = 0,
      state,
    }: Extract<Request, { action: "subscribe" }>["payload"]["channels"][0],
    socket: ModelSocket,
  ): Results["subscribe"]["channels"][0] {
    if (name.startsWith("secret:")) {
      return { channel: name, error: { code: "FORBIDDEN", message: "No", retry: false } };
    }
    const { user } = socket;
    const joins = user !== undefined && !this.users(name).includes(user);
    socket.channels.add(name);
    if (user !== undefined && state !== undefined) this.states.set(user, state);
    if (joins) this.#sendPresence(name, user, "join");
    const stream = this.streams.get(name);
    const live = stream === undefined ? {} : { live: stream };
    if (name.startsWith("request:") && !this.jobs.stored.has(name.slice(8))) {
      return { channel: name, error: { code: "NOT_FOUND", message: "No", retry: false } };
    }
    if (!isStored(name)) return { channel: name, ...live };
    const channel = this.channel(name);
    if (position === undefined) {
      const messages = recent === 0 ? [] : channel.messages.slice(-recent);
      return { channel: name, position: channel.head, messages, ...live };
    }
    const { messages, recovered, more } = this.#history({ channel: name, after: position });
    return { channel: name, position: channel.head, messages, recovered: recovered!, more, ...live };
  }

  #history({
    channel: name,
    after,
    before,
    limit = 100,
  }: Extract<Request, { action: "history" }>["payload"]) {
    const channel = this.channel(name);
    const { head: position, messages: all } = channel;
    const size = Math.min(limit, this.pageSize);
    if (after !== undefined) {
      const recovered = channel.covers(after);
      const missed = recovered ? all.filter((message) => message.position!.offset > after.offset) : [];
      return { messages: missed.slice(0, size), position, recovered, more: missed.length > size };
    }
    const older = all.filter((message) => message.position!.offset < (before ?? Number.POSITIVE_INFINITY));
    return { messages: older.slice(-size), position, more: older.length > size };
  }

  #heads(positions: ReadonlyMap<string, Position>) {
    const moved = [...positions].filter(
      ([name, { epoch, offset }]) =>
        this.channel(name).epoch !== epoch || this.channel(name).offset !== offset,
    );
    return Object.fromEntries(moved.map(([name]) => [name, this.channel(name).head]));
  }
}
