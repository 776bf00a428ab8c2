import type { Json, JsonRequests, Requests, Results } from "../../protocol/index.ts";
import { randomId, serialize } from "../connection/session.ts";
import type { ClientCore } from "../core.ts";
import { ClientError, outcomeUnknown } from "../errors.ts";
import type { ClientFeature } from "../feature.ts";
import { ANSWERS } from "../requests/message-handlers.ts";
import { abortable, type RequestOptions } from "../requests/timeouts.ts";
import { type JobMessage, RequestJob } from "./job.ts";
import type { CallOptions, Job, WatchOptions } from "./job-types.ts";

/** Options of `requests`. */
export interface RequestsOptions extends RequestOptions {
  /** The `next` of the page before. Default: from the newest request. */
  readonly after?: string;
  /** Maximum number of requests, 1 to 100. Default 20. */
  readonly limit?: number;
}

/** The methods of the feature `requests`. */
export interface RequestMethods<Actions extends Requests = JsonRequests> {
  /**
   * Sends a request to one of the application's own actions. A stored request continues without its client; a short one is
   * answered at once.
   * @example
   * const job = client.request("generate_report", { year: 2026 }, { onProgress: ({ percentage }) => show(percentage) });
   * const report = await job;
   */
  request<Action extends keyof Actions & string>(
    action: Action,
    input: Actions[Action]["input"],
    options?: CallOptions<Actions[Action]["progress"]>,
  ): Job<Actions[Action]["result"], Actions[Action]["progress"]>;
  /** Watches a stored request of the user, after a reload or on another device. */
  attach<Action extends keyof Actions & string>(
    requestId: string,
    options?: WatchOptions<Actions[Action]["progress"]>,
  ): Job<Actions[Action]["result"], Actions[Action]["progress"]>;
  /** Reads a page of the user's own stored requests, the newest first. @throws {ClientError} */
  requests(options?: RequestsOptions): Promise<Results["requests"]>;
}

/**
 * Requests to the application's own actions: `request`, `attach`, `requests`.
 * @example
 * const client = createClient({ url, use: [requests()] });
 */
export function requests(): ClientFeature {
  return { install: installRequests };
}

/** The required fields of the messages about a request. */
const SHAPES = [
  ...ANSWERS,
  ["acknowledgment", { request_id: "string" }],
  ["progress", { request_id: "string", percentage: "number", message: "string", attempt: "number" }],
  ["complete", { request_id: "string" }],
] as const;

function installRequests(core: ClientCore): RequestMethods {
  const { link, channels, requests } = core;
  const jobs = new Set<RequestJob>();
  for (const [type, shape] of SHAPES) {
    link.handlers.on(type as JobMessage["type"], shape, (message: JobMessage) => {
      for (const job of jobs) if (job.id === message.request_id) job.take(message);
    });
  }
  channels.heartbeats.on(() => {
    for (const job of jobs) job.refresh();
  });
  const open = (id: string, options: WatchOptions, start: (job: RequestJob) => void): Job => {
    const job = new RequestJob(core, id, options);
    const { result, progress, output, cancel } = job;
    jobs.add(job);
    const remove = () => jobs.delete(job);
    // Also handles the rejection: a job that only `cancel` or an iterator uses must not end a Node process.
    result.promise.then(remove, remove);
    start(job);
    return Object.assign(result.promise, { id, progress, output, cancel });
  };
  return {
    request(action, input, options = {}) {
      const { id = randomId() } = options;
      return open(id, options, (job) => void send(core, jobs, job, [action, input], options));
    },
    attach(id, options = {}) {
      const asked = [...jobs].find((each) => each.id === id && !each.isStored);
      return open(id, options, (job) => {
        const watch = () => {
          job.take({ type: "acknowledgment" } as JobMessage);
          job.watch();
        };
        // The server may not know the request yet.
        if (asked) void asked.answered.promise.then(watch);
        else watch();
      });
    },
    requests: (given = {}) => requests.query("requests", given),
  };
}

/** Sends the request until it is answered: on the next session after a lost one, and after an uncertain answer. */
async function send(
  { requests, link }: ClientCore,
  jobs: Iterable<RequestJob>,
  job: RequestJob,
  [action, payload]: readonly [action: string, input: Json],
  { timeoutMs, background, startAt, idempotent }: CallOptions,
): Promise<void> {
  const { id, answered } = job;
  const call = { action, payload, background, startAt };
  let isSent = false;
  let uncertain: ClientError | undefined;
  try {
    // The server's answers have only the id, so both jobs would get the CONFLICT.
    job.call = serialize([action, payload]);
    for (const other of jobs) {
      if (other.id === id && other.call && other.call !== job.call) {
        throw new ClientError("CONFLICT", "The `id` is in use");
      }
    }
    await requests.run({ signal: job.signal, timeoutMs }, async (session, signal) => {
      if (job.isStored) return;
      // Its own connection gets its messages; any other one has to subscribe.
      session.signal.addEventListener("abort", job.watch, { signal: job.signal });
      job.isResent = isSent && !idempotent;
      const message = job.isResent ? { id, action: "resend", payload: call } : { id, ...call };
      await session.exchange(message, (write) => {
        write();
        isSent = true;
        return abortable<void>(AbortSignal.any([signal, session.signal]), (resolve, reject) => {
          job.onUncertain = (error) => {
            uncertain = error;
            reject(error);
          };
          void answered.promise.then(resolve);
        });
      });
    });
  } catch (error) {
    if (job.isStored) return;
    if ((error as ClientError).code === "TIMEOUT") link.probe();
    else if (isSent) uncertain ??= error as ClientError;
    job.fail(uncertain ? outcomeUnknown(uncertain) : (error as ClientError));
  }
}
