import { logSafely } from "../internal/log-safely.ts";
import {
  type Json,
  LIMITS,
  type ResponseMessage,
  type Results,
  type ServerMessage,
} from "../protocol/index.ts";
import type { ClientRequest } from "./call-context.ts";
import { jsonBytes } from "./messages.ts";

/** @param data for one of the application's own actions any JSON */
export function createResponse(requestId: string, data: Results[keyof Results] | Json): ResponseMessage {
  return {
    type: "response",
    request_id: requestId,
    success: true,
    data: data as Json,
  };
}

/** Sends the response of a request, as `sendAnswer` does. */
export function sendResponse<Action extends keyof Results>(
  request: ClientRequest,
  data: Results[Action],
): Promise<boolean> {
  return sendAnswer(request, createResponse(request.requestId, data));
}

/**
 * Sends the answer to a request. The action has succeeded by now, so a failure to send is logged and not thrown.
 * @returns `false` when the client has disconnected
 */
export async function sendAnswer({ ctx, logger }: ClientRequest, message: ServerMessage): Promise<boolean> {
  try {
    // A message arrives only after `$connect` has finished, so a connection that does not exist now has ended.
    return (await ctx.reply(message)) === "sent";
  } catch (error) {
    logSafely(logger, "warn", "A response was not sent", { error });
    return true;
  }
}

/** The bytes left in a response frame for the items that it lists. */
export class ByteBudget {
  #bytes: number;

  /** @param envelope the response without the items */
  constructor(envelope: unknown) {
    this.#bytes = LIMITS.messageBytes - jsonBytes(envelope);
  }

  get isSpent(): boolean {
    return this.#bytes <= 0;
  }

  /** Returns the first items that fit. */
  takeFirst<T>(items: readonly T[]): readonly T[] {
    const end = items.findIndex((item) => !this.#take(item));
    return end === -1 ? items : items.slice(0, end);
  }

  /** Returns the last items that fit. */
  takeLast<T>(items: readonly T[]): readonly T[] {
    const end = items.findLastIndex((item) => !this.#take(item));
    return items.slice(end + 1);
  }

  /** An item that does not fit spends the budget too, so that nothing fits after it. */
  #take(item: unknown): boolean {
    this.#bytes -= jsonBytes(item) + 1;
    return this.#bytes >= 0;
  }
}
