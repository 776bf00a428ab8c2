import { randomUUID } from "node:crypto";
import type { AttributeValue } from "@aws-sdk/client-dynamodb";
import type { DynamoDBBatchResponse, DynamoDBRecord, DynamoDBStreamEvent } from "aws-lambda";
import type { MakeReport, ReportInput } from "../report.ts";
import { ClientError, complete, failure, progress } from "./frames.ts";
import { type Failure, type Lease, parseRequest, type StoredRequest } from "./requests.ts";
import type { Services } from "./services.ts";

const PROGRESS_MS = 100;

export interface ProcessorOptions {
  readonly makeReport: MakeReport;
  /** Longest time of one attempt, in ms. */
  readonly timeoutMs: number;
  readonly attempts: number;
  /** How long a worker that has died keeps its request, in ms. Longer than `timeoutMs`. */
  readonly leaseMs: number;
}

/** Handles the stream of the requests' table. A failed attempt is reported, so that Lambda delivers its record again. */
export function createProcessor(services: Services, options: ProcessorOptions) {
  const { log } = services;
  return async ({ Records }: DynamoDBStreamEvent): Promise<DynamoDBBatchResponse> => {
    const failed = await Promise.all(Records.map(process));
    return {
      batchItemFailures: failed.flatMap((itemIdentifier) => (itemIdentifier ? [{ itemIdentifier }] : [])),
    };
  };

  /** Returns the sequence number of a record that must come again. */
  async function process({ eventName, dynamodb }: DynamoDBRecord): Promise<string | undefined> {
    const sequenceNumber = dynamodb?.SequenceNumber;
    if (eventName !== "INSERT" || dynamodb?.NewImage === undefined) return undefined;
    const request = parseImage(dynamodb.NewImage as { [name: string]: AttributeValue });
    if (request === undefined) return undefined;
    try {
      return (await run(request)) ? undefined : sequenceNumber;
    } catch (error) {
      log("error", "A request was not processed", { requestId: request.id, error });
      return sequenceNumber;
    }
  }

  function parseImage(image: { [name: string]: AttributeValue }): StoredRequest | undefined {
    try {
      return parseRequest(image);
    } catch (error) {
      // It would fail each time, and hold up the records behind it.
      log("error", "A record is malformed", { error });
      return undefined;
    }
  }

  /** Returns false when the request must be tried again. */
  async function run(request: StoredRequest): Promise<boolean> {
    const { requests, sender } = services;
    const lease = await requests.claim(request, randomUUID(), options.leaseMs);
    if (lease === undefined) return true;
    if (lease === "held") return false;
    try {
      // An attempt whose worker dies is counted, but nothing fails it.
      if (lease.request.attempt > options.attempts) throw new Error("Each attempt ended with its worker");
      const result = await attempt(lease);
      if (await requests.complete(lease, result)) await sender.send(request, complete(request.id, result));
      return true;
    } catch (error) {
      return fail(lease, error);
    }
  }

  async function attempt(lease: Lease): Promise<unknown> {
    const { request } = lease;
    const signal = AbortSignal.timeout(options.timeoutMs);
    const reporter = createReporter(lease);
    const timeout = new Promise<never>((_, reject) => {
      signal.addEventListener("abort", () => {
        reject(new ClientError("TIMEOUT", `The request took longer than ${options.timeoutMs} ms`));
      });
    });
    try {
      const work = options.makeReport(request.input as ReportInput, { progress: reporter.report, signal });
      return await Promise.race([work, timeout]);
    } finally {
      await reporter.close();
    }
  }

  /** Stores and sends progress in order, not more often than every 100 ms. Nothing follows `close`. */
  function createReporter(lease: Lease) {
    const { requests, sender } = services;
    let last = Number.NEGATIVE_INFINITY;
    let isClosed = false;
    let sending: Promise<unknown> = Promise.resolve();
    const send = async (percentage: number, message: string) => {
      const isHeld = await requests.saveProgress(lease, { percentage, message }, options.leaseMs);
      if (isHeld) await sender.send(lease.request, progress(lease.request.id, percentage, message));
    };
    return {
      report: (percentage: number, message = "") => {
        if (isClosed || Date.now() - last < PROGRESS_MS) return;
        last = Date.now();
        sending = sending
          .then(() => send(percentage, message))
          .catch((error: unknown) => log("warn", "Progress was not stored", { error }));
      },
      close: async () => {
        isClosed = true;
        await sending;
      },
    };
  }

  async function fail(lease: Lease, error: unknown): Promise<boolean> {
    const { requests, sender } = services;
    const { request } = lease;
    const isFinal = request.attempt >= options.attempts;
    log(isFinal ? "error" : "warn", "An attempt failed", {
      requestId: request.id,
      attempt: request.attempt,
      error,
    });
    if (!isFinal) return !(await requests.release(lease));
    const shown: Failure =
      error instanceof ClientError ? error : { code: "INTERNAL_ERROR", message: "Internal server error" };
    const { code, message } = shown;
    if (await requests.fail(lease, { code, message })) await sender.send(request, failure(request.id, shown));
    return true;
  }
}
