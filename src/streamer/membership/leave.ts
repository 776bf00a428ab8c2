import { logSafely } from "../../internal/log-safely.ts";
import type { TimeSlices } from "../../internal/time-slices.ts";
import type { PresenceMessage } from "../../protocol/index.ts";
import type { ChannelMembers, TimeBudget } from "../../store/index.ts";
import type { CallContext } from "../call-context.ts";
import { parentChannelKey, subChannelFromKey } from "../channel-keys.ts";
import type { Channels } from "../channels.ts";
import { awaitStore, collectFromStore } from "../errors.ts";
import type { StreamOwners } from "../live-streams/stream-owners.ts";
import type { PresenceChange, PresenceEvents } from "./presence-events.ts";
import type { PresenceOrder } from "./presence-order.ts";
import type { ViewerCounts } from "./viewer-count.ts";

interface MemberRemoverOptions {
  readonly members: ChannelMembers;
  readonly channels: Channels;
  readonly owners: StreamOwners;
  readonly viewers: ViewerCounts;
  readonly events: PresenceEvents;
  readonly order: PresenceOrder;
  readonly slices: TimeSlices;
  /** ms since the epoch. */
  readonly now: () => number;
}

/**
 * Removes connections from channels and sends the members the presence events and viewer counts that follow. A
 * connection that turns out to have ended while it is sent to is removed likewise.
 */
export class MemberRemover {
  readonly #members: ChannelMembers;
  readonly #channels: Channels;
  readonly #owners: StreamOwners;
  readonly #viewers: ViewerCounts;
  readonly #events: PresenceEvents;
  readonly #order: PresenceOrder;
  readonly #slices: TimeSlices;
  readonly #now: () => number;

  constructor(options: MemberRemoverOptions) {
    this.#members = options.members;
    this.#channels = options.channels;
    this.#owners = options.owners;
    this.#viewers = options.viewers;
    this.#events = options.events;
    this.#order = options.order;
    this.#slices = options.slices;
    this.#now = options.now;
  }

  /** Sends the members of a channel a presence event. Never rejects. */
  async announce(
    key: string,
    event: PresenceMessage["event"],
    change: PresenceChange,
    context: CallContext,
  ): Promise<void> {
    await this.removeGone(await this.#events.send(key, event, change, context), context, [key]);
  }

  /**
   * Sends the members of a channel with live streams its viewer count. Within a second of the last count, it is scheduled
   * instead. Never rejects.
   */
  async announceViewers(key: string, context: CallContext): Promise<void> {
    await this.removeGone(await this.#sendViewerCount(key, context), context, [key]);
  }

  /**
   * Removes ended connections from all their channels. A failure in one channel is logged and does not stop the others.
   * @param foundIn keys of channels to remove them from even when the store does not list them for the connection
   * @returns whether all of them were removed everywhere
   */
  async removeGone(
    connectionIds: readonly string[],
    context: CallContext,
    foundIn: readonly string[] = [],
  ): Promise<boolean> {
    let isComplete = true;
    const gone = new Map(connectionIds.map((id) => [id, foundIn]));
    // A Map's iteration includes entries that are added during it: members that a leave event finds gone.
    for (const [connectionId, found] of gone) {
      await this.#slices.next();
      const onError = (error: unknown) => {
        isComplete = false;
        logSafely(context.logger, "error", "A connection was not removed from a channel", {
          connectionId,
          error,
        });
        return [];
      };
      const listed = await collectFromStore(this.#members.listChannels(connectionId, context.budget)).catch(
        onError,
      );
      const keys = new Set([...listed, ...found]);
      const leave = async (key: string) => {
        for (const id of await this.#leave(key, connectionId, context)) {
          if (!gone.has(id)) gone.set(id, [key]);
        }
      };
      await Promise.all([...keys].map((key) => leave(key).catch(onError)));
    }
    return isComplete;
  }

  /**
   * Removes a connection from one channel, and sends no event.
   * @returns the user who has left, when it was the user's last connection there
   * @throws {LiftError} STORE_FAILED
   */
  async remove(
    key: string,
    connectionId: string,
    budget: TimeBudget | undefined,
  ): Promise<PresenceChange | undefined> {
    const requestedAt = this.#now();
    const presence = await awaitStore(this.#members.remove(key, connectionId, budget));
    return presence && { ...presence, at: this.#order.leftAt(key, presence, requestedAt) };
  }

  /** Resolves to the IDs of members that it found gone. */
  async #leave(key: string, connectionId: string, context: CallContext): Promise<readonly string[]> {
    if (subChannelFromKey(key) === "owners") {
      await this.#owners.removeOwner(parentChannelKey(key), connectionId, context.budget);
      return [];
    }
    const change = await this.remove(key, connectionId, context.budget);
    const gone = change === undefined ? [] : await this.#events.send(key, "leave", change, context);
    return [...gone, ...(await this.#sendViewerCount(key, context))];
  }

  async #sendViewerCount(key: string, context: CallContext): Promise<readonly string[]> {
    const hasLiveStreams = this.#channels.namespaceOf(key)?.live !== undefined;
    return hasLiveStreams ? this.#viewers.onChange(key, context) : [];
  }
}
