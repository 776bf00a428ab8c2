import type { ExpectedRequest, LogEntry, LogEvent, RequestEnd, StoredFact } from "./log.ts";

type Of<Kind extends LogEvent["kind"]> = Extract<LogEntry, { readonly kind: Kind }>;

export type RequestEntry = Of<
  | "request_made"
  | "request_cancelled"
  | "request_accepted"
  | "request_output"
  | "request_end"
  | "request_stored"
  | "request_read"
  | "job_started"
  | "job_left"
  | "job_output"
  | "job_ended"
>;

type JobEntry = Of<"job_started"> | Of<"job_left"> | Of<"job_output"> | Of<"job_ended">;

interface Claim {
  readonly token: string | undefined;
  readonly until: number;
}

/** The writes of the store for one request. */
interface StoredState {
  /** The last claim, with those that overlapped it. */
  claims: Claim[];
  /** The last checkpoint and output that are known. */
  progress: Pick<StoredFact, "until"> & {
    readonly stage: number;
    readonly offset: number;
    readonly chunks: number;
  };
  ended: Pick<StoredFact, "state" | "token" | "until"> | undefined;
}

interface KnownRequest {
  readonly expected: ExpectedRequest;
  /** The clients that know that it is stored. */
  readonly acceptedBy: Set<string>;
  isCancelled: boolean;
  /** Its store ended with its process. */
  isForgotten: boolean;
  stored: StoredState;
  /** The end that a client saw first. */
  end: { readonly end: RequestEnd; readonly by: string } | undefined;
  /** The state that its owner read at the end of the run. */
  state: string | undefined;
  /** The greatest offset that a client received, and the one that the end reported. */
  output: { readonly offset: number; readonly client: string };
  outputEnd: number | undefined;
}

interface Job {
  readonly client: string;
  readonly request: string;
  /** It watched a request that was perhaps not stored yet. */
  readonly isEarly: boolean;
  text: string;
  end: RequestEnd | undefined;
  hasLeft: boolean;
}

const FINAL = ["COMPLETED", "FAILED", "CANCELLED"];
const NOTHING_STORED: StoredState = {
  claims: [],
  progress: { until: 0, stage: 0, offset: 0, chunks: 0 },
  ended: undefined,
};

/** Compares long requests as their owners, others and the store see them with the work of their handlers. */
export class RequestChecker {
  readonly #durable: boolean;
  readonly #requests = new Map<string, KnownRequest>();
  readonly #jobs = new Map<string, Job>();

  constructor(durable: boolean) {
    this.#durable = durable;
  }

  /** A new process: requests in memory are lost. */
  started(): void {
    if (this.#durable) return;
    for (const known of this.#requests.values()) {
      known.isForgotten = true;
      known.stored = NOTHING_STORED;
    }
  }

  *take(entry: RequestEntry): Generator<string> {
    if ("job" in entry) return yield* this.#takeJob(entry);
    if (entry.kind === "request_made") {
      this.#requests.set(entry.request, newRequest(entry.expected));
      return;
    }
    const known = this.#requests.get(entry.request);
    if (known === undefined) {
      yield `${entry.kind}: nobody made the request ${entry.request}`;
      return;
    }
    switch (entry.kind) {
      case "request_cancelled":
        known.isCancelled = true;
        return;
      case "request_accepted":
        known.acceptedBy.add(entry.client);
        return;
      case "request_output":
        known.acceptedBy.add(entry.client);
        if (entry.offset > known.output.offset) known.output = entry;
        return yield* checkOutputEnd(entry.request, known);
      case "request_end":
        known.acceptedBy.add(entry.client);
        known.outputEnd = entry.output;
        return yield* checkOutputEnd(entry.request, known);
      case "request_stored":
        return yield* checkStored(entry, known);
      case "request_read":
        return yield* checkRead(entry, known);
    }
  }

  *end(): Generator<string> {
    for (const [name, { request, end, hasLeft }] of this.#jobs) {
      if (end === undefined && !hasLeft) yield `${name} waits for the end of ${request}`;
    }
    for (const [request, { acceptedBy, isForgotten, state }] of this.#requests) {
      if (acceptedBy.size > 0 && !isForgotten && !FINAL.includes(state ?? "")) {
        yield `${request} was accepted and has not ended: it is ${state ?? "unread"}`;
      }
    }
    yield* this.#compareOutputs();
  }

  *#takeJob(entry: JobEntry): Generator<string> {
    const name = entry.job;
    if (entry.kind === "job_started") {
      const { client, request, attached } = entry;
      const isEarly = attached && this.#requests.get(request)?.acceptedBy.size === 0;
      this.#jobs.set(name, { client, request, isEarly, text: "", end: undefined, hasLeft: false });
      return;
    }
    const job = this.#jobs.get(name)!;
    const known = this.#requests.get(job.request)!;
    if (entry.kind === "job_output") return yield* checkJobOutput(name, job, known, entry.text);
    if (entry.kind === "job_ended" && isKnownEnd(entry.end, job, known)) {
      job.end = entry.end;
      return yield* checkJobEnd(name, job, known);
    }
    job.hasLeft = true;
  }

  /** A request that did not complete may have any part of its output, which is the same for all. */
  *#compareOutputs(): Generator<string> {
    const seen = new Map<string, { readonly name: string; readonly text: string }>();
    for (const [name, { request, text, end, hasLeft }] of this.#jobs) {
      const known = this.#requests.get(request)!;
      if (end === undefined || hasLeft || known.isForgotten) continue;
      const other = seen.get(request);
      if (other === undefined) seen.set(request, { name, text });
      else if (other.text !== text)
        yield `${name} has ${text.length} characters of the output of ${request}, and ${other.name} has ${other.text.length}`;
    }
  }
}

function newRequest(expected: ExpectedRequest): KnownRequest {
  return {
    expected,
    acceptedBy: new Set(),
    isCancelled: false,
    isForgotten: false,
    stored: NOTHING_STORED,
    end: undefined,
    state: undefined,
    output: { offset: 0, client: "" },
    outputEnd: undefined,
  };
}

function* checkOutputEnd(
  request: string,
  { output, outputEnd, isForgotten }: KnownRequest,
): Generator<string> {
  if (outputEnd === undefined || output.offset <= outputEnd || isForgotten) return;
  yield `${output.client} received output of ${request} at ${output.offset}, after its end at ${outputEnd}`;
}

function* checkStored(fact: StoredFact, known: KnownRequest): Generator<string> {
  const { request, call, token, from } = fact;
  const { claims, ended, progress } = known.stored;
  const by = `${call} by the worker ${token}`;
  if (ended !== undefined && from > ended.until && isAfterEnd(fact, ended)) {
    yield `${request} was ${ended.state}, and the store accepted ${by} after it had ended`;
  }
  const isFinal = FINAL.includes(fact.state ?? "");
  if (isFinal && ended !== undefined && !isSameEnd(fact, ended)) {
    yield `${request} ended twice: ${ended.state} by ${ended.token}, and ${fact.state} by ${token}`;
  }
  // A worker's claim is always known before its writes, so without claims there was none in this process.
  const isHeld = claims.length === 0 || claims.some((claim) => claim.token === token || claim.until >= from);
  if (call === "claim") {
    const lost = from > progress.until ? findLoss(fact, progress) : undefined;
    if (lost !== undefined) yield `${request} was taken over without its last ${lost}`;
  } else if (call !== "cancel" && !isHeld) {
    yield `${request} has a stale write: the store accepted ${by} after another claim`;
  }
  if (call === "saveCheckpoint" && from > progress.until && fact.stage! < progress.stage) {
    yield `${request} has the checkpoint ${fact.stage} after ${progress.stage}`;
  }
  known.stored = {
    claims: call === "claim" ? addClaim(claims, fact) : claims,
    progress: {
      until: fact.until,
      stage: Math.max(progress.stage, fact.stage ?? 0),
      offset: Math.max(progress.offset, fact.offset ?? 0),
      chunks: Math.max(progress.chunks, fact.chunks ?? 0),
    },
    ended: ended ?? (isFinal && (call === "finish" || fact.state === "CANCELLED") ? fact : undefined),
  };
}

/** Whether a request is stored is unknown to a client without its acknowledgment. */
function isKnownEnd(end: RequestEnd, { client, isEarly }: Job, { acceptedBy }: KnownRequest): boolean {
  return "result" in end || (acceptedBy.has(client) && !(isEarly && end.code === "NOT_FOUND"));
}

function isSameEnd({ call, state, token }: StoredFact, ended: NonNullable<StoredState["ended"]>): boolean {
  return state === ended.state && (call === "cancel" || token === ended.token);
}

/** A worker may repeat its last call. A cancellation changes no final state, which `state` shows. */
function isAfterEnd({ call, token }: StoredFact, ended: { readonly token?: string | undefined }): boolean {
  return call !== "cancel" && !(call === "finish" && token === ended.token);
}

function findLoss(
  { stage = 0, offset = 0, chunks = 0 }: StoredFact,
  progress: StoredState["progress"],
): string | undefined {
  if (stage < progress.stage) return `checkpoint: ${stage} instead of ${progress.stage}`;
  if (offset < progress.offset || chunks < progress.chunks)
    return `output: ${offset} instead of ${progress.offset}`;
  return undefined;
}

/** Calls that overlap may have been carried out in any order. */
function addClaim(claims: readonly Claim[], { token, from, until }: StoredFact): Claim[] {
  return [...claims.filter((claim) => claim.until >= from && claim.token !== token), { token, until }];
}

function* checkJobOutput(name: string, job: Job, known: KnownRequest, text: string): Generator<string> {
  const { request } = job;
  if (job.hasLeft) return;
  if (job.end !== undefined) yield `${name} received output of ${request} after its end`;
  const at = job.text.length;
  job.text += text;
  // A process that has lost the request may run it again, and its output has other items then.
  if (known.isForgotten || known.expected.output.startsWith(text, at)) return;
  const expected = known.expected.output.slice(at, at + 60);
  yield `${name} received ${text.slice(0, 60)} of ${request} in place of ${expected}: the output has a gap or a repetition`;
}

function* checkJobEnd(
  name: string,
  { request, text, end, hasLeft }: Job,
  known: KnownRequest,
): Generator<string> {
  if (end === undefined || hasLeft) return;
  if (known.isForgotten && "code" in end) return;
  yield* checkEnd(name, request, end, known);
  if ("result" in end && text !== known.expected.output && !known.isForgotten) {
    yield `${name} lacks output of ${request}: it has ${text.length} of ${known.expected.output.length} characters`;
  }
}

function* checkEnd(by: string, request: string, end: RequestEnd, known: KnownRequest): Generator<string> {
  const { expected, isCancelled, end: first } = known;
  known.end ??= { end, by };
  const [seen, wanted] = [formatEnd(end), formatEnd(expected.end)];
  if (seen !== wanted && !(isCancelled && seen === "CANCELLED"))
    yield `${by} saw that ${request} ended with ${seen} instead of ${wanted}`;
  if (first !== undefined && formatEnd(first.end) !== seen)
    yield `${request} ended with ${seen} for ${by}, and with ${formatEnd(first.end)} for ${first.by}`;
}

function* checkRead(entry: Of<"request_read">, known: KnownRequest): Generator<string> {
  const { client, request, owned, state, code } = entry;
  if (!owned) {
    if (code !== "NOT_FOUND") yield `${client} could read ${request} of another user: ${state ?? code}`;
    return;
  }
  known.state = state;
  if (known.acceptedBy.size > 0 && !known.isForgotten && state === undefined)
    yield `${client} could not read its request ${request}: ${code}`;
  const { end } = known;
  if (end === undefined || known.isForgotten) return;
  const ended = stateOf(end.end);
  if (state !== ended) yield `${client} read ${request} as ${state}, and it was ${ended} for ${end.by}`;
}

function formatEnd(end: RequestEnd): string {
  return "code" in end ? end.code : `the result ${end.result}`;
}

function stateOf(end: RequestEnd): string {
  if ("result" in end) return "COMPLETED";
  return end.code === "CANCELLED" ? "CANCELLED" : "FAILED";
}
