import { LiftError } from "../../lift/index.ts";
import type { PresencePayload, SetPresencePayload, UserPresence } from "../../protocol/index.ts";
import type { ChannelMembers, Presence } from "../../store/index.ts";
import { authorize } from "../access.ts";
import type { ClientRequest } from "../call-context.ts";
import { type Channel, type Channels, requirePresence } from "../channels.ts";
import { awaitStore } from "../errors.ts";
import type { MemberRemover } from "../membership/leave.ts";
import type { PresenceOrder } from "../membership/presence-order.ts";
import { enforceRate } from "../rates.ts";
import { ByteBudget, createResponse, sendResponse } from "../responses.ts";
import { validateState } from "../schemas.ts";

interface PresenceActionsOptions {
  readonly channels: Channels;
  readonly members: ChannelMembers;
  readonly order: PresenceOrder;
  readonly remover: MemberRemover;
  /** ms since the epoch. */
  readonly now: () => number;
}

/** Handles `presence` and `set_presence`. */
export class PresenceActions {
  readonly #channels: Channels;
  readonly #members: ChannelMembers;
  readonly #order: PresenceOrder;
  readonly #remover: MemberRemover;
  readonly #now: () => number;

  constructor({ channels, members, order, remover, now }: PresenceActionsOptions) {
    this.#channels = channels;
    this.#members = members;
    this.#order = order;
    this.#remover = remover;
    this.#now = now;
  }

  /** Sends as many users as fit into one frame. */
  async list({ channel: name, after }: PresencePayload, request: ClientRequest): Promise<void> {
    const channel = this.#channels.get(name, request.identity);
    await authorize("subscribe", request.identity, channel);
    requirePresence(channel);
    const bytes = new ByteBudget(createResponse(request.requestId, { users: [], more: false }));
    await sendResponse<"presence">(request, await awaitStore(this.#readUsers(channel, after, bytes)));
  }

  async setState({ channel: name, state: input }: SetPresencePayload, request: ClientRequest): Promise<void> {
    const { identity, budget } = request;
    const channel = this.#channels.get(name, identity);
    await authorize("subscribe", identity, channel);
    requirePresence(channel);
    const { userId } = identity;
    if (userId === undefined) {
      throw new LiftError("UNAUTHORIZED", { message: "Anonymous users cannot set presence" });
    }
    await enforceRate("set_presence", channel, request);
    const state = await validateState(channel, input);
    const at = this.#order.updatedAt(channel.key, userId);
    const isPresent = await awaitStore(this.#members.setState(channel.key, userId, state, budget));
    if (!isPresent) throw new LiftError("FORBIDDEN", { message: "The user is not in the channel" });
    const change = { userId, at, ...(state === undefined ? {} : { state }) };
    const announced = this.#remover.announce(channel.key, "update", change, request);
    await Promise.all([sendResponse<"set_presence">(request, {}), announced]);
  }

  async #readUsers(channel: Channel, after: string | undefined, bytes: ByteBudget) {
    const users: UserPresence[] = [];
    for await (const presence of this.#members.listPresence(channel.key, this.#now(), after)) {
      const fitting = bytes.takeFirst([toUserPresence(presence)]);
      if (fitting.length === 0) return { users, more: true };
      users.push(...fitting);
    }
    return { users, more: false };
  }
}

/** Converts a stored presence to the form that clients receive. */
export function toUserPresence({ userId, since, state }: Presence): UserPresence {
  return { user: userId, since, ...(state === undefined ? {} : { state }) };
}
