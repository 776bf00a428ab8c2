import { randomUUID } from "node:crypto";
import { logSafely } from "../../internal/log-safely.ts";
import { integer, type OptionChecks } from "../../internal/options.ts";
import type { TimeBudget } from "../../store/index.ts";
import type { CallContext } from "../call-context.ts";
import { assertOptions, awaitStore } from "../errors.ts";
import { type DispatchOptions, RequestDispatcher } from "./dispatch.ts";
import type { RequestRegistry } from "./registry.ts";
import { RequestRun, type RunCollaborators } from "./request-run.ts";
import type { WorkerEvent } from "./starter.ts";

/** Options of `streamer.workerHandler`. */
export interface WorkerOptions extends DispatchOptions {
  /**
   * How long before the end of the function's time a request is handed over to another invocation, in ms. Default 10,000;
   * minimum 1,000.
   */
  readonly handOverMs?: number;
}

/** A Lambda handler that runs one request. */
export type WorkerHandler = (event: WorkerEvent, context: TimeBudget) => Promise<void>;

interface WorkerCollaborators extends RunCollaborators {
  readonly registry: RequestRegistry;
  readonly createContext: (budget: TimeBudget) => CallContext;
}

const CHECKS: OptionChecks<Pick<WorkerOptions, "handOverMs">> = { handOverMs: integer(1_000) };

/** Starts nothing more with less time than this, in ms. */
const MIN_REMAINING_MS = 3_000;

/** @throws {LiftError} INVALID_OPTION */
export function createWorkerHandler(
  collaborators: WorkerCollaborators,
  options: WorkerOptions,
): WorkerHandler {
  const { handOverMs = 10_000, ...dispatch } = options;
  assertOptions({ handOverMs }, CHECKS);
  const dispatcher = new RequestDispatcher(collaborators, dispatch);
  return async (event, lambda) => {
    const context = collaborators.createContext(lambda);
    try {
      await runOne(event, lambda, context, { ...collaborators, handOverMs, dispatcher });
    } finally {
      if (lambda.getRemainingTimeInMillis() > MIN_REMAINING_MS) await dispatcher.startNext(context, event);
    }
  };
}

interface OneRun extends WorkerCollaborators {
  readonly handOverMs: number;
  readonly dispatcher: RequestDispatcher;
}

/** Claims a request and runs it. @throws {LiftError} STORE_FAILED when it could not be claimed: Lambda invokes again */
async function runOne(
  { owner, id, tenant }: WorkerEvent,
  lambda: TimeBudget,
  context: CallContext,
  { registry, dispatcher, handOverMs, ...collaborators }: OneRun,
): Promise<void> {
  const { settings, now } = collaborators;
  const lease = { owner, id, token: randomUUID() };
  const found = await awaitStore(dispatcher.store.get(lease, lambda));
  const definition = found && registry.get(found.action);
  if (definition === undefined) {
    logSafely(context.logger, "warn", "There is no such request, or no such action", { requestId: id });
    return;
  }
  const claim = { now: now(), leaseUntil: now() + settings.leaseMs };
  const counted = dispatcher.isLimited ? { countFor: tenant } : {};
  const claimed = await awaitStore(dispatcher.store.claim(lease, { ...claim, ...counted }, lambda));
  // The event came twice, or the request was cancelled.
  if (claimed === undefined) return;
  const run = new RequestRun(definition, claimed, lease, context, collaborators);
  // The timer also keeps the event loop alive, if the handler waits for something that does not.
  const timer = setTimeout(() => run.handOver(), Math.max(0, lambda.getRemainingTimeInMillis() - handOverMs));
  try {
    await run.run();
  } finally {
    clearTimeout(timer);
  }
}
