import { randomUUID } from "node:crypto";
import { Retry } from "../../aws/index.ts";
import { elapsed } from "../../internal/elapsed.ts";
import { RolloutError } from "../errors.ts";
import { parseFlag, withPercent } from "../flags/steps.ts";
import type { RolloutState } from "../stages/stages.ts";
import type { RolloutSettings } from "./options.ts";
import { formatRecord, parseRecord, type RolloutChange, type RolloutRecord } from "./record.ts";

/** The stored texts, as they were read together. */
export interface StoredTexts {
  readonly text: string | undefined;
  readonly flag: string | undefined;
}

/** A stored rollout. */
export interface StoredRollout extends StoredTexts {
  readonly text: string;
  readonly record: RolloutRecord;
}

/** The parts of a change that its caller knows. */
export type ChangeDetails = Pick<RolloutChange, "action" | "why" | "numbers">;

/**
 * Reads and writes the state and the flag. The state is written first, with the flag's value before and after: so after a
 * crash between the two writes, `settle` finds out that the second is missing.
 */
export class RolloutStorage {
  readonly #settings: RolloutSettings;
  #lastLogged: string | undefined;
  /** Changes that the audit log does not have yet. */
  readonly #unlogged = new Map<string, RolloutChange>();
  #logFailure: RolloutError | undefined;

  constructor(settings: RolloutSettings) {
    this.#settings = settings;
  }

  /** The flag is read between two reads of the state: otherwise it could be that of a later state. */
  async readTexts(): Promise<StoredTexts> {
    const { state, flag } = this.#settings;
    for (;;) {
      const text = await this.#run((signal) => state.read(signal));
      const value = await this.#run((signal) => flag.read(signal));
      if ((await this.#run((signal) => state.read(signal))) === text) return { text, flag: value };
    }
  }

  /** @throws {RolloutError} INVALID_INPUT */
  async read(): Promise<StoredRollout | undefined> {
    return this.parse(await this.readTexts());
  }

  /** @throws {RolloutError} INVALID_INPUT */
  parse({ text, flag }: StoredTexts): StoredRollout | undefined {
    if (text === undefined) return undefined;
    return { text, flag, record: parseRecord(text, this.#settings.plan) };
  }

  /**
   * Completes a change of the flag that a crash has interrupted. A rollback is completed whatever the flag's value is.
   * @returns the rollout, and whether a change was interrupted
   * @throws {RolloutError} CONFLICT; INVALID_FLAG when somebody else has written the flag
   */
  async settle(
    stored: StoredRollout,
  ): Promise<{ readonly stored: StoredRollout; readonly wasInterrupted: boolean }> {
    const { state, flag, change } = stored.record;
    if (isWritten(stored)) {
      await this.#log(change);
      return { stored, wasInterrupted: false };
    }
    const isRollback = state.status === "rolled back";
    if (!isRollback && stored.flag !== (flag.last ?? undefined)) {
      throw new RolloutError(
        "INVALID_FLAG",
        "Nothing was changed: the flag has a value that this rollout did not write; write the last one again, or roll back",
      );
    }
    // With another `since`: connections that began in the meantime are on the old side.
    const settled = await this.#writeBoth(
      stored,
      { ...state, version: state.version + 1 },
      change,
      flag.next,
    );
    return { stored: settled, wasInterrupted: true };
  }

  /** Writes a state that has another percentage or status. @throws {RolloutError} CONFLICT */
  commit(
    stored: StoredTexts & { readonly record?: RolloutRecord },
    next: RolloutState,
    details: ChangeDetails,
  ) {
    const { who, clock } = this.#settings;
    const change: RolloutChange = {
      id: randomUUID(),
      time: new Date(clock.now()).toISOString(),
      who,
      from: stored.record?.state.percent ?? 0,
      to: next.percent,
      status: next.status,
      ...details,
    };
    return this.#writeBoth(stored, next, change, []);
  }

  /** Writes a state with the same percentage and status. @throws {RolloutError} CONFLICT */
  async update(stored: StoredRollout, state: RolloutState): Promise<StoredRollout> {
    const record = { ...stored.record, state };
    return { ...stored, record, text: await this.#writeState(stored.text, record) };
  }

  /** Sets the flag to 0 % without a state. */
  async clearFlag(): Promise<void> {
    const { flag } = this.#settings;
    const value = await this.#run((signal) => flag.read(signal));
    await this.#writeFlag(this.#flagValue(value, 0), value);
  }

  async #writeBoth(
    { text, flag, record }: StoredTexts & { readonly record?: RolloutRecord },
    next: RolloutState,
    change: RolloutChange,
    earlier: readonly string[],
  ): Promise<StoredRollout> {
    const isSame = next.percent === record?.state.percent && earlier.length === 0;
    if (record !== undefined && isSame) {
      const changed = { ...record, state: next, change };
      const written = await this.#writeState(text, changed);
      await this.#log(change);
      return { text: written, flag, record: changed };
    }
    // Later than that, processes might read a higher percentage after it applies.
    const limitMs = next.percent === 0 ? Number.POSITIVE_INFINITY : this.#settings.leadMs / 2;
    const deadline = elapsed() + limitMs;
    const value = this.#flagValue(flag, next.percent);
    // The stage begins when its percentage applies.
    const since = parseFlag(value).at(-1)?.since ?? 0;
    const state = { ...next, observedUntil: Math.max(next.observedUntil, since) };
    const written: RolloutRecord = {
      state,
      flag: { last: flag ?? null, next: [...earlier, value] },
      change,
    };
    const writtenText = await this.#writeState(text, written, deadline).catch(async (error: unknown) => {
      // A state that cannot be written must not prevent a rollback.
      const mustClear = next.status === "rolled back" && (error as RolloutError).code !== "CONFLICT";
      if (mustClear) await this.#writeFlag(value, flag);
      throw error;
    });
    try {
      await this.#writeFlag(value, flag, deadline);
    } finally {
      await this.#log(change);
    }
    return { text: writtenText, flag: value, record: written };
  }

  /** Returns the failure of the audit log since the last call, and forgets it. */
  takeLogFailure(): RolloutError | undefined {
    const failure = this.#logFailure;
    this.#logFailure = undefined;
    return failure;
  }

  /** Never rejects: a full disk must not prevent a rollback. */
  async #log(change: RolloutChange): Promise<void> {
    if (change.id !== this.#lastLogged) this.#unlogged.set(change.id, change);
    try {
      for (const each of this.#unlogged.values()) {
        await this.#run(async () => this.#settings.audit.append(each));
        this.#unlogged.delete(each.id);
        this.#lastLogged = each.id;
      }
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : "unknown error";
      const message = `The change was made, but the audit log cannot be written: ${reason}`;
      this.#logFailure ??= new RolloutError("AUDIT_FAILED", message, { cause });
    }
  }

  #flagValue(flag: string | undefined, percent: number): string {
    const { leadMs, clock } = this.#settings;
    try {
      return withPercent(flag, percent, { leadMs, now: () => clock.now() });
    } catch (error) {
      // A malformed flag has no steps to keep, and must not prevent a rollback.
      if (percent === 0 && (error as RolloutError).code === "INVALID_FLAG") return "false";
      throw error;
    }
  }

  async #writeState(last: string | undefined, record: RolloutRecord, limit?: number): Promise<string> {
    const text = formatRecord(record);
    await this.#run((signal) => this.#settings.state.write(text, last, signal), limit);
    return text;
  }

  #writeFlag(value: string, last: string | undefined, limit?: number): Promise<void> {
    return this.#run((signal) => this.#settings.flag.write(value, last, signal), limit);
  }

  /** @param limit in elapsed ms */
  async #run<Result>(
    call: (signal: AbortSignal) => Promise<Result> | Result,
    limit = Number.POSITIVE_INFINITY,
  ): Promise<Result> {
    const deadline = Math.min(elapsed() + this.#settings.timeoutMs, limit);
    return new Retry({ deadline }).run(async (signal) => call(signal));
  }
}

/** Returns whether the flag has the value of the last change. */
export function isWritten({ flag, record }: StoredRollout): boolean {
  return flag !== undefined && record.flag.next.includes(flag);
}
