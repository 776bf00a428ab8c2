import type { KeyedQueue } from "../../internal/keyed-queue.ts";
import type { UnsubscribePayload } from "../../protocol/index.ts";
import type { ChannelMembers } from "../../store/index.ts";
import type { ClientRequest } from "../call-context.ts";
import { toChannelKey, toSubChannelKey } from "../channel-keys.ts";
import type { Channels } from "../channels.ts";
import { collectFromStore } from "../errors.ts";
import type { StreamOwners } from "../live-streams/stream-owners.ts";
import type { MemberRemover } from "../membership/leave.ts";
import type { PresenceChange } from "../membership/presence-events.ts";
import { sendResponse } from "../responses.ts";

interface UnsubscribeActionOptions {
  readonly channels: Channels;
  readonly members: ChannelMembers;
  readonly owners: StreamOwners;
  readonly remover: MemberRemover;
  /** Serializes the work of each connection within this process. */
  readonly queue: KeyedQueue;
}

/** Handles `unsubscribe`. */
export class UnsubscribeAction {
  readonly #channels: Channels;
  readonly #members: ChannelMembers;
  readonly #owners: StreamOwners;
  readonly #remover: MemberRemover;
  readonly #queue: KeyedQueue;

  constructor({ channels, members, owners, remover, queue }: UnsubscribeActionOptions) {
    this.#channels = channels;
    this.#members = members;
    this.#owners = owners;
    this.#remover = remover;
    this.#queue = queue;
  }

  async run({ channels }: UnsubscribePayload, request: ClientRequest): Promise<void> {
    // The namespace is not looked up: members of a namespace that is not configured any more can leave too.
    const keys = channels.map((name) => toChannelKey(request.identity, name));
    const removals = await this.#queue.run(request.ctx.connectionId, () => this.#remove(keys, request));
    const failed = removals.find((removal) => removal.status === "rejected");
    const announcements = removals.map(async (removal, index) => {
      if (removal.status === "rejected") return;
      const key = keys[index]!;
      if (removal.value !== undefined) await this.#remover.announce(key, "leave", removal.value, request);
      if (this.#hasLiveStreams(key)) await this.#remover.announceViewers(key, request);
    });
    await Promise.all([...announcements, failed === undefined && sendResponse<"unsubscribe">(request, {})]);
    if (failed !== undefined) throw failed.reason;
  }

  async #remove(
    keys: readonly string[],
    { ctx: { connectionId }, budget }: ClientRequest,
  ): Promise<PromiseSettledResult<PresenceChange | undefined>[]> {
    const current = keys.some((key) => this.#hasLiveStreams(key))
      ? await collectFromStore(this.#members.listChannels(connectionId, budget))
      : [];
    const remove = async (key: string) => {
      if (current.includes(toSubChannelKey(key, "owners"))) {
        await this.#owners.removeOwner(key, connectionId, budget);
      }
      return this.#remover.remove(key, connectionId, budget);
    };
    return Promise.allSettled(keys.map(remove));
  }

  #hasLiveStreams(key: string): boolean {
    return this.#channels.namespaceOf(key)?.live !== undefined;
  }
}
