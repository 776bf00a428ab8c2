import { logSafely } from "../../internal/log-safely.ts";
import { LiftError } from "../../lift/index.ts";
import type { ChannelRequest, Refused } from "../../protocol/index.ts";
import type { ChannelMembers, Json } from "../../store/index.ts";
import { authorize } from "../access.ts";
import type { ClientRequest } from "../call-context.ts";
import { subChannelFromKey } from "../channel-keys.ts";
import type { Channel, Channels } from "../channels.ts";
import type { CustomRoutes } from "../custom-routes.ts";
import { awaitStore, collectFromStore, toErrorBody } from "../errors.ts";
import { enforceRate } from "../rates.ts";
import { validateState } from "../schemas.ts";
import type { ConnectionWatch } from "./connection-watch.ts";
import type { MemberRemover } from "./leave.ts";
import type { PresenceOrder } from "./presence-order.ts";

/** One channel of a `subscribe` request, and the outcome so far. */
export interface SubscribeAttempt {
  readonly subscription: ChannelRequest;
  /** Absent: the attempt was refused before the connection joined the channel. */
  readonly channel?: Channel;
  readonly refusal?: Refused;
  /** The connection was not subscribed to the channel before. */
  readonly isNew?: boolean;
  /** The presence event to send to the members. */
  readonly event?:
    | { readonly type: "join" | "update"; readonly at: number; readonly state?: Json }
    | undefined;
}

interface MemberAdderOptions {
  readonly members: ChannelMembers;
  readonly channels: Channels;
  readonly customRoutes: CustomRoutes;
  readonly watch: ConnectionWatch;
  readonly order: PresenceOrder;
  readonly remover: MemberRemover;
  /** Subscriptions per connection. */
  readonly maxSubscriptions: number;
  /** ms since the epoch. */
  readonly now: () => number;
}

/** Adds connections to channels: admits, joins and announces them, or reverts the join. */
export class MemberAdder {
  readonly #members: ChannelMembers;
  readonly #channels: Channels;
  readonly #customRoutes: CustomRoutes;
  readonly #watch: ConnectionWatch;
  readonly #order: PresenceOrder;
  readonly #remover: MemberRemover;
  readonly #maxSubscriptions: number;
  readonly #now: () => number;

  constructor(options: MemberAdderOptions) {
    this.#members = options.members;
    this.#channels = options.channels;
    this.#customRoutes = options.customRoutes;
    this.#watch = options.watch;
    this.#order = options.order;
    this.#remover = options.remover;
    this.#maxSubscriptions = options.maxSubscriptions;
    this.#now = options.now;
  }

  /** Checks the rights and the number of subscriptions, and watches the connection where its end would be noticed. */
  async admit(subscriptions: readonly ChannelRequest[], request: ClientRequest): Promise<SubscribeAttempt[]> {
    const { ctx, identity, budget } = request;
    const attempts = await Promise.all(subscriptions.map((each) => this.#authorize(each, request)));
    const before = await collectFromStore(this.#members.listChannels(ctx.connectionId, budget));
    const subscribed = new Set(before.filter((key) => subChannelFromKey(key) === undefined));
    const admitted = attempts.map((attempt) => this.#limit(attempt, subscribed, request));
    // Before the connection joins: a connection that ends in between is found.
    const isUser = identity.userId !== undefined;
    if (!this.#watch.isRequired(before, isUser) && this.#watch.isRequired([...subscribed], isUser)) {
      await this.#watch.start(request);
    }
    return admitted;
  }

  /** Makes the connection a member of the channel, and stores its user's presence state. */
  async join(attempt: SubscribeAttempt, request: ClientRequest): Promise<SubscribeAttempt> {
    const { subscription, channel } = attempt;
    if (channel === undefined) return attempt;
    const { ctx, identity, budget } = request;
    const { key, namespace } = channel;
    const { endpoint, expiresAt } = ctx.asWebSocket();
    const userId = namespace.presence ? identity.userId : undefined;
    const { state } = subscription;
    const setsState = userId !== undefined && state !== undefined;
    let event: SubscribeAttempt["event"];
    let mayBeMember = false;
    try {
      // Counted apart from `set_presence`, so that a reconnecting client is not refused for its earlier updates.
      if (setsState) await enforceRate(attempt.isNew ? "subscribe" : "set_presence", channel, request);
      mayBeMember = true;
      const joinedAt = userId === undefined ? this.#now() : this.#order.joinedAt(key, userId);
      const user = userId === undefined ? {} : { userId };
      const member = { connectionId: ctx.connectionId, ...user, endpoint, joinedAt, expiresAt };
      const isFirst = await awaitStore(this.#members.add(key, member, budget));
      if (isFirst) event = { type: "join", at: joinedAt };
      if (!setsState) return { ...attempt, event };
      const at = isFirst ? joinedAt : this.#order.updatedAt(key, userId);
      await awaitStore(this.#members.setState(key, userId, state, budget));
      return { ...attempt, event: { type: isFirst ? "join" : "update", at, state } };
    } catch (thrown) {
      const refused = refuse(subscription, thrown, request);
      return mayBeMember ? { ...attempt, ...refused, event } : refused;
    }
  }

  /**
   * Removes a connection whose subscription failed after it had joined, so that its next attempt is a join again. A
   * connection that was a member before stays one. The members still receive the join when the user is present through
   * another connection, or when the removal fails.
   */
  async revert(attempt: SubscribeAttempt, request: ClientRequest): Promise<SubscribeAttempt> {
    const { channel, isNew } = attempt;
    if (channel === undefined || !isNew) return attempt;
    const { connectionId } = request.ctx;
    try {
      const left = await this.#remover.remove(channel.key, connectionId, request.budget);
      return left === undefined ? attempt : { ...attempt, event: undefined };
    } catch (error) {
      logSafely(request.logger, "error", "A failed subscription was not reverted", { connectionId, error });
      return attempt;
    }
  }

  /** Sends the members the presence event and the new viewer count. */
  async announce(attempt: SubscribeAttempt, request: ClientRequest): Promise<void> {
    const { channel, event, isNew } = attempt;
    const { userId } = request.identity;
    if (channel?.namespace.live !== undefined && isNew) {
      await this.#remover.announceViewers(channel.key, request);
    }
    if (channel === undefined || event === undefined || userId === undefined) return;
    const { type, ...change } = event;
    await this.#remover.announce(channel.key, type, { userId, ...change }, request);
  }

  async #authorize(subscription: ChannelRequest, request: ClientRequest): Promise<SubscribeAttempt> {
    const { identity } = request;
    try {
      const channel = this.#channels.get(subscription.channel, identity);
      await authorize("subscribe", identity, channel);
      if (subscription.state !== undefined) this.#customRoutes.refuse("set_presence");
      const state = await validateState(channel, subscription.state);
      return { subscription: state === undefined ? subscription : { ...subscription, state }, channel };
    } catch (thrown) {
      return refuse(subscription, thrown, request);
    }
  }

  /** @param subscribed keys of the connection's channels; a new one is added */
  #limit(attempt: SubscribeAttempt, subscribed: Set<string>, request: ClientRequest): SubscribeAttempt {
    const { subscription, channel } = attempt;
    if (channel === undefined || subscribed.has(channel.key)) return attempt;
    if (subscribed.size >= this.#maxSubscriptions) {
      const message = `A connection has at most ${this.#maxSubscriptions} subscriptions`;
      return refuse(subscription, new LiftError("LIMIT_EXCEEDED", { status: 429, message }), request);
    }
    subscribed.add(channel.key);
    return { ...attempt, isNew: true };
  }
}

function refuse(subscription: ChannelRequest, thrown: unknown, { logger }: ClientRequest): SubscribeAttempt {
  return { subscription, refusal: { channel: subscription.channel, error: toErrorBody(thrown, logger) } };
}
