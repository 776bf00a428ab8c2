import { type AnyContext, LiftError } from "../lift/index.ts";
import type { CallMessage, LegacyMessage, RefreshPayload, Request } from "../protocol/index.ts";
import type { BlobActions } from "./actions/blobs.ts";
import type { HeartbeatAction } from "./actions/heartbeat.ts";
import type { HistoryAction } from "./actions/history.ts";
import type { LiveStreamActions } from "./actions/live-streams.ts";
import { readAction, toMessageAction } from "./actions/message-action.ts";
import type { MessageAssembler } from "./actions/message-assembler.ts";
import type { PresenceActions } from "./actions/presence.ts";
import type { PublishAction } from "./actions/publish.ts";
import type { SubscribeAction } from "./actions/subscribe.ts";
import type { UnsubscribeAction } from "./actions/unsubscribe.ts";
import type { ClientRequest } from "./call-context.ts";
import type { CustomRoutes } from "./custom-routes.ts";
import type { Namespace } from "./namespaces.ts";
import type { RequestCalls } from "./requests/calls.ts";
import type { RequestActions } from "./requests/request-actions.ts";

/** The actions of the protocol. */
interface Actions {
  readonly subscribe: SubscribeAction;
  readonly unsubscribe: UnsubscribeAction;
  readonly publish: PublishAction;
  readonly history: HistoryAction;
  readonly presence: PresenceActions;
  readonly liveStreams: LiveStreamActions;
  readonly heartbeat: HeartbeatAction;
  readonly blobs: BlobActions;
  readonly assembler: MessageAssembler;
  readonly calls: RequestCalls;
  /** Absent when the store keeps no requests. */
  readonly requests: RequestActions | undefined;
  /** Replaces the connection's token. Absent without authentication. */
  readonly refresh: ((ctx: AnyContext, token: string) => Promise<void>) | undefined;
}

/** Runs the action that a client's message asks for. */
export class Dispatcher {
  readonly #actions: Actions;
  readonly #customRoutes: CustomRoutes;
  readonly #namespaces: ReadonlyMap<string, Namespace>;

  constructor(actions: Actions, customRoutes: CustomRoutes, namespaces: ReadonlyMap<string, Namespace>) {
    this.#actions = actions;
    this.#customRoutes = customRoutes;
    this.#namespaces = namespaces;
  }

  /**
   * Runs the action and sends its response.
   * @throws {LiftError} before any response is sent; FORBIDDEN when the application has a route for the action
   */
  async dispatch(message: Request | CallMessage, request: ClientRequest): Promise<void> {
    this.#customRoutes.refuse(readAction(message));
    const actions = this.#actions;
    switch (message.action) {
      case "subscribe":
        return actions.subscribe.run(message.payload, request);
      case "unsubscribe":
        return actions.unsubscribe.run(message.payload, request);
      case "publish":
        return actions.publish.run(message.payload, request);
      case "history":
        return actions.history.run(message.payload, request);
      case "presence":
        return actions.presence.list(message.payload, request);
      case "set_presence":
        return actions.presence.setState(message.payload, request);
      case "stream_start":
        return actions.liveStreams.start(message.payload, request);
      case "stream_end":
        return actions.liveStreams.end(message.payload, request);
      case "stream":
        return actions.liveStreams.get(message.payload, request);
      case "heartbeat":
        return actions.heartbeat.run(message.payload, request);
      case "upload":
        return actions.blobs.upload(message.payload, request);
      case "download":
        return actions.blobs.download(message.payload, request);
      case "call":
        return actions.calls.call(message.payload, request);
      case "resend":
        return actions.calls.resend(message.payload, request);
      case "request":
        return this.#requests.read(message.payload, request);
      case "result":
        return this.#requests.result(message.payload, request);
      case "requests":
        return this.#requests.list(message.payload, request);
      case "cancel":
        return this.#requests.cancel(message.payload, request);
      case "refresh":
        return this.#refresh(message.payload, request);
      case "part":
        return this.#addChunk(message, request);
      case "message":
        return this.#runLegacy(message.payload, request);
    }
  }

  get #requests(): RequestActions {
    const { requests } = this.#actions;
    if (requests !== undefined) return requests;
    throw new LiftError("NOT_FOUND", { message: "The server stores no requests: its `store` has none" });
  }

  async #refresh({ token }: RefreshPayload, { ctx }: ClientRequest): Promise<void> {
    const { refresh } = this.#actions;
    if (refresh === undefined) {
      throw new LiftError("NOT_FOUND", {
        message: "The server has no authentication, so no token to refresh",
      });
    }
    await refresh(ctx, token);
  }

  async #addChunk(
    { id, payload }: Extract<Request, { action: "part" }>,
    request: ClientRequest,
  ): Promise<void> {
    const message = await this.#actions.assembler.add(payload, id, request);
    if (message === undefined) return;
    // The application's route has checks of its own, and a message in chunks must not bypass them.
    if (this.#customRoutes.has(message.action)) {
      throw new LiftError("TOO_LARGE", {
        status: 413,
        message: `The application handles \`${message.action}\` with a route of its own; send it in one frame`,
      });
    }
    await request.ctx.actAs(toMessageAction(message, this.#namespaces));
    await this.dispatch(message, request);
  }

  /** Runs a legacy `message` as the action that it means. */
  #runLegacy({ type, channel, data }: LegacyMessage, request: ClientRequest): Promise<void> {
    if (type !== "presence") return this.#actions.publish.run({ channel, data }, request);
    const { state } = data;
    const payload = { channel, ...(state === undefined ? {} : { state }) };
    return this.#actions.presence.setState(payload, request);
  }
}
