import { hash } from "node:crypto";
import { isRecord } from "../../internal/options.ts";
import { RolloutError } from "../errors.ts";
import type { Plan } from "../stages/plan.ts";
import { parseRolloutState, type RolloutState } from "../stages/stages.ts";
import type { TriggerReport } from "../stages/triggers.ts";
import type { ObservedWindow } from "../stages/windows.ts";

/** A change of a rollout, as the audit log has it. */
export interface RolloutChange {
  /** Identifies the change. */
  readonly id: string;
  /** Time in ISO 8601. */
  readonly time: string;
  /** The person or process that changed it. */
  readonly who: string;
  /** The change. A rollout promotes by time, or by hand. */
  readonly action: "start" | "promote" | "pause" | "resume" | "rollback";
  /** Percentage on the new side before. */
  readonly from: number;
  /** Percentage on the new side after. */
  readonly to: number;
  /** Status after the change. */
  readonly status: RolloutState["status"];
  /** The reason, in words. */
  readonly why: string;
  /** The trigger of a rollback, or the counts of the stage that has ended. */
  readonly numbers?: TriggerReport | ObservedWindow;
}

/** A rollout as it is stored. */
export interface RolloutRecord {
  readonly state: RolloutState;
  /** The flag's value before the last change of the percentage, and the values that were to be written since. */
  readonly flag: { readonly last: string | null; readonly next: readonly string[] };
  readonly change: RolloutChange;
}

/** Returns a record as text. It has a digest, so that an edit by hand is noticed. */
export function formatRecord({ state, flag, change }: RolloutRecord): string {
  const content = { state, flag, change };
  return JSON.stringify({ ...content, digest: digestOf(content) });
}

/** @throws {RolloutError} INVALID_INPUT for a malformed or edited record, or one of another plan */
export function parseRecord(text: string, plan: Plan): RolloutRecord {
  const value = parseObject(text);
  const { digest, ...content } = value;
  if (digest !== digestOf(content)) {
    throw new RolloutError(
      "INVALID_INPUT",
      "Nothing was changed: the stored state was edited; restore it, or roll back and start again",
    );
  }
  parseRolloutState(content.state, plan);
  return content as unknown as RolloutRecord;
}

function parseObject(text: string): { readonly [name: string]: unknown } {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : {};
  } catch {
    return {};
  }
}

function digestOf(content: object): string {
  return hash("sha256", JSON.stringify(content)).slice(0, 16);
}
