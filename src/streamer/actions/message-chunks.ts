import { LiftError } from "../../lift/index.ts";
import {
  type ErrorMessage,
  LIMITS,
  type PartPayload,
  parseRequest,
  type Request,
  utf8Length,
} from "../../protocol/index.ts";
import {
  CHUNKS_TIMEOUT_MS,
  type MessageChunks,
  type Schedule,
  type ScheduledItem,
} from "../../store/index.ts";
import type { Scope, Session } from "../core.ts";
import { fromStore, log } from "../fan-out/errors.ts";

/** The kind of the items that end what is not whole in time. */
export const PARTS = "streamer:parts";

const LATE = "Its other parts did not come in time, or a later message has taken its place";

/** What the schedule keeps of a message, so that its client is told. */
interface Waiting {
  readonly endpoint: string;
  readonly message: number;
  readonly requestId: string;
}

/** Puts the messages together that come in parts. */
export class Parts {
  readonly #parts: MessageChunks;
  readonly #schedule: Schedule | undefined;
  readonly #now: () => number;

  constructor(parts: MessageChunks, schedule: Schedule | undefined, now: () => number) {
    this.#parts = parts;
    this.#schedule = schedule;
    this.#now = now;
  }

  /**
   * Resolves to the request, if this was the last part of it that was missing.
   * @param id what the part has for one
   * @throws {LiftError} TIMEOUT, TOO_LARGE, VALIDATION_ERROR, STORE_FAILED
   * @throws {ProtocolError} as of any message
   */
  async join(part: PartPayload, id: string | undefined, session: Session): Promise<Request | undefined> {
    const { ctx, budget } = session;
    const joined = await fromStore(this.#parts.add(ctx.connectionId, part, this.#now(), budget));
    if (joined === "closed") throw new LiftError("TIMEOUT", { message: LATE });
    if (joined === "opened") await this.#wait(part.message, session);
    if (typeof joined === "string") return undefined;
    if (utf8Length(joined.whole) > LIMITS.frameBytes) throw tooLarge();
    const request = parseRequest(joined.whole);
    if (request.id === id && request.action !== "part") return request;
    throw new LiftError("VALIDATION_ERROR", { message: "A message has the id of its parts, and is none" });
  }

  /** What a tick does with an item. */
  async look({ id, data }: ScheduledItem, { budget, broadcast }: Scope): Promise<void> {
    const { endpoint, message, requestId } = data as unknown as Waiting;
    if (!(await fromStore(this.#parts.abort(id, message, budget)))) return;
    const { code, retry } = new LiftError("TIMEOUT");
    const error: ErrorMessage = {
      type: "error",
      request_id: requestId,
      error: { code, message: LATE, retry },
    };
    await broadcast(endpoint, [id], JSON.stringify(error));
  }

  /** That nobody would be told is no reason to refuse what may well be whole in a moment. */
  async #wait(message: number, { ctx, requestId, budget, logger }: Session): Promise<void> {
    const { endpoint } = ctx.asWebSocket();
    const data = { endpoint, message, requestId };
    const item = { kind: PARTS, id: ctx.connectionId, dueAt: this.#now() + CHUNKS_TIMEOUT_MS, data };
    try {
      await this.#schedule?.put(item, budget);
    } catch (error) {
      log(logger, "warn", "The end of a message in parts was not scheduled", { error });
    }
  }
}

function tooLarge(): LiftError {
  return new LiftError("TOO_LARGE", {
    status: 413,
    message: `A message has at most ${LIMITS.frameBytes} bytes`,
  });
}
