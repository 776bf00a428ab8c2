import type { LogEvent, RequestEnd, StoredFact } from "./log.ts";

const STAGES = 3;

/**
 * Long requests of one tenant, in which every promise is kept: one completes after a take-over, one fails, and one is
 * cancelled.
 */
export function* referenceRequests(tenant: string, since: number): Generator<LogEvent> {
  const completed = { result: `result of ${tenant}` };
  yield* referenceRequest(`${tenant}/ada/1`, completed, completed, "COMPLETED", since);
  const failed = { code: "DOOMED" };
  yield* referenceRequest(`${tenant}/ada/2`, failed, failed, "FAILED", since);
  yield* referenceRequest(`${tenant}/ada/3`, completed, { code: "CANCELLED" }, "CANCELLED", since);
}

function* referenceRequest(
  request: string,
  expected: RequestEnd,
  end: RequestEnd,
  state: "COMPLETED" | "FAILED" | "CANCELLED",
  since: number,
): Generator<LogEvent> {
  const client = "asker";
  let now = since;
  const store = (fact: Omit<StoredFact, "request" | "from" | "until">): LogEvent => {
    now += 10;
    return { kind: "request_stored", request, from: now - 5, until: now, ...fact };
  };
  const texts = Array.from({ length: STAGES }, (_, at) => `<${request} ${at}>`);
  // A request that fails has a part of its output.
  const stages = state === "COMPLETED" ? STAGES : STAGES - 1;
  const jobs = [`first of ${request}`, `second of ${request}`];
  yield { kind: "request_made", request, expected: { output: texts.join(""), end: expected } };
  for (const job of jobs) yield { kind: "job_started", client, job, request, attached: false };
  yield { kind: "request_accepted", client, request };
  for (let stage = 1; stage <= stages; stage++) {
    const token = `${request} worker ${stage}`;
    const before = { stage: stage - 1, offset: stage - 1, chunks: stage - 1 };
    // Each stage is another worker's.
    yield store({ call: "claim", token, attempt: stage, ...before });
    yield store({ call: "renew", token });
    yield store({ call: "append", token, offset: stage, chunks: stage });
    yield { kind: "request_output", client, request, offset: stage };
    for (const job of jobs) yield { kind: "job_output", job, text: texts[stage - 1]! };
    yield store({ call: "saveCheckpoint", token, stage });
  }
  if (state === "CANCELLED") yield { kind: "request_cancelled", request };
  const by = state === "CANCELLED" ? undefined : `${request} worker ${stages}`;
  yield store({ call: by === undefined ? "cancel" : "finish", token: by, state });
  const type = state === "COMPLETED" ? "complete" : "error";
  yield { kind: "request_end", client, request, type, output: stages };
  for (const job of jobs) yield { kind: "job_ended", job, end };
  yield { kind: "request_read", client, request, owned: true, state };
  yield { kind: "request_read", client: "stranger", request, owned: false, code: "NOT_FOUND" };
}
