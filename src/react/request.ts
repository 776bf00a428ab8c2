import { useMemo } from "react";
import type { CallOptions, Client, ClientError, Job, Json, Progress, WatchOptions } from "../client/index.ts";
import { useClient } from "./context.ts";
import { Store, useStore } from "./store.ts";

/** Options of `useRequest`. A change of an option starts afresh. */
export interface UseRequestOptions {
  /** Watches this stored request while the component is mounted, such as one from before a reload. Default: none. */
  readonly id?: string | undefined;
  /** Whether to read the output: `text` and `values`. Default: true. */
  readonly output?: boolean;
}

/** The result of `useRequest`. */
export interface RequestState<Input = Json, Result = Json, Details = Json> {
  /**
   * - `idle`: no request.
   * - `running`: sent or attached, and not at its end.
   * - `completed`: `result` has its result.
   * - `failed`: `error` has the reason.
   */
  readonly status: "idle" | "running" | "completed" | "failed";
  /** The id of the request, to attach to it after a reload. */
  readonly id: string | undefined;
  /** The newest progress. */
  readonly progress: Progress<Details> | undefined;
  /** The texts of the output so far, joined. */
  readonly text: string;
  /** The JSON values of the output so far that are not texts. */
  readonly values: readonly Json[];
  /** The result, once completed. */
  readonly result: Result | undefined;
  /** The reason for `failed`. */
  readonly error: ClientError | undefined;
  /** Sends a request, and shows it in place of the one before, which continues. */
  start(input: Input, options?: Omit<CallOptions<Details>, "signal">): Job<Result, Details>;
  /** Shows a stored request in place of the one before. */
  attach(id: string): void;
  /** Cancels the request. Does nothing when there is none. @throws {ClientError} */
  cancel(): Promise<void>;
}

/**
 * Sends requests of an action and shows the last one, while the component is mounted. The request itself continues without it.
 * The client needs the feature `requests`.
 * @example
 * const { start, status, progress, text, result, error, cancel } = useRequest("generate_report");
 */
export function useRequest(action: string, { id, output = true }: UseRequestOptions = {}): RequestState {
  const client = useClient();
  return useStore(useMemo(() => new RequestStore(client, action, id, output), [client, action, id, output]));
}

class RequestStore extends Store<RequestState> {
  readonly #client: Client;
  readonly #action: string;
  readonly #output: boolean;
  readonly #givenId: string | undefined;
  /** The request to show. */
  #id: string | undefined;
  #job: Job | undefined;
  /** Aborted when another request is shown. */
  #shown: AbortController | undefined;

  constructor(client: Client, action: string, id: string | undefined, output: boolean) {
    super({
      status: "idle",
      id: undefined,
      progress: undefined,
      text: "",
      values: [],
      result: undefined,
      error: undefined,
      start: (input, options) => this.#send(input, options),
      attach: (other) => {
        this.#show((watched) => client.attach(other, watched));
      },
      cancel: async () => this.#job?.cancel(),
    });
    this.#client = client;
    this.#action = action;
    this.#givenId = this.#id = id;
    this.#output = output;
  }

  protected override start(life: AbortSignal): void {
    life.addEventListener("abort", () => this.#shown?.abort());
    const id = this.#id;
    if (id === undefined) return;
    try {
      this.#show((watched) => this.#client.attach(id, watched)).catch(({ code }: ClientError) => {
        // It was answered in place, so the server did not store it.
        const wasInPlace = code === "NOT_FOUND" && id !== this.#givenId && id === this.#id;
        if (wasInPlace && !life.aborted) this.update(this.getInitial());
      });
    } catch {
      // The state has the error.
    }
  }

  #send(input: Json, options?: CallOptions): Job {
    return this.#show(({ signal, onOutput, onProgress }) =>
      this.#client.request(this.#action, input, {
        ...options,
        ...(signal && { signal }),
        onProgress: both(onProgress, options?.onProgress),
        ...((onOutput ?? options?.onOutput) && { onOutput: both(onOutput, options?.onOutput) }),
      }),
    );
  }

  #show(open: (watched: WatchOptions) => Job): Job {
    this.#shown?.abort();
    const shown = new AbortController();
    this.#shown = shown;
    const { life } = this;
    // Nothing is shown without a component, but the request is sent.
    const update = (change: Partial<RequestState>) => {
      if (life !== undefined && !life.aborted && this.#shown === shown) this.update(change);
    };
    const onOutput = (chunk: Json) => {
      const { text, values } = this.getSnapshot();
      update(typeof chunk === "string" ? { text: text + chunk } : { values: [...values, chunk] });
    };
    update({ ...this.getInitial(), status: "running" });
    let job: Job;
    try {
      job = open({
        signal: shown.signal,
        onProgress: (progress) => update({ progress }),
        ...(this.#output && { onOutput }),
      });
    } catch (error) {
      update({ status: "failed", error: error as ClientError });
      throw error;
    }
    this.#job = job;
    this.#id = job.id;
    update({ id: job.id });
    job.then(
      (result) => update({ status: "completed", result }),
      (error: ClientError) => update({ status: "failed", error }),
    );
    return job;
  }
}

/** Calls both listeners. */
function both<T>(one: ((value: T) => void) | undefined, other: ((value: T) => void) | undefined) {
  return (value: T) => {
    one?.(value);
    other?.(value);
  };
}
