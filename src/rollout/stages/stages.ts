import { isRecord } from "../../internal/options.ts";
import { RolloutError } from "../errors.ts";
import type { Plan } from "./plan.ts";
import { findExcess, findTrigger, hasSamples, type TriggerReport } from "./triggers.ts";
import { findWindowFault, mergeWindows, type ObservedWindow } from "./windows.ts";

/** The state of a rollout. It is JSON, to be stored between windows. */
export interface RolloutState {
  /** `complete`: the last stage, whose windows are still checked. A state that is rolled back never changes. */
  readonly status: "running" | "paused" | "complete" | "rolled back";
  /** Index of the stage. */
  readonly stage: number;
  /** Percentage on the new side now; 0 after a rollback. */
  readonly percent: number;
  /** Counts changes. Write a state only over the version before it, so that of two operators one fails. */
  readonly version: number;
  /** Observed time of the stage in ms. Time without windows does not count. */
  readonly observedMs: number;
  /** End of the last window, in ms since the epoch; of the stage's start when there is none yet. */
  readonly observedUntil: number;
  /** Observations of the stage: at index n of 2ⁿ windows, or null. */
  readonly observations: readonly (ObservedWindow | null)[];
  /** The reason for the rollback: the trigger, or the operator's text. */
  readonly reason?: TriggerReport | string;
}

/** An input of `nextState`. */
export type RolloutInput =
  | { readonly type: "window"; readonly window: ObservedWindow }
  | { readonly type: "pause" }
  | { readonly type: "resume" }
  | { readonly type: "promote" }
  | { readonly type: "rollback"; readonly reason: string };

/** The result of `nextState`. */
export interface RolloutStep {
  /** The new state; the same object when nothing has changed. */
  readonly state: RolloutState;
  /** The reason for which a window was ignored. */
  readonly ignored?: string;
}

const HOUR_MS = 3_600_000;

/**
 * Returns the state at the start of a rollout.
 * @param at when the first stage's percentage applies, in ms since the epoch
 * @example
 * let state = startRollout(createPlan(), Date.now());
 */
export function startRollout(plan: Plan, at: number): RolloutState {
  return enterStage({ version: 0 }, 0, plan, at);
}

function enterStage(
  { version }: { readonly version: number },
  stage: number,
  plan: Plan,
  at: number,
): RolloutState {
  const { percent = 100 } = plan.stages[stage] ?? {};
  const status = stage >= plan.stages.length - 1 ? "complete" : "running";
  return { status, stage, percent, version: version + 1, observedMs: 0, observedUntil: at, observations: [] };
}

/**
 * Returns the state after an input. It is a pure function: a driver stores the state and writes its percentage to the flag.
 * @throws {RolloutError} INVALID_INPUT when the state does not allow the input, or a promotion while a limit is exceeded
 * @example
 * const { state: next, ignored } = nextState(state, { type: "window", window }, plan);
 */
export function nextState(state: RolloutState, input: RolloutInput, plan: Plan): RolloutStep {
  if (state.status === "rolled back") {
    if (input.type === "window") return { state, ignored: "the rollout was rolled back" };
    throw invalidInput("the rollout was rolled back; start another one");
  }
  switch (input.type) {
    case "window":
      return observe(state, input.window, plan);
    case "pause":
      if (state.status !== "running") throw invalidInput(`the rollout is ${state.status}`);
      return { state: { ...state, status: "paused", version: state.version + 1 } };
    case "resume":
      if (state.status !== "paused") throw invalidInput(`the rollout is ${state.status}`);
      return { state: { ...state, status: "running", version: state.version + 1 } };
    case "promote":
      return { state: promote(state, plan) };
    case "rollback":
      return { state: rollBack(state, input.reason) };
  }
}

function observe(state: RolloutState, window: ObservedWindow, plan: Plan): RolloutStep {
  const ignored = findWindowFault(window) ?? findTimeFault(state, window, plan);
  if (ignored !== undefined) return { state, ignored };
  const { observations, trigger } = addObservation(state.observations, window, plan);
  if (trigger !== undefined) return { state: rollBack(state, trigger) };
  const observed: RolloutState = {
    ...state,
    version: state.version + 1,
    observedMs: state.observedMs + window.to - window.from,
    observedUntil: window.to,
    observations,
  };
  return {
    state: isOver(observed, plan) ? enterStage(observed, state.stage + 1, plan, window.to) : observed,
  };
}

/** A clock that jumps, and metrics from yesterday, must not count as observed time. */
function findTimeFault(state: RolloutState, window: ObservedWindow, { windowMs }: Plan): string | undefined {
  if (window.from < state.observedUntil)
    return "it begins before the end of the last window, or of the stage's start";
  if (window.to - window.from > 2 * windowMs) return "it is longer than two windows";
  if (window.new.events + window.new.connects === 0) return "the new side has no events";
  return undefined;
}

/**
 * Adds a window like 1 to a binary number: two observations of the same length become one of twice the length. So small loads
 * are checked over long times too, and the number of checks is at most twice the number of windows.
 */
function addObservation(observations: RolloutState["observations"], window: ObservedWindow, plan: Plan) {
  const next = [...observations];
  let carried = window;
  let trigger = findTrigger(carried, plan);
  let level = 0;
  for (let same = next[level]; trigger === undefined && same; same = next[++level]) {
    carried = mergeWindows(same, carried);
    trigger = findTrigger(carried, plan);
    next[level] = null;
  }
  next[level] = carried;
  return { observations: next, trigger };
}

function isOver(state: RolloutState, plan: Plan): boolean {
  const { hours } = plan.stages[state.stage] ?? {};
  if (state.status !== "running" || hours === undefined || state.observedMs < hours * HOUR_MS) return false;
  const total = totalOf(state);
  return total !== undefined && hasSamples(total, plan) && findExcess(total, plan) === undefined;
}

/** Returns all observations of the stage together; `undefined` when there are none. */
export function totalOf({ observations }: RolloutState): ObservedWindow | undefined {
  // Longer observations are older.
  return observations.reduceRight<ObservedWindow | undefined>(
    (total, each) => (each === null ? total : total === undefined ? each : mergeWindows(total, each)),
    undefined,
  );
}

function promote(state: RolloutState, plan: Plan): RolloutState {
  if (state.status === "complete") throw invalidInput("the rollout is complete");
  const total = totalOf(state);
  const excess = total && findExcess(total, plan);
  if (excess !== undefined) {
    throw invalidInput(`a promotion is not allowed while ${excess.trigger} exceed the limit`);
  }
  return enterStage(state, state.stage + 1, plan, state.observedUntil);
}

function rollBack(state: RolloutState, reason: TriggerReport | string): RolloutState {
  return { ...state, status: "rolled back", percent: 0, version: state.version + 1, reason };
}

/**
 * Checks a state that was stored, and may have been edited.
 * @throws {RolloutError} INVALID_INPUT
 * @example
 * const state = parseRolloutState(JSON.parse(text), plan);
 */
export function parseRolloutState(value: unknown, plan: Plan): RolloutState {
  const fault = findStateFault(value, plan);
  if (fault !== undefined) throw invalidInput(`the stored state is malformed: ${fault}`);
  return value as RolloutState;
}

function findStateFault(value: unknown, plan: Plan): string | undefined {
  if (!isRecord(value)) return "it must be an object";
  const { status, stage, percent, version, observedMs, observedUntil, observations } = value;
  if (!["running", "paused", "complete", "rolled back"].includes(status as string)) return "`status`";
  const planned = Number.isInteger(stage) ? plan.stages[stage as number] : undefined;
  if (planned === undefined) return "`stage`";
  if (percent !== (status === "rolled back" ? 0 : planned.percent)) return "`percent`";
  const isLast = stage === plan.stages.length - 1;
  if (status !== "rolled back" && isLast !== (status === "complete")) return "`status`";
  if (!Number.isSafeInteger(version) || Number(version) < 1) return "`version`";
  if (!Number.isFinite(observedMs) || Number(observedMs) < 0) return "`observedMs`";
  if (!Number.isFinite(observedUntil)) return "`observedUntil`";
  if (!Array.isArray(observations)) return "`observations`";
  const isInvalid = (each: unknown) => each !== null && findWindowFault(each) !== undefined;
  return observations.some(isInvalid) ? "`observations`" : undefined;
}

function invalidInput(fault: string): RolloutError {
  return new RolloutError("INVALID_INPUT", `Nothing was changed: ${fault}`);
}
