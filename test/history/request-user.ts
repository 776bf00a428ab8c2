import { type Client, ClientError, type Job, type Progress } from "../../src/client/index.ts";
import type { LogEvent } from "./log.ts";
import {
  digest,
  expectRequest,
  formatChunk,
  formatRequest,
  type RequestKind,
  type RequestName,
  WORK,
} from "./request-script.ts";
import type { WireRecorder } from "./wire-recorder.ts";

/** Reads that failed otherwise are repeated. */
const ANSWERS = ["NOT_FOUND", "FORBIDDEN"];
const MAX_READS = 4;

interface RequestUserOptions {
  readonly client: string;
  readonly tenant: string;
  readonly user: string;
}

/** A job that is logged. */
export interface LoggedJob {
  /** Resolves when the job ends in any way. */
  readonly ended: Promise<void>;
  cancel(): void;
  /** Stops watching. */
  leave(): void;
}

/** Makes and watches long requests with the product's client, and logs all that it gets. */
export class RequestUser {
  readonly #client: Client;
  readonly #options: RequestUserOptions;
  readonly #log: (fact: LogEvent) => void;
  readonly #cuts = new Map<string, { messages: number; readonly cut: () => void }>();
  readonly #open = new Set<Promise<void>>();
  #jobs = 0;

  constructor(
    client: Client,
    options: RequestUserOptions,
    wire: WireRecorder,
    log: (fact: LogEvent) => void,
  ) {
    this.#client = client;
    this.#options = options;
    this.#log = log;
    wire.onRequestMessage = (id) => this.#countMessage(id);
  }

  /** Jobs that have not ended. */
  get open(): readonly Promise<void>[] {
    return [...this.#open];
  }

  nameOf(id: string): RequestName {
    const { tenant, user } = this.#options;
    return { tenant, user, id };
  }

  make(id: string, kind: RequestKind, onProgress: (progress: Progress) => void): LoggedJob {
    const name = this.nameOf(id);
    this.#log({ kind: "request_made", request: formatRequest(name), expected: expectRequest(name, kind) });
    return this.#watch(id, false, (options) =>
      // Waits as long for the answer as a client on a slow machine needs.
      this.#client.request(WORK, { kind }, { id, onProgress, timeoutMs: 180_000, ...options }),
    );
  }

  attach(id: string): LoggedJob {
    return this.#watch(id, true, (options) => this.#client.attach(id, options));
  }

  /** Calls back once, after some messages about a request. */
  cutAfter(id: string, messages: number, cut: () => void): void {
    this.#cuts.set(id, { messages, cut });
  }

  /** Asks for a request, also another user's, by each action that reads one. */
  async read(name: RequestName): Promise<void> {
    const request = formatRequest(name);
    const owned = formatRequest(this.nameOf(name.id)) === request;
    const read = { kind: "request_read", client: this.#options.client, request, owned } as const;
    const payload = { request: name.id };
    const reads: (() => PromiseLike<string>)[] = [
      async () => {
        const info = await this.#client.request("request", payload, { idempotent: true });
        return (info as unknown as { readonly state: string }).state;
      },
    ];
    if (!owned) {
      reads.push(
        () => this.#client.request("result", payload, { idempotent: true }).then(() => "its result"),
        () => this.#client.attach(name.id).then(() => "its end"),
      );
    }
    for (const one of reads) {
      const { state, code } = await repeat(one);
      this.#log({ ...read, state, code });
    }
  }

  #watch(
    id: string,
    attached: boolean,
    start: (options: { readonly signal: AbortSignal; readonly onOutput: (chunk: unknown) => void }) => Job,
  ): LoggedJob {
    const request = formatRequest(this.nameOf(id));
    const { client } = this.#options;
    const job = `${client} job ${++this.#jobs}`;
    const left = new AbortController();
    this.#log({ kind: "job_started", client, job, request, attached });
    const onOutput = (chunk: unknown) => this.#log({ kind: "job_output", job, text: formatChunk(chunk) });
    const watched = start({ signal: left.signal, onOutput });
    const ended: Promise<void> = watched
      .then(
        (result) => {
          const bytes = JSON.stringify(result).length;
          this.#log({ kind: "job_ended", job, bytes, end: { result: digest(result) } });
        },
        (error: ClientError) => {
          if (!left.signal.aborted) this.#log({ kind: "job_ended", job, end: { code: error.code } });
        },
      )
      .finally(() => this.#open.delete(ended));
    this.#open.add(ended);
    return {
      ended,
      cancel: () => {
        this.#log({ kind: "request_cancelled", request });
        watched.cancel().catch(() => {});
      },
      leave: () => {
        this.#log({ kind: "job_left", job });
        left.abort();
      },
    };
  }

  #countMessage(id: string): void {
    const waiting = this.#cuts.get(id);
    if (waiting === undefined || --waiting.messages > 0) return;
    this.#cuts.delete(id);
    waiting.cut();
  }
}

async function repeat(read: () => PromiseLike<string>): Promise<{ state?: string; code?: string }> {
  for (let reads = 1; ; reads++) {
    try {
      return { state: await read() };
    } catch (error) {
      const code = error instanceof ClientError ? error.code : String(error);
      if (ANSWERS.includes(code) || reads === MAX_READS) return { code };
    }
  }
}
