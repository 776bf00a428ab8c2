import { LiftError } from "../../lift/index.ts";
import type { StreamEndPayload, StreamPayload, StreamStartPayload } from "../../protocol/index.ts";
import { authorize } from "../access.ts";
import type { ClientRequest } from "../call-context.ts";
import { toSubChannelKey } from "../channel-keys.ts";
import { type Channels, requireLiveStreams } from "../channels.ts";
import { assertOwner, type LiveStreams } from "../live-streams/live-streams.ts";
import type { StreamLog } from "../live-streams/stream-log.ts";
import type { StreamOwners } from "../live-streams/stream-owners.ts";
import type { StaleConnections } from "../membership/stale-connections.ts";
import { enforceRate } from "../rates.ts";
import { sendResponse } from "../responses.ts";

interface LiveStreamActionsOptions {
  readonly channels: Channels;
  readonly liveStreams: LiveStreams;
  readonly streamLog: StreamLog;
  readonly owners: StreamOwners;
  readonly staleConnections: StaleConnections;
}

/** Handles `stream_start`, `stream_end` and `stream`. */
export class LiveStreamActions {
  readonly #channels: Channels;
  readonly #liveStreams: LiveStreams;
  readonly #streamLog: StreamLog;
  readonly #owners: StreamOwners;
  readonly #staleConnections: StaleConnections;

  constructor(options: LiveStreamActionsOptions) {
    this.#channels = options.channels;
    this.#liveStreams = options.liveStreams;
    this.#streamLog = options.streamLog;
    this.#owners = options.owners;
    this.#staleConnections = options.staleConnections;
  }

  async start({ channel: name, data }: StreamStartPayload, request: ClientRequest): Promise<void> {
    const { identity, budget } = request;
    const channel = this.#channels.get(name, identity);
    await authorize("publish", identity, channel);
    requireLiveStreams(channel);
    const { key } = channel;
    const { userId: user } = identity;
    if (user === undefined) {
      throw new LiftError("UNAUTHORIZED", { message: "Anonymous users cannot start a stream" });
    }
    await enforceRate("stream_start", channel, request);
    assertOwner(await this.#streamLog.live(key, budget), user);
    // Before the stream starts, so that the end of this connection is noticed.
    await this.#owners.addOwner(key, user, request);
    const { live, fanOut } = await this.#liveStreams.start(key, { user, data }, request);
    const [isConnected] = await Promise.all([sendResponse<"stream_start">(request, { live }), fanOut]);
    if (!isConnected) await this.#staleConnections.removeEnded(request, [toSubChannelKey(key, "owners")]);
  }

  async end({ channel: name }: StreamEndPayload, request: ClientRequest): Promise<void> {
    const { identity, budget } = request;
    const channel = this.#channels.get(name, identity);
    requireLiveStreams(channel);
    const live = await this.#streamLog.live(channel.key, budget);
    // The owner may end the stream even after losing the right to publish. For all others the right is checked first, so
    // that the error does not reveal whether somebody streams.
    if (live === undefined || live.user !== identity.userId) await authorize("publish", identity, channel);
    await this.#liveStreams.end(channel.key, "ended", request, (current) => {
      assertOwner(current, identity.userId);
      return true;
    });
    await sendResponse<"stream_end">(request, {});
  }

  async get({ channel: name }: StreamPayload, request: ClientRequest): Promise<void> {
    const channel = this.#channels.get(name, request.identity);
    await authorize("subscribe", request.identity, channel);
    requireLiveStreams(channel);
    const live = await this.#liveStreams.get(channel, request.budget);
    await sendResponse<"stream">(request, live === undefined ? {} : { live });
  }
}
