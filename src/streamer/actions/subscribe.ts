import type { KeyedQueue } from "../../internal/keyed-queue.ts";
import type { SubscribePayload } from "../../protocol/index.ts";
import type { ClientRequest } from "../call-context.ts";
import type { MemberAdder, SubscribeAttempt } from "../membership/join.ts";
import type { StaleConnections } from "../membership/stale-connections.ts";
import { sendResponse } from "../responses.ts";
import type { CatchUp } from "./catch-up.ts";

interface SubscribeActionOptions {
  readonly adder: MemberAdder;
  readonly catchUp: CatchUp;
  readonly staleConnections: StaleConnections;
  /** Serializes the work of each connection within this process. */
  readonly queue: KeyedQueue;
}

/** Handles `subscribe`. */
export class SubscribeAction {
  readonly #adder: MemberAdder;
  readonly #catchUp: CatchUp;
  readonly #staleConnections: StaleConnections;
  readonly #queue: KeyedQueue;

  constructor({ adder, catchUp, staleConnections, queue }: SubscribeActionOptions) {
    this.#adder = adder;
    this.#catchUp = catchUp;
    this.#staleConnections = staleConnections;
    this.#queue = queue;
  }

  async run({ channels }: SubscribePayload, request: ClientRequest): Promise<void> {
    // One message of a connection at a time. Otherwise each would miss the others' subscriptions in its count, and a
    // failed one would revert a join that another has confirmed.
    const { attempts, results } = await this.#queue.run(request.ctx.connectionId, async () => {
      const admitted = await this.#adder.admit(channels, request);
      // The connection joins before the history is read, so that it misses no message in between.
      const joined = await Promise.all(admitted.map((attempt) => this.#adder.join(attempt, request)));
      const results = await this.#catchUp.read(joined, request);
      const revertFailed = (attempt: SubscribeAttempt, index: number) =>
        "error" in results[index]! ? this.#adder.revert(attempt, request) : attempt;
      return { attempts: await Promise.all(joined.map(revertFailed)), results };
    });
    const isConnected = await sendResponse<"subscribe">(request, { channels: results });
    // Announced even when the client has disconnected: another tab's join may have relied on this one.
    await Promise.all(attempts.map((attempt) => this.#adder.announce(attempt, request)));
    await this.#keep(attempts, isConnected, request);
  }

  /** Subscribes the connection to a channel of its own request, without an answer. */
  async watch(channel: string, request: ClientRequest): Promise<void> {
    const { ctx } = request;
    const attempts = await this.#queue.run(ctx.connectionId, async () => {
      const admitted = await this.#adder.admit([{ channel }], request);
      return Promise.all(admitted.map((attempt) => this.#adder.join(attempt, request)));
    });
    const info = ctx.asWebSocket().getConnectionInfo();
    // While the service does not say, the next message to the channel finds out.
    const isConnected = await info.then(
      (found) => found !== undefined,
      () => true,
    );
    await this.#keep(attempts, isConnected, request);
  }

  /** Reverts joins of a connection that has ended: `$disconnect` may have run before it became a member. */
  async #keep(
    attempts: readonly SubscribeAttempt[],
    isConnected: boolean,
    request: ClientRequest,
  ): Promise<void> {
    if (isConnected) return;
    const joinedKeys = attempts.flatMap(({ channel }) => channel?.key ?? []);
    await this.#staleConnections.removeEnded(request, joinedKeys);
  }
}
