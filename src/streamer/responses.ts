import type { Json, ResponseMessage, Results } from "../protocol/index.ts";
import type { Session } from "./core.ts";
import { log } from "./fan-out/errors.ts";

export function response(requestId: string, data: Results[keyof Results]): ResponseMessage {
  return {
    type: "response",
    request_id: requestId,
    success: true,
    data: data as unknown as { readonly [name: string]: Json },
  };
}

/**
 * Answers a request. What was asked has happened by now, so that a failure to say so is no error of the request.
 * @returns `false`: the client is gone
 */
export async function answer<Action extends keyof Results>(
  { ctx, requestId, logger }: Session,
  data: Results[Action],
): Promise<boolean> {
  try {
    // Its $connect has finished, or there would be no message: whoever is not there now has left.
    return (await ctx.reply(response(requestId, data))) === "sent";
  } catch (error) {
    log(logger, "warn", "An answer was not sent", { error });
    return true;
  }
}
