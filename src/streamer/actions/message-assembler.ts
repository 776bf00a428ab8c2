import { logSafely } from "../../internal/log-safely.ts";
import { LiftError } from "../../lift/index.ts";
import {
  type CallMessage,
  type ErrorMessage,
  LIMITS,
  type PartPayload,
  parseMessage,
  type Request,
  utf8Length,
} from "../../protocol/index.ts";
import {
  CHUNKS_TIMEOUT_MS,
  type MessageChunks,
  type Schedule,
  type ScheduledItem,
} from "../../store/index.ts";
import type { CallContext, ClientRequest } from "../call-context.ts";
import { awaitStore } from "../errors.ts";

/** The kind of the scheduled item that aborts a message whose chunks are incomplete. */
export const ABORT_MESSAGE = "streamer:parts";

const ABORTED = "Its other chunks did not arrive in time, or a later message has replaced it";

/** The data of an incomplete message in the schedule: what an error frame to its client needs. */
interface IncompleteMessage {
  readonly endpoint: string;
  readonly message: number;
  readonly requestId: string;
}

/** Reassembles messages that clients send in chunks, as the action `part`. */
export class MessageAssembler {
  readonly #chunks: MessageChunks;
  readonly #schedule: Schedule | undefined;
  readonly #now: () => number;
  readonly #isCall: (action: string) => boolean;

  /** @param isCall whether the application has registered an action */
  constructor(
    chunks: MessageChunks,
    schedule: Schedule | undefined,
    now: () => number,
    isCall: (action: string) => boolean,
  ) {
    this.#isCall = isCall;
    this.#chunks = chunks;
    this.#schedule = schedule;
    this.#now = now;
  }

  /**
   * Adds a chunk. Resolves to the reassembled request when it was the last missing one, else to `undefined`.
   * @param id the request ID of the chunk; the reassembled request must have the same
   * @throws {LiftError} TIMEOUT, TOO_LARGE, VALIDATION_ERROR, STORE_FAILED
   * @throws {ProtocolError} when the reassembled request is invalid
   */
  async add(
    chunk: PartPayload,
    id: string | undefined,
    request: ClientRequest,
  ): Promise<Request | CallMessage | undefined> {
    const { ctx, budget } = request;
    const result = await awaitStore(this.#chunks.add(ctx.connectionId, chunk, this.#now(), budget));
    if (result === "closed") throw new LiftError("TIMEOUT", { message: ABORTED });
    if (result === "opened") await this.#scheduleAbort(chunk.message, request);
    if (typeof result === "string") return undefined;
    const bytes = utf8Length(result.whole);
    if (bytes > LIMITS.messageBytes) {
      const message = `The message has ${bytes} bytes; the maximum is ${LIMITS.messageBytes}`;
      throw new LiftError("TOO_LARGE", { status: 413, message });
    }
    const reassembled = parseMessage(result.whole, this.#isCall);
    if (reassembled.id === id && reassembled.action !== "part") return reassembled;
    throw new LiftError("VALIDATION_ERROR", {
      message: "The reassembled message must have the `id` of its chunks and an action other than `part`",
    });
  }

  /** Aborts an incomplete message when its time is up, and sends its client an error. */
  async onTick({ id, data }: ScheduledItem, { budget, broadcast }: CallContext): Promise<void> {
    const { endpoint, message, requestId } = data as unknown as IncompleteMessage;
    if (!(await awaitStore(this.#chunks.abort(id, message, budget)))) return;
    const { code, retry } = new LiftError("TIMEOUT");
    const error: ErrorMessage = {
      type: "error",
      request_id: requestId,
      error: { code, message: ABORTED, retry },
    };
    await broadcast(endpoint, [id], JSON.stringify(error));
  }

  /** A failure is only logged: the message may well be complete in a moment. */
  async #scheduleAbort(message: number, { ctx, requestId, budget, logger }: ClientRequest): Promise<void> {
    const { endpoint } = ctx.asWebSocket();
    const data = { endpoint, message, requestId };
    const item = { kind: ABORT_MESSAGE, id: ctx.connectionId, dueAt: this.#now() + CHUNKS_TIMEOUT_MS, data };
    try {
      await this.#schedule?.put(item, budget);
    } catch (error) {
      logSafely(logger, "warn", "The timeout of a chunked message was not scheduled", { error });
    }
  }
}
