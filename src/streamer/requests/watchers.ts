import { logSafely } from "../../internal/log-safely.ts";
import type { ServerMessage } from "../../protocol/index.ts";
import type { CallContext } from "../call-context.ts";
import type { FanOut } from "../fan-out/fan-out.ts";
import type { MemberRemover } from "../membership/leave.ts";
import { toRequestChannelKey, type Watched } from "./request-keys.ts";

/** Sends messages about a request to the connection that made it and to the members of its channel. */
export class Watchers {
  readonly #fanOut: FanOut;
  readonly #remover: MemberRemover;

  constructor(fanOut: FanOut, remover: MemberRemover) {
    this.#fanOut = fanOut;
    this.#remover = remover;
  }

  /**
   * Never rejects: a client that misses a message reads the request's state and output from the store.
   * @returns whether the connection that made the request is still open
   */
  async send(watched: Watched, message: ServerMessage, context: CallContext): Promise<boolean> {
    const { id, requester } = watched;
    const frame = JSON.stringify(message);
    try {
      const [isOpen] = await Promise.all([
        this.#sendToRequester(requester, frame, context),
        this.#sendToMembers(watched, frame, context),
      ]);
      return isOpen;
    } catch (error) {
      logSafely(context.logger, "warn", "A message about a request was not sent", { requestId: id, error });
      return true;
    }
  }

  async #sendToRequester(
    requester: Watched["requester"],
    frame: string,
    context: CallContext,
  ): Promise<boolean> {
    if (requester === undefined) return false;
    const { endpoint, connectionId } = requester;
    const { results = [] } = await context.broadcast(endpoint, [connectionId], frame);
    return !results.some(({ outcome }) => outcome === "gone");
  }

  /** @throws {LiftError} INTERNAL_ERROR when the channel's key is too long */
  async #sendToMembers(watched: Watched, frame: string, context: CallContext): Promise<void> {
    const key = toRequestChannelKey(watched, watched.id);
    const others = watched.requester?.connectionId;
    const { gone } = await this.#fanOut.send(key, frame, context, { others });
    await this.#remover.removeGone(gone, context, [key]);
  }
}
