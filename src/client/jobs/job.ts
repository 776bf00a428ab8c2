import {
  type AcknowledgmentMessage,
  type ChannelMessage,
  type CompleteMessage,
  type ErrorMessage,
  type Json,
  MAX_ID_BYTES,
  type Position,
  type ProgressMessage,
  parseChannelName,
  type RequestInfo,
  type ResponseMessage,
  type Results,
  utf8Length,
} from "../../protocol/index.ts";
import type { Channel } from "../channels/channel.ts";
import { type Repairable, repairGap } from "../channels/gap-repair.ts";
import { MessageOrder } from "../channels/message-order.ts";
import { historyLost } from "../channels/subscription.ts";
import type { ClientCore } from "../core.ts";
import { callListener } from "../emitter.ts";
import { ClientError, outcomeUnknown, toClientError, UNCERTAIN_CODES } from "../errors.ts";
import { Feed } from "../feed.ts";
import { invalidOption } from "../options.ts";
import { onAbort, type RequestOptions } from "../requests/timeouts.ts";
import type { Progress, WatchOptions } from "./job-types.ts";

/** A server's message about a request. */
export type JobMessage =
  | ResponseMessage
  | ErrorMessage
  | AcknowledgmentMessage
  | ProgressMessage
  | CompleteMessage;

/** The end of a request. */
interface Outcome {
  readonly result?: Json | undefined;
  readonly error?: ClientError;
}

/** Before the first output. The epoch of every output: PROTOCOL.md, "Requests". */
const START: Position = { epoch: "output", offset: 0 };

/** How often a result is downloaded: a network error may pass, but one of the store's CORS rules looks the same. */
const MAX_DOWNLOADS = 3;

/** One request, from its first answer to its end. Orders its output for itself: others may read the same channel. */
export class RequestJob implements Repairable {
  readonly id: string;
  /** The channel of the request. */
  readonly name: string;
  readonly result = Promise.withResolvers<Json>();
  /** Resolves with the first message about the request, or when it ends. */
  readonly answered = Promise.withResolvers<void>();
  /** A newer progress replaces an unread one. */
  readonly progress = new Feed<Progress>({
    size: 1,
    onFull: (unread) => unread.pop(),
    onOpen: (reader) => this.#progress && reader.take(this.#progress),
  });
  readonly output = new Feed<Json>({ onOpen: () => this.#readOutput() });
  readonly order = new MessageOrder({
    deliver: (message) => this.#deliver(message),
    lost: (position) => this.#onLost(position),
  });
  repairing = false;
  /** The action and the input as JSON; `undefined` in a job of `attach`. */
  call: string | undefined;
  /** Whether the request is stored, so that it survives its connection. */
  isStored = false;
  /** Whether that is certain. Progress alone may be that of a request in place. */
  #isAcknowledged = false;
  /** Whether the last message was a `resend`. */
  isResent = false;
  /** Called with an error that does not say whether the request is stored. */
  onUncertain: ((error: ClientError) => void) | undefined;
  readonly #core: ClientCore;
  readonly #options: WatchOptions;
  readonly #lifetime = new AbortController();
  #channel: Channel | undefined;
  #progress: Progress | undefined;
  #hasOutput: boolean;
  #isReadingResult = false;
  /** Set once known, with the offset of the last output before it. */
  #outcome: Outcome | undefined;
  #outputEnd = 0;

  constructor(core: ClientCore, id: string, options: WatchOptions) {
    this.#core = core;
    this.id = id;
    this.name = `request:${id}`;
    this.#options = options;
    this.order.position = START;
    if (!isRequestId(id)) {
      this.fail(invalidOption("Invalid request `id`: see `CallOptions`"));
    }
    const { signal, onOutput } = options;
    this.#hasOutput = !!onOutput;
    onAbort(signal, this.signal, this.fail);
  }

  /** Aborted when the job ends. */
  get signal(): AbortSignal {
    return this.#lifetime.signal;
  }

  get isRead(): boolean {
    return !this.signal.aborted;
  }

  take(message: JobMessage): void {
    const { type } = message;
    // Only the end of a stored request has `output`: any other error is an answer to a call.
    const isAnswer = type === "response" || (type === "error" && message.output === undefined);
    if (!isAnswer) {
      this.isStored = true;
      this.#isAcknowledged ||= type !== "progress";
    } else if (this.#isAcknowledged) return; // The answer to another call with this id.
    if (type === "response") this.#end({ result: message.data });
    else if (type === "error") {
      const error = toClientError(message.error);
      if (isAnswer && error.retry && (this.isResent || UNCERTAIN_CODES.includes(error.code))) {
        if (this.isStored) void this.#readState(error);
        else this.onUncertain?.(error);
        return;
      }
      this.#end({ error }, message.output);
    } else if (type === "complete") {
      const { result, result_bytes: bytes, output } = message;
      if (bytes === undefined) this.#end({ result }, output);
      else void this.#readResult(bytes, output);
    } else if (type === "progress") {
      this.#setProgress({ ...message, details: message.metadata });
    }
    if (this.#hasOutput) this.#readOutput();
    this.answered.resolve();
  }

  /** Subscribes to the request. Does nothing if it is subscribed, or has ended. */
  readonly watch = (): void => {
    if (this.#channel || this.signal.aborted || !this.isStored) return;
    const { channels } = this.#core;
    channels.subscribe(this.name, {
      signal: this.signal,
      onMessage: (message) => {
        if (this.#hasOutput) this.order.add(message);
        this.#catchUp();
      },
      onLost: (position) => this.#onLost(position),
      onError: this.fail,
    });
    const channel = channels.desired.get(this.name)!;
    this.#channel = channel;
    this.#catchUp();
    this.signal.addEventListener(
      "abort",
      channel.stale.on((subscribed) => subscribed && this.refresh()),
    );
    if (channel.isSubscribed) this.refresh();
  };

  /** Reads the state of a stored request, in case a message was lost. The server has none of a request in place. */
  readonly refresh = (): void => {
    if ((this.#isAcknowledged || this.#channel) && !this.#outcome) void this.#readState();
    this.#catchUp();
  };

  readonly cancel = async (options?: RequestOptions): Promise<void> => {
    await this.answered.promise;
    if (this.#outcome) return;
    await this.#core.requests.request("cancel", { request: this.id }, options);
    await this.#readState();
  };

  /** Ends the job at once, without the rest of the output. */
  readonly fail = (error: ClientError): void => {
    this.#close({ error });
  };

  /** Called when no output is missing. */
  settle(): void {
    const outcome = this.#outcome;
    if (!outcome) return;
    const position = this.order.position!;
    if (!this.#hasOutput || position.offset >= this.#outputEnd) this.#close(outcome);
    // The server reported output that its history does not have.
    else if (!this.order.hasGap) this.#onLost(position);
  }

  #onLost(position: Position): void {
    if (this.#hasOutput) this.fail(historyLost(this.name, position));
  }

  /** @param uncertain an error to end with when the request is not stored */
  async #readState(uncertain?: ClientError): Promise<void> {
    const before = this.#progress;
    try {
      const options = { signal: this.signal };
      const info = await this.#core.requests.request("request", { request: this.id }, options);
      const { state, progress } = info;
      const error = info.error ?? { code: state, message: state, retry: false };
      // The message that reports a final state.
      const type = { COMPLETED: "complete", FAILED: "error", CANCELLED: "error" }[state as string];
      // While the request runs, newer progress may have overtaken the state.
      if (progress && (type || before === this.#progress)) this.#setProgress({ ...info, ...progress });
      // A final state has the fields of the message that it replaces.
      if (type) this.take({ ...info, error, type } as JobMessage & RequestInfo);
    } catch (error) {
      // The next connection or heartbeat reads it again.
      if (!(error as ClientError).retry) this.fail(uncertain ?? (error as ClientError));
    }
  }

  /** Reads a result that is larger than a frame. After `disconnect`, `refresh` begins again. */
  async #readResult(bytes: number, output: number): Promise<void> {
    if (this.#isReadingResult) return;
    this.#isReadingResult = true;
    const { signal } = this;
    let text = "";
    let downloads = 0;
    try {
      await this.#core.requests.retry({ signal }, async (session) => {
        let piece: Results["result"];
        do {
          const payload = { request: this.id, from: text.length };
          piece = await session.request("result", payload, { signal });
          text += piece.url ? await this.#download(piece.url, ++downloads) : piece.text;
        } while (piece.more && piece.text);
      });
      // With another size it is another text: parsing none throws.
      this.#end({ result: JSON.parse(utf8Length(text) === bytes ? text : "") }, output);
    } catch (cause) {
      const isClientError = cause instanceof ClientError;
      const error = isClientError ? cause : new ClientError("INTERNAL_ERROR", "Invalid result", { cause });
      if (!error.retry) this.fail(error);
    }
    this.#isReadingResult = false;
  }

  /** Each try has a new URL, so the server has just answered: a network error is not that of a lost connection. */
  async #download(url: string, tries: number): Promise<string> {
    try {
      const response = await fetch(url, { signal: this.signal });
      if (response.ok) return await response.text();
      throw response;
    } catch (cause) {
      // A store that refuses would refuse again.
      const retry = tries < MAX_DOWNLOADS && !((cause as Response).status < 500);
      throw new ClientError("TRANSFER_FAILED", "The transfer failed", { retry, cause });
    }
  }

  #setProgress({
    percentage,
    message = "",
    details,
    attempt,
  }: Omit<Progress, "message"> & Partial<Pick<Progress, "message">>): void {
    const progress: Progress = { percentage, message, details, attempt };
    if (this.#outcome || JSON.stringify(progress) === JSON.stringify(this.#progress)) return;
    this.#progress = progress;
    callListener(this.#options.onProgress, progress);
    this.progress.push(progress);
  }

  #readOutput(): void {
    this.#hasOutput = true;
    // A request in place may have progress, but the server refuses a subscription to it.
    if (this.#isAcknowledged) this.watch();
    this.#catchUp();
  }

  #deliver({ data }: ChannelMessage): void {
    const { text, values } = Object(data) as { readonly text?: unknown; readonly values?: unknown };
    const chunks: Json[] = typeof text === "string" ? [text] : Array.isArray(values) ? values : [];
    for (const chunk of chunks) {
      callListener(this.#options.onOutput, chunk);
      this.output.push(chunk);
    }
    this.settle();
  }

  /** Fetches output that the channel has delivered before this job read it, or that the channel does not get. */
  #catchUp(): void {
    const { order } = this;
    const channel = this.#channel;
    if (!channel || !this.#hasOutput) return;
    // The response to the subscription itself has the output.
    if (!channel.isSubscribed) channel.order.position ??= order.position;
    const head = channel.order.position!;
    if (head.offset > order.position!.offset) order.observeHead(head);
    if (channel.order.hasGap || !channel.isSubscribed) return;
    const { settings, link } = this.#core;
    void repairGap(this, 0, settings, link, this.fail);
  }

  #end(outcome: Outcome, output?: number): void {
    if (this.#outcome) return;
    this.#outcome = outcome;
    this.#outputEnd = Number(output) || 0;
    this.order.observeHead({ ...START, offset: this.#outputEnd });
    this.settle();
    this.#catchUp();
  }

  #close({ result, error }: Outcome): void {
    if (this.signal.aborted) return;
    this.#outcome ??= {};
    // A call gets NOT_FOUND for its action; a `resend` or a subscription gets it for a request that is not stored.
    const mayHaveRun = (this.isResent || this.#channel) && !this.#isAcknowledged;
    if (error?.code === "NOT_FOUND" && mayHaveRun) error = outcomeUnknown(error);
    this.#lifetime.abort();
    this.progress.end();
    this.output.end(error);
    if (error) this.result.reject(error);
    else this.result.resolve(result as Json);
    this.answered.resolve();
  }
}

/**
 * `~` starts the ids of the client's own requests. The server answers any other invalid id with an error without an id, which
 * would end the connection.
 */
function isRequestId(id: unknown): boolean {
  return (
    typeof id === "string" &&
    id[0] !== "~" &&
    utf8Length(id) <= MAX_ID_BYTES &&
    !!parseChannelName(`request:${id}`)
  );
}
