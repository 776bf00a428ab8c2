import { useMemo } from "react";
import {
  type ChannelMessage,
  type Client,
  ClientError,
  type HistoryResult,
  type Json,
  type Position,
  type PublishOptions,
  type PublishResult,
} from "../client/index.ts";
import { useClient } from "./context.ts";
import { Store, useStore } from "./store.ts";

/** When one of them changes, the channel is loaded anew. */
export interface ChannelOptions {
  /** As many of the newest messages first, 0 to 100. Default 0. */
  readonly recent?: number;
  /** How many of the newest are kept, and what `loadMore` has brought before them. Default 1,000; minimum 1. */
  readonly maxMessages?: number;
}

export interface ChannelState<Data = Json, DataInput = Json> {
  /** Each once, the newest last. */
  readonly messages: readonly ChannelMessage<Data>[];
  /**
   * - `loading`: the server has not answered yet; there are no messages.
   * - `live`: nothing is missing, or will be there as soon as there is a connection: see `useConnectionState`.
   * - `lost`: somewhere in `messages` some are missing, which are past the channel's history; it goes on.
   * - `refused`: by the server, or for a channel or an option that can't be; it has ended.
   */
  readonly status: "loading" | "live" | "lost" | "refused";
  /** Why it is `lost` or `refused`. */
  readonly error: ClientError | undefined;
  /** There may be messages before the first one. */
  readonly hasMore: boolean;
  /** As `client.publish`. */
  publish(data: DataInput, options?: PublishOptions): Promise<PublishResult>;
  /** Puts up to 100 of the history before the first message; while that is under way, nothing more. Rejects as `client.history`. */
  loadMore(): Promise<void>;
  /** Forgets everything, and subscribes anew: after `lost`, or when `refused` for a reason that is no more. */
  reload(): void;
}

/**
 * Listens to a channel while the component is mounted. It is another object with every change, and the same one until
 * then; its functions are the same as long as the channel and the options are.
 */
export function useChannel(
  channel: string,
  { recent = 0, maxMessages = 1_000 }: ChannelOptions = {},
): ChannelState {
  const client = useClient();
  const store = useMemo(
    () => new ChannelStore(client, channel, recent, maxMessages),
    [client, channel, recent, maxMessages],
  );
  return useStore(store);
}

class ChannelStore extends Store<ChannelState> {
  readonly #client: Client;
  readonly #channel: string;
  readonly #recent: number;
  readonly #maxMessages: number;
  /** What has come while it is loading. */
  #early: ChannelMessage[] = [];
  /** How many messages are kept now. */
  #room = 0;
  #loadingMore: Promise<void> | undefined;

  constructor(client: Client, channel: string, recent: number, maxMessages: number) {
    super({
      messages: [],
      status: "loading",
      error: undefined,
      hasMore: false,
      publish: (data, options) => client.publish(channel, data, options),
      loadMore: () => this.#loadMore(),
      reload: () => this.restart(),
    });
    this.#client = client;
    this.#channel = channel;
    this.#recent = recent;
    this.#maxMessages = maxMessages;
  }

  protected override begin(life: AbortSignal): void {
    this.#early = [];
    this.#room = this.#maxMessages;
    const refused = (error: ClientError) => this.update({ status: "refused", error, hasMore: false });
    try {
      check(this.#maxMessages);
      const subscription = this.#client.subscribe(this.#channel, {
        recent: this.#recent,
        signal: life,
        onMessage: (message) => this.#take(message),
        onLost: (position) => this.#lost(position),
        onError: refused,
      });
      subscription.ready.then(
        () => {
          if (!life.aborted) this.#live();
        },
        // `onError` has been told, or nobody listens any more.
        () => {},
      );
    } catch (error) {
      refused(error as ClientError);
    }
  }

  #live(): void {
    // It may have been told of a loss meanwhile.
    if (this.getSnapshot().status !== "loading") return;
    const messages = this.#early;
    this.#show(messages, { status: "live", hasMore: messages.length >= this.#recent });
  }

  #take(message: ChannelMessage): void {
    const { status, messages } = this.getSnapshot();
    if (status === "loading") this.#early.push(message);
    // A page of history may have brought it already.
    else if (!(ahead(messages.at(-1), message) >= 0)) this.#show([...messages, message]);
  }

  #lost(position: Position): void {
    const message = `Messages of ${this.#channel} are missing that are past its history`;
    const error = new ClientError("HISTORY_LOST", message, { position });
    this.#live();
    this.update({ status: "lost", error });
  }

  /** As many of the newest as there is room for. */
  #show(messages: readonly ChannelMessage[], change: Partial<ChannelState> = {}): void {
    const { hasMore } = { ...this.getSnapshot(), ...change };
    const tooMany = messages.length > this.#room;
    this.update({
      ...change,
      messages: tooMany ? messages.slice(-this.#room) : messages,
      hasMore: hasMore || tooMany,
    });
  }

  #loadMore(): Promise<void> {
    const { life } = this;
    if (life === undefined || !this.getSnapshot().hasMore) return Promise.resolve();
    this.#loadingMore ??= this.#loadPage(life).finally(() => {
      this.#loadingMore = undefined;
    });
    return this.#loadingMore;
  }

  async #loadPage(life: AbortSignal): Promise<void> {
    const before = this.getSnapshot().messages[0]?.position?.offset;
    const room = this.#room;
    // Were the first message dropped meanwhile, the page would not reach to the next one.
    this.#room = Number.POSITIVE_INFINITY;
    try {
      const asked = before === undefined ? {} : { before };
      const page = await this.#client.history(this.#channel, { ...asked, signal: life });
      if (!life.aborted) this.#prepend(page);
    } catch (error) {
      if (life.aborted) return;
      this.#room = room;
      throw error;
    }
  }

  #prepend(page: HistoryResult): void {
    const { messages } = this.getSnapshot();
    const [first] = messages;
    // Those of another epoch are of another history: nothing is before this one any more.
    const older = page.messages.filter((message) => first === undefined || ahead(first, message) > 0);
    this.#room = Math.max(this.#maxMessages, older.length + messages.length);
    this.#show([...older, ...messages], { hasMore: page.more && older.length > 0 });
  }
}

/** By how many messages; not a number where nobody can say. */
function ahead(one: ChannelMessage | undefined, other: ChannelMessage): number {
  const [a, b] = [one?.position, other.position];
  return a !== undefined && b !== undefined && a.epoch === b.epoch ? a.offset - b.offset : Number.NaN;
}

function check(maxMessages: number): void {
  if (Number.isInteger(maxMessages) && maxMessages >= 1) return;
  throw new ClientError("INVALID_OPTION", "maxMessages must be an integer of at least 1");
}
