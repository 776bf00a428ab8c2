// The stored requests of the model server.
import type {
  ErrorCode,
  ErrorMessage,
  Json,
  Request,
  RequestInfo,
  RequestMessage,
} from "../../src/protocol/index.ts";
import { RETRY_BY_CODE } from "../../src/protocol/index.ts";
import type { ModelServer } from "./model-server.ts";
import type { ModelSocket } from "./model-socket.ts";

/** A call of one of the application's actions. */
interface Call {
  readonly id: string;
  readonly action: string;
  readonly payload?: Json;
  readonly background?: boolean;
  readonly startAt?: number;
}

type Stored = { -readonly [Field in keyof RequestInfo]: RequestInfo[Field] };

/** An error's code, a result in place, or `stored`. */
export type CallAnswer = { readonly code: ErrorCode } | { readonly data: Json } | "stored" | "silent";

export class ModelRequests {
  readonly #server: ModelServer;
  readonly stored = new Map<string, Stored>();
  /** Every call so far, also those in a `resend`. */
  readonly calls: Call[] = [];
  /** How many characters of a result fit into a frame, and into a piece of a larger one. */
  resultSize = 1_000;
  /** Decides how a call is answered. */
  answer: (call: Call) => CallAnswer = () => "stored";
  readonly #requesters = new Map<string, ModelSocket>();

  constructor(server: ModelServer) {
    this.#server = server;
  }

  call(call: Call, socket: ModelSocket, isResent = false): void {
    this.calls.push(call);
    const { id } = call;
    const known = this.stored.get(id);
    const answer = known ? "stored" : this.answer(call);
    if (answer === "silent") return;
    if (answer !== "stored") {
      const resent = errorOf(id, "OUTCOME_UNKNOWN");
      const response = {
        type: "response" as const,
        request_id: id,
        success: true as const,
        data: "data" in answer ? answer.data : null,
      };
      const error = isResent ? resent : "code" in answer && errorOf(id, answer.code);
      socket.deliver(error || response);
      return;
    }
    if (!known) this.store(id, call.action);
    this.#requesters.set(id, socket);
    const isFinal = known && /COMPLETED|FAILED|CANCELLED/.test(known.state);
    const queued = { type: "acknowledgment", request_id: id, status: "queued", message: "" } as const;
    socket.deliver(isFinal ? this.#end(known) : queued);
  }

  /** Stores a request, as if another device had sent it. */
  store(id: string, action = "report"): void {
    const now = this.#server.clock.now();
    this.stored.set(id, {
      id,
      action,
      state: "PENDING",
      attempt: 0,
      createdAt: now,
      updatedAt: now,
      output: 0,
    });
    this.#server.channel(`request:${id}`).epoch = "output";
  }

  progress(id: string, percentage: number, message = "", attempt = 1): void {
    Object.assign(this.stored.get(id)!, {
      state: "PROCESSING",
      attempt,
      progress: { percentage, ...(message && { message }) },
    });
    this.#send(id, { type: "progress", request_id: id, percentage, message, attempt });
  }

  /** Writes a chunk of the output. */
  write(id: string, data: Json): void {
    const name = `request:${id}`;
    this.#server.publish(name, data);
    this.stored.get(id)!.output = this.#server.channel(name).offset;
  }

  /** Compacts the texts of the output into one message, as a later reader gets it. */
  compact(id: string): void {
    const { messages } = this.#server.channel(`request:${id}`);
    const text = messages.map(({ data }) => (data as { text: string }).text).join("");
    const last = messages.at(-1)!;
    messages.splice(0, messages.length, { ...last, data: { text }, from: messages[0]!.position!.offset });
  }

  complete(id: string, result: Json): void {
    Object.assign(this.stored.get(id)!, { state: "COMPLETED", result });
    this.#send(id, this.#end(this.stored.get(id)!));
  }

  fail(id: string, code: ErrorCode, state: "FAILED" | "CANCELLED" = "FAILED"): void {
    Object.assign(this.stored.get(id)!, { state, error: errorOf(id, code).error });
    this.#send(id, this.#end(this.stored.get(id)!));
  }

  handle(request: Request, socket: ModelSocket): Json | ErrorCode | undefined {
    if (request.action === "resend") {
      const { action, ...call } = request.payload;
      this.call({ ...call, action, id: request.id! }, socket, true);
      return undefined;
    }
    if (request.action === "requests") {
      const all = [...this.stored.values()].reverse();
      return { requests: all.map(({ result: _, output: __, ...summary }) => summary) } as never;
    }
    const { request: id, from = 0 } = request.payload as { request: string; from?: number };
    const stored = this.stored.get(id);
    if (!stored) return "NOT_FOUND";
    if (request.action === "request") return this.#info(stored) as never;
    if (request.action === "result") {
      const text = JSON.stringify(stored.result);
      return { text: text.slice(from, from + this.resultSize), more: text.length > from + this.resultSize };
    }
    if (/PENDING|PROCESSING|RETRYING/.test(stored.state)) this.fail(id, "CANCELLED", "CANCELLED");
    return { state: stored.state };
  }

  #info(stored: Stored): RequestInfo {
    const { result, ...rest } = stored;
    const text = JSON.stringify(result) ?? "";
    return text.length > this.resultSize ? { ...rest, result_bytes: Buffer.byteLength(text) } : stored;
  }

  #end(stored: Stored) {
    const { id, output, error } = stored;
    if (error) return { type: "error" as const, request_id: id, error, output };
    const { result, result_bytes } = this.#info(stored);
    const end = result === undefined ? { result_bytes: result_bytes! } : { result };
    return { type: "complete" as const, request_id: id, success: true as const, ...end, output };
  }

  /** Sends to the requester and to all members. */
  #send(id: string, message: RequestMessage | ErrorMessage): void {
    const requester = this.#requesters.get(id);
    for (const socket of this.#server.sockets) {
      if (socket === requester || socket.channels.has(`request:${id}`)) socket.deliver(message);
    }
  }
}

function errorOf(id: string, code: ErrorCode) {
  const error = { code, message: code, retry: RETRY_BY_CODE[code] };
  return { type: "error" as const, request_id: id, error };
}

/** Whether a channel's messages are kept. */
export function isStored(name: string): boolean {
  return /^(?:room|request):/.test(name);
}
