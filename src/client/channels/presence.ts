import type {
  ChannelIn,
  Json,
  JsonNamespaces,
  Namespaces,
  PresenceResult,
  TypesOf,
} from "../../protocol/index.ts";
import { connectionClosed, serialize } from "../connection/session.ts";
import type { ClientCore } from "../core.ts";
import type { ClientError } from "../errors.ts";
import type { ClientFeature } from "../feature.ts";
import { BY_USER } from "../requests/message-handlers.ts";
import type { RequestOptions } from "../requests/timeouts.ts";
import type { Channel } from "./channel.ts";
import { type Members, openMembers } from "./members.ts";
import { noAnswer, type SubscriptionSync } from "./subscription-sync.ts";

/** Options of `presence`. */
export interface PresenceOptions extends RequestOptions {
  /** Returns the users after this user id, which may have left. Default: from the start. */
  readonly after?: string;
}

/** The methods of the feature `presence`. */
export interface PresenceMethods<Types extends Namespaces = JsonNamespaces> {
  /** Reads a page of the users in a channel, as many as fit into one frame. @throws {ClientError} */
  presence<Channel extends ChannelIn<Types>>(
    channel: Channel,
    options?: PresenceOptions,
  ): Promise<PresenceResult<TypesOf<Types, Channel>["state"]>>;
  /** Sets the user's presence state in a channel that it is in. The client restores it after a reconnect. @throws {ClientError} */
  setPresence<Channel extends ChannelIn<Types>>(
    channel: Channel,
    state: TypesOf<Types, Channel>["stateInput"] | undefined,
    options?: RequestOptions,
  ): Promise<void>;
  /** Watches the users in a channel. @throws {ClientError} INVALID_CHANNEL */
  members<Channel extends ChannelIn<Types>>(channel: Channel): Members<TypesOf<Types, Channel>["state"]>;
}

/**
 * The users in a channel and their states: `members`, `presence`, `setPresence`, and the options `state` and `onPresence` of
 * `subscribe`.
 * @example
 * const client = createClient({ url, use: [presence()] });
 */
export function presence(): ClientFeature {
  return { install: installPresence };
}

function installPresence({ channels, requests, reportError }: ClientCore): PresenceMethods {
  channels.on("presence", BY_USER, (channel, message) => {
    if (channel.isNew(message)) channel.presence(message);
  });
  channels.created.on((channel) => {
    channel.stale.on((subscribed) => {
      if (!subscribed) return;
      for (const sync of channels.syncs.values()) {
        // The state changed meanwhile. Ignores errors here: the caller of `setPresence` gets them.
        const isSent = sync.entries.get(channel.name)?.version === channel.version;
        if (!isSent) sendState(sync, channel).catch(() => {});
      }
    });
  });
  const setPresence = async (name: string, state: Json | undefined, patience?: RequestOptions) => {
    serialize({ state });
    channels.desired.get(name)?.setState(state);
    await requests.run<unknown>(patience, async (session, signal) => {
      const channel = channels.desired.get(name);
      // The server refuses it for a channel that the user is not in.
      if (!channel) return session.request("set_presence", { channel: name, state }, { signal });
      const sync = channels.syncs.get(session);
      if (!sync) throw connectionClosed();
      return sendState(sync, channel);
    });
  };
  channels.setState = (channel, state) => {
    if (channel.isSubscribed) setPresence(channel.name, state).catch(reportError);
    else channel.setState(state);
  };
  return {
    setPresence,
    presence: (channel, given) => requests.query("presence", { ...given, channel }),
    members: (channel) => openMembers(channel, channels, requests, reportError),
  };
}

/** Sends the user's current state, unless the subscription or another call has sent it. */
async function sendState(sync: SubscriptionSync, channel: Channel): Promise<void> {
  await sync.syncAgain();
  const { name } = channel;
  const entry = sync.entries.get(name);
  if (!entry) throw noAnswer();
  const request = entry.last
    .catch(() => {})
    .then(async () => {
      if (sync.entries.get(name)?.channel !== channel) throw noAnswer();
      const { state, version } = channel;
      if (entry.version === version) return;
      try {
        await sync.session.request("set_presence", { channel: name, state });
      } catch (error) {
        // The server would refuse the channel to the next session with this state.
        const isLast = channel.version === version && entry.last === request;
        if (isLast && !(error as ClientError).retry) channel.state = entry.state;
        throw error;
      }
      Object.assign(entry, { state, version });
    });
  entry.last = request;
  await request;
}
