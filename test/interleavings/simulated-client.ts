import { LiveStreamState } from "../../src/client/channels/live-stream-state.ts";
import { MemberList } from "../../src/client/channels/members.ts";
import { MessageOrder } from "../../src/client/channels/message-order.ts";
import type {
  Action,
  ErrorMessage,
  LiveStream,
  PresenceResult,
  ResponseMessage,
  ServerMessage,
  StreamMessage,
  Subscribed,
} from "../../src/protocol/index.ts";
import { FrameLog, seenMessage } from "../history/frame-log.ts";
import type { LogEvent } from "../history/log.ts";
import type { Container } from "./container.ts";

export const TENANT = "a";

/** One channel of a client, as the client library derives it from the frames. */
interface ClientChannel {
  readonly subscriber: string;
  readonly order: MessageOrder;
  readonly live: LiveStreamState;
  /** Absent: the client does not keep a list. */
  members?: MemberList;
  isSubscribed: boolean;
}

type Answer = ResponseMessage | ErrorMessage;

/** A client with one connection at a time. Logs everything that it sees. */
export class SimulatedClient {
  readonly name: string;
  readonly user: string;
  /** The current connection, or the last one. */
  connectionId = "";
  isConnected = false;
  readonly #log: (event: LogEvent) => void;
  readonly #now: () => number;
  readonly #channels = new Map<string, ClientChannel>();
  readonly #answers = new Map<string, Answer>();
  #frames: FrameLog;
  #connections = 0;
  #requests = 0;

  constructor(name: string, user: string, log: (event: LogEvent) => void, now: () => number) {
    this.name = name;
    this.user = user;
    this.#log = log;
    this.#now = now;
    this.#frames = this.#createFrames();
  }

  /** @returns the status of `$connect` */
  async connect(container: Container, query?: { readonly [name: string]: string }): Promise<number> {
    this.connectionId = `${this.name}-${++this.#connections}`;
    this.isConnected = true;
    this.#frames = this.#createFrames();
    return (await container.connect(this, query)).statusCode;
  }

  /** Loses its connection. A client that does not `leave` subscribes again with the next one. */
  disconnect(): void {
    this.isConnected = false;
    for (const [name, channel] of this.#channels) this.#left(name, channel);
  }

  /** Loses its connection for good. */
  leave(): void {
    this.disconnect();
    for (const channel of this.#channels.keys()) this.#forget(channel);
  }

  /** Sends a request, and returns the answer when the container has handled it. `undefined`: none has arrived. */
  async ask(container: Container, action: Action, payload: object): Promise<Answer | undefined> {
    const id = `${this.connectionId}-${++this.#requests}`;
    this.#frames.sent({ id, action, payload });
    await container.send(this, { id, action, payload });
    return this.#answers.get(id);
  }

  async subscribe(container: Container, name: string, recent?: number): Promise<void> {
    const channel = this.#open(name);
    const position = channel.order.startFetch();
    const applyLive = channel.live.startFetch();
    const request = { channel: name, ...(position && { position }), ...(recent && { recent }) };
    const answer = await this.ask(container, "subscribe", { channels: [request] });
    if (answer?.type !== "response" || !this.isConnected) return;
    const { channels } = answer.data as unknown as { readonly channels: readonly [Subscribed] };
    const [result] = channels;
    if ("error" in result) throw new Error(`subscribe was refused: ${JSON.stringify(result)}`);
    channel.isSubscribed = true;
    this.#log({ kind: "joins", ...this.#target(name), user: this.user });
    channel.order.apply(position, result);
    applyLive(result);
  }

  async unsubscribe(container: Container, channel: string): Promise<void> {
    const answer = await this.ask(container, "unsubscribe", { channels: [channel] });
    if (answer?.type === "response") this.#forget(channel);
  }

  async publish(container: Container, channel: string, uid: string, key?: string): Promise<void> {
    const target = { tenant: TENANT, channel };
    this.#log({ kind: "asked", uid, by: this.name, ...target });
    const answer = await this.ask(container, "publish", { channel, data: { uid, ...target }, key });
    if (answer?.type === "response") {
      const { position } = answer.data as unknown as Required<Pick<Subscribed, "position">>;
      this.#log({ kind: "accepted", uid, position, ...target });
    } else this.#log({ kind: "refused", uid, code: answer?.error.code ?? "", mayBeStored: true });
  }

  /** @returns the error of a refusal */
  async stream(container: Container, act: "start" | "end", channel: string): Promise<string | undefined> {
    const acting = { kind: "streams", ...this.#target(channel), user: this.user, act } as const;
    this.#log({ ...acting, outcome: "asked" });
    const answer = await this.ask(container, `stream_${act}`, { channel });
    const isDone = answer?.type === "response";
    this.#log({ ...acting, outcome: isDone ? "done" : "failed" });
    return isDone ? undefined : (answer?.error.code ?? "no answer");
  }

  /** Receives a frame of the server. */
  receive(frame: string): void {
    const message = JSON.parse(frame) as ServerMessage;
    this.#frames.received(message);
    if (message.type === "response") this.#answers.set(message.request_id, message);
    else if (message.type === "error") this.#answers.set(message.request_id ?? "", message);
    else if (message.type === "message") this.#channels.get(message.channel)?.order.add(message);
    else if (message.type === "presence") this.#channels.get(message.channel)?.members?.apply(message);
    else if (isStreamMessage(message)) this.#channels.get(message.channel)?.live.apply(message);
  }

  isSubscribed(channel: string): boolean {
    return this.#channels.get(channel)?.isSubscribed === true;
  }

  live(channel: string): LiveStream | undefined {
    return this.#channels.get(channel)?.live.stream;
  }

  /** Keeps the list of a channel's members from now on. */
  async listMembers(container: Container, channel: string): Promise<void> {
    const answer = await this.ask(container, "presence", { channel });
    if (answer?.type !== "response") throw new Error("presence was refused");
    const members = new MemberList();
    members.replace((answer.data as unknown as PresenceResult).users);
    this.#channels.get(channel)!.members = members;
  }

  /** Logs the users and the live stream that it sees in a channel, and the channel's last position. */
  async observe(container: Container, channel: string): Promise<void> {
    const after = this.#channels.get(channel)?.order.position;
    if (after !== undefined) await this.ask(container, "history", { channel, after });
    const target = { client: this.name, tenant: TENANT, channel };
    const answer = await this.ask(container, "presence", { channel });
    if (answer?.type === "response") {
      const { users } = answer.data as unknown as PresenceResult;
      this.#log({ kind: "present", ...target, source: "asked", users: users.map(({ user }) => user) });
    }
    const { members } = this.#channels.get(channel) ?? {};
    if (members !== undefined) {
      this.#log({ kind: "present", ...target, source: "live", users: [...members.users.keys()] });
    }
    if (!channel.startsWith("show:")) return;
    const { user, since } = this.live(channel) ?? {};
    this.#log({ kind: "live", ...target, source: "live", user, since });
  }

  #open(name: string): ClientChannel {
    const known = this.#channels.get(name);
    if (known !== undefined) return known;
    const subscription = { ...this.#target(name), subscriber: `${this.name} ${name}` };
    this.#log({ kind: "subscribed", ...subscription });
    const channel: ClientChannel = {
      subscriber: subscription.subscriber,
      order: new MessageOrder({
        deliver: (message) => this.#log({ kind: "delivered", ...subscription, ...seenMessage(message) }),
        lost: (position) => this.#log({ kind: "lost", ...subscription, position }),
      }),
      live: new LiveStreamState(),
      isSubscribed: false,
    };
    this.#channels.set(name, channel);
    return channel;
  }

  #left(name: string, channel: ClientChannel): void {
    if (channel.isSubscribed) this.#log({ kind: "leaves", ...this.#target(name), user: this.user });
    channel.isSubscribed = false;
  }

  #forget(name: string): void {
    const channel = this.#channels.get(name);
    if (channel === undefined) return;
    this.#left(name, channel);
    this.#log({ kind: "unsubscribed", ...this.#target(name), subscriber: channel.subscriber });
    this.#channels.delete(name);
  }

  #createFrames(): FrameLog {
    const { name: client, user } = this;
    return new FrameLog({ client, tenant: TENANT, user, log: this.#log, now: this.#now });
  }

  #target(channel: string) {
    return { client: this.name, tenant: TENANT, channel };
  }
}

function isStreamMessage(message: ServerMessage): message is StreamMessage {
  return message.type === "viewers" || message.type.startsWith("stream_");
}
