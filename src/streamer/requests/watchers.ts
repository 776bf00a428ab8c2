import { logSafely } from "../../internal/log-safely.ts";
import type { ServerMessage } from "../../protocol/index.ts";
import type { CallContext } from "../call-context.ts";
import type { FanOut } from "../fan-out/fan-out.ts";
import type { MemberRemover } from "../membership/leave.ts";
import { toRequestChannelKey, type Watched } from "./request-keys.ts";

/** Sends messages to those who watch a request: the connection that made it, and the members of its channel. */
export class Watchers {
  readonly #fanOut: FanOut;
  readonly #remover: MemberRemover;

  constructor(fanOut: FanOut, remover: MemberRemover) {
    this.#fanOut = fanOut;
    this.#remover = remover;
  }

  /**
   * Never rejects: who misses a message finds the request's state and output in the store.
   * @returns whether the connection that made the request is still open
   */
  async send(watched: Watched, message: ServerMessage, context: CallContext): Promise<boolean> {
    const { id, requester } = watched;
    const key = toRequestChannelKey(watched, id);
    const frame = JSON.stringify(message);
    try {
      const [isOpen, { gone }] = await Promise.all([
        this.#sendToRequester(requester, frame, context),
        this.#fanOut.send(key, frame, context, { others: requester?.connectionId }),
      ]);
      await this.#remover.removeGone(gone, context, [key]);
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
}
