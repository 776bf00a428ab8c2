import { integer, type OptionChecks, record, text, withMethods } from "../../internal/options.ts";
import { checkOptions } from "../errors.ts";
import type { FlagTarget } from "../flags/sources.ts";
import type { MetricSource } from "../metrics/source.ts";
import { createPlan, type Plan, type PlanOptions } from "../stages/plan.ts";
import type { AuditLog } from "./audit.ts";
import { type RolloutClock, SYSTEM_CLOCK } from "./clock.ts";

/** Options of `createRollout`. */
export interface RolloutOptions {
  /** The flag that `split` reads. */
  readonly flag: FlagTarget;
  /** The place of the rollout's own state: another target than the flag, such as another attribute of its row. */
  readonly state: FlagTarget;
  /** The metrics of both sides. Required to watch and to promote. */
  readonly source?: MetricSource;
  /** Options of the plan: see `createPlan`. */
  readonly plan?: PlanOptions;
  /** Gets each change. Default: none. */
  readonly audit?: AuditLog;
  /** The person or process, for the audit log. Default `unknown`. */
  readonly who?: string;
  /** Time until a higher percentage applies, in ms: see `withPercent`. Default 60,000; minimum 10,000. */
  readonly leadMs?: number;
  /** Time after the end of a window until its metrics are complete, in ms. Default 120,000; minimum 0. */
  readonly delayMs?: number;
  /** Longest pause until the state is read again while watching, in ms. Default 5,000; minimum 1. */
  readonly pollMs?: number;
  /** Time limit of each read and write of the flag and the state in ms, retries included. Default 10,000; minimum 1. */
  readonly timeoutMs?: number;
  /** Default: the clocks of this machine. */
  readonly clock?: RolloutClock;
}

const OPTIONS: OptionChecks<RolloutOptions> = {
  flag: withMethods("read", "write"),
  state: withMethods("read", "write"),
  source: withMethods("read"),
  plan: record,
  audit: withMethods("append"),
  who: text,
  leadMs: integer(10_000),
  delayMs: integer(0),
  pollMs: integer(1),
  timeoutMs: integer(1),
  clock: withMethods("now", "elapsed", "wait"),
};

/** Options with their defaults. */
export interface RolloutSettings extends Omit<Required<RolloutOptions>, "source" | "plan"> {
  readonly source: MetricSource | undefined;
  readonly plan: Plan;
}

/** @throws {RolloutError} INVALID_OPTION */
export function rolloutSettings(options: RolloutOptions): RolloutSettings {
  checkOptions(options, OPTIONS, ["flag", "state"]);
  return {
    flag: options.flag,
    state: options.state,
    source: options.source,
    plan: createPlan(options.plan),
    audit: options.audit ?? { append() {} },
    who: options.who ?? "unknown",
    leadMs: options.leadMs ?? 60_000,
    delayMs: options.delayMs ?? 120_000,
    pollMs: options.pollMs ?? 5_000,
    timeoutMs: options.timeoutMs ?? 10_000,
    clock: options.clock ?? SYSTEM_CLOCK,
  };
}
