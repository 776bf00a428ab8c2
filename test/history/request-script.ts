// The work of the simulated requests. Their output and result depend on nothing but the request itself.
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { LiftError } from "../../src/lift/index.ts";
import type { RequestContext, Streamer } from "../../src/streamer/index.ts";
import type { ExpectedRequest } from "./log.ts";
import { Random } from "./random.ts";

/** The action of the simulated requests. */
export const WORK = "work";

/** `flaky`: some attempts fail. `doomed`: fails for good. `large`: its result is larger than a frame, and often than what the store takes. */
export const REQUEST_KINDS = ["text", "values", "large", "flaky", "doomed"] as const;

export type RequestKind = (typeof REQUEST_KINDS)[number];

export interface RequestName {
  readonly tenant: string;
  readonly user: string;
  readonly id: string;
}

type Chunk = string | { readonly [name: string]: string | number };

interface RequestPlan {
  readonly stages: number;
  readonly chunksPerStage: number;
  readonly chunks: readonly Chunk[];
  readonly result: { readonly [name: string]: string };
  /** The first attempts, which fail in the stage `failsIn`. */
  readonly failures: number;
  readonly failsIn: number;
  /** Whether the handler stops when its signal aborts. */
  readonly heedsSignal: boolean;
}

const DOOMED_CODE = "DOOMED";
const CHUNK_MS = [0, 60] as const;
/** Sizes of results that a client reads in parts. */
const LARGE_BYTES = [98_000, 250_000] as const;
/** Sizes of results that only the blob store takes. */
export const BLOB_BYTES = [310_000, 400_000] as const;

export function formatRequest({ tenant, user, id }: RequestName): string {
  return `${tenant}/${user}/${id}`;
}

function planRequest(name: RequestName, kind: RequestKind): RequestPlan {
  const request = formatRequest(name);
  const random = new Random(createHash("sha256").update(request).digest().readUInt32BE());
  const stages = random.integer(2, 5);
  const chunksPerStage = random.integer(1, 6);
  const chunks = Array.from({ length: stages * chunksPerStage }, (_, at): Chunk => {
    const filler = "x".repeat(random.chance(0.15) ? random.integer(500, 4_000) : 0);
    return kind === "values" ? { request, at, filler } : `<${request} ${at}${filler}>`;
  });
  const [least, most] = random.chance(0.4) ? LARGE_BYTES : BLOB_BYTES;
  const size = random.integer(least, most);
  const filler = "x".repeat(kind === "large" ? size : 0);
  const failures = { flaky: random.integer(1, 3), doomed: Number.POSITIVE_INFINITY };
  return {
    stages,
    chunksPerStage,
    chunks,
    result: { request, filler },
    failures: kind === "flaky" || kind === "doomed" ? failures[kind] : 0,
    failsIn: random.integer(1, stages),
    heedsSignal: random.chance(0.5),
  };
}

export function expectRequest(name: RequestName, kind: RequestKind): ExpectedRequest {
  const { chunks, result } = planRequest(name, kind);
  return {
    output: chunks.map(formatChunk).join(""),
    end: kind === "doomed" ? { code: DOOMED_CODE } : { result: digest(result) },
  };
}

/** Texts of an output may be joined, so chunks are compared as one text. */
export function formatChunk(chunk: unknown): string {
  return typeof chunk === "string" ? chunk : JSON.stringify(chunk);
}

export function digest(result: unknown): string {
  return createHash("sha256").update(JSON.stringify(result)).digest("hex").slice(0, 16);
}

export function registerWork(streamer: Streamer): void {
  const options = {
    estimatedMs: 60_000,
    // Attempts are counted at each take-over too.
    retry: { attempts: 10_000, firstMs: 50, longestMs: 500 },
  };
  streamer.request(WORK, options, (input, context) => work(input as { kind: RequestKind }, context));
}

async function work({ kind }: { readonly kind: RequestKind }, context: RequestContext) {
  const { id, identity, attempt, output, checkpoint, signal, progress } = context;
  const name = { tenant: identity.tenantId ?? "", user: identity.userId ?? "", id };
  const { stages, chunksPerStage, chunks, result, failures, failsIn, heedsSignal } = planRequest(name, kind);
  const random = new Random(attempt);
  const { stage: last = 0 } = (checkpoint.value ?? {}) as { readonly stage?: number };
  let written = output.written;
  const writeUntil = async (end: number) => {
    for (; written < end; written++) {
      await sleep(random.between(...CHUNK_MS), undefined, heedsSignal ? { signal } : {});
      await output.write(chunks[written]);
    }
  };
  for (let stage = last + 1; stage <= stages; stage++) {
    if (attempt <= failures && stage === failsIn) {
      if (kind === "doomed") throw new LiftError(DOOMED_CODE, { message: "It cannot succeed", retry: false });
      throw new Error("Simulated failure of the handler");
    }
    await writeUntil(stage * chunksPerStage);
    progress((100 * stage) / stages, `stage ${stage}`);
    await checkpoint.save({ stage });
  }
  // A checkpoint may be stored before the last chunks are.
  await writeUntil(chunks.length);
  return result;
}
