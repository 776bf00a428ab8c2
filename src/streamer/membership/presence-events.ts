import { randomUUID } from "node:crypto";
import { logSafely } from "../../internal/log-safely.ts";
import type { TimeSlices } from "../../internal/time-slices.ts";
import type { PresenceMessage } from "../../protocol/index.ts";
import type { Json } from "../../store/index.ts";
import type { CallContext } from "../call-context.ts";
import { channelFromKey } from "../channel-keys.ts";
import type { FanOut } from "../fan-out/fan-out.ts";

/** A user whose presence has changed. */
export interface PresenceChange {
  readonly userId: string;
  readonly state?: Json;
  /** ms since the epoch. */
  readonly at: number;
}

/** Sends presence events to members. They are not stored: a client that misses one requests `presence` again. */
export class PresenceEvents {
  readonly #fanOut: FanOut;
  readonly #slices: TimeSlices;

  constructor(fanOut: FanOut, slices: TimeSlices) {
    this.#fanOut = fanOut;
    this.#slices = slices;
  }

  /** Resolves to the IDs of members whose connections have ended. Never rejects. */
  async send(
    key: string,
    event: PresenceMessage["event"],
    { userId, state, at }: PresenceChange,
    context: CallContext,
  ): Promise<readonly string[]> {
    // When many leave at once, all are removed before the first event is sent, so that fewer connections receive it.
    await this.#slices.next();
    const message: PresenceMessage = {
      type: "presence",
      id: randomUUID(),
      channel: channelFromKey(key),
      event,
      user: userId,
      at,
      ...(state === undefined || event === "leave" ? {} : { state }),
    };
    try {
      const onPage = () => this.#slices.next();
      const { complete, gone } = await this.#fanOut.send(key, JSON.stringify(message), context, { onPage });
      if (!complete) logSafely(context.logger, "warn", "A presence event ran out of time", { event });
      return gone;
    } catch (error) {
      logSafely(context.logger, "error", "A presence event was not sent", { event, error });
      return [];
    }
  }
}
