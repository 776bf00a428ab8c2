import { formatPercent } from "../../internal/percent.ts";
import { RolloutError } from "../errors.ts";
import { parseFlag } from "../flags/steps.ts";
import { askSource, invalidMetrics, type MetricSource } from "../metrics/source.ts";
import type { Plan } from "../stages/plan.ts";
import { nextState, type RolloutInput, type RolloutState, startRollout, totalOf } from "../stages/stages.ts";
import { findExcess, type TriggerReport } from "../stages/triggers.ts";
import { mergeWindows, type ObservedWindow } from "../stages/windows.ts";
import { JumpDetector } from "./clock.ts";
import { type RolloutOptions, type RolloutSettings, rolloutSettings } from "./options.ts";
import type { RolloutChange } from "./record.ts";
import {
  type ChangeDetails,
  isWritten,
  RolloutStorage,
  type StoredRollout,
  type StoredTexts,
} from "./storage.ts";

/** A rollout as it is now. */
export interface RolloutStatus {
  /** The stored state. */
  readonly state: RolloutState;
  /** The plan, with defaults. */
  readonly plan: Plan;
  /** The last change. */
  readonly change: RolloutChange;
  /** Whether the flag has the state's percentage. `false` after a crash: the next command but `status` writes it. */
  readonly isFlagWritten: boolean;
  /** All observations of the stage; `undefined` when there are none yet. */
  readonly total: ObservedWindow | undefined;
  /** The first measure of `total` above its limit; `undefined` when there is none. No promotion is allowed meanwhile. */
  readonly excess: TriggerReport | undefined;
  /** When the next window can be read, in ms since the epoch. */
  readonly nextWindowAt: number;
}

/** One round of `watch`. */
export interface RolloutReport {
  /** The rollout after the round; `undefined` when it could not be read. */
  readonly status: RolloutStatus | undefined;
  /** Windows that were observed in this round. */
  readonly windows: readonly ObservedWindow[];
  /** Windows that were not used, and a failure that ended the round, with their codes. */
  readonly errors: readonly unknown[];
}

/** Drives a rollout: it holds the state, writes the flag, and reads the metrics. */
export interface Rollout {
  /** Returns the rollout; `undefined` when none was started. It changes nothing. */
  status(): Promise<RolloutStatus | undefined>;
  /** Begins with the first stage. The flag must be at 0 %. */
  start(why: string): Promise<RolloutStatus>;
  /** Stops promotions by time. Triggers still roll back. */
  pause(why: string): Promise<RolloutStatus>;
  /** Ends a pause. */
  resume(why: string): Promise<RolloutStatus>;
  /**
   * Begins the next stage, after it has read the metrics until now. Completes a change that a crash has interrupted instead, if
   * there is one.
   * @param options `to`: the percentage of the next stage. With it, a repeated call changes nothing
   */
  promote(why: string, options?: { readonly to?: number | undefined }): Promise<RolloutStatus>;
  /**
   * Moves all connections to the old side. It needs no metrics, repeats itself after a conflict, and works with a malformed
   * flag. When the stored state is malformed, missing or cannot be written, it writes the flag, and then throws.
   */
  rollback(why: string): Promise<RolloutStatus>;
  /**
   * Observes windows until the rollout is rolled back or the signal is aborted. Failures are reported, and tried again.
   * @throws {RolloutError} INVALID_INPUT for a malformed state, INVALID_FLAG for a flag that somebody else wrote
   */
  watch(options: {
    readonly signal: AbortSignal;
    readonly onReport?: (report: RolloutReport) => void;
  }): Promise<RolloutStatus | undefined>;
}

/** Windows from longer ago are not read any more. */
const LONGEST_CATCH_UP_MS = 24 * 60 * 60 * 1000;
const ROLLBACK_ATTEMPTS = 20;
/** A source has a time limit of its own. This one is for those that have none. */
const SOURCE_TIMEOUT_MS = 60_000;

/**
 * Creates the driver of a rollout. Every method can be repeated after a crash at any point. If two operators write at once, one gets
 * `CONFLICT`. A method whose change was made, but could not be logged, throws `AUDIT_FAILED`.
 * @throws {RolloutError} INVALID_OPTION here. Its methods also throw INVALID_INPUT, INVALID_FLAG, CONFLICT, METRICS_UNAVAILABLE,
 * INVALID_METRICS, CLOCK_JUMPED and AUDIT_FAILED
 * @example
 * const key = { name: { S: "lift-v2" } };
 * const rollout = createRollout({
 *   flag: dynamoDBFlag({ tableName: "flags", key }),
 *   state: dynamoDBFlag({ tableName: "flags", key, attribute: "Rollout" }),
 *   source: cloudWatchSource({ stage: "prod" }),
 * });
 * await rollout.start("version 2");
 * await rollout.watch({ signal: AbortSignal.timeout(60_000) });
 */
export function createRollout(options: RolloutOptions): Rollout {
  return new FlagRollout(rolloutSettings(options));
}

class FlagRollout implements Rollout {
  readonly #settings: RolloutSettings;
  readonly #storage: RolloutStorage;
  readonly #jumps: JumpDetector;
  /** Windows before this time are not used. */
  #skippedUntil = 0;

  constructor(settings: RolloutSettings) {
    this.#settings = settings;
    this.#storage = new RolloutStorage(settings);
    this.#jumps = new JumpDetector(settings.clock, settings.plan.windowMs);
  }

  async status(): Promise<RolloutStatus | undefined> {
    const stored = await this.#storage.read();
    return stored && this.#statusOf(stored);
  }

  start(why: string): Promise<RolloutStatus> {
    return this.#logged(() => this.#start(why));
  }

  /** Runs a command. Throws a failure of the audit log last: any other one must reach the caller. */
  async #logged(command: () => Promise<RolloutStatus>): Promise<RolloutStatus> {
    this.#storage.takeLogFailure();
    const status = await command();
    const failure = this.#storage.takeLogFailure();
    if (failure !== undefined) throw failure;
    return status;
  }

  async #start(why: string): Promise<RolloutStatus> {
    const { plan, clock } = this.#settings;
    const stored = await this.#storage.read();
    if (stored !== undefined) {
      const { stored: settled, wasInterrupted } = await this.#storage.settle(stored);
      if (wasInterrupted && settled.record.change.action === "start") return this.#statusOf(settled);
      const { status } = settled.record.state;
      if (status !== "rolled back") throw invalidInput(`a rollout is ${status} already`);
      return this.#begin(settled, settled.record.state.version, why);
    }
    const texts = await this.#storage.readTexts();
    const percent = percentOf(texts.flag);
    if (percent > 0) throw invalidInput(`the flag is at ${percent} % already; set it to 0 % first`);
    return this.#statusOf(
      await this.#storage.commit(texts, startRollout(plan, clock.now()), { action: "start", why }),
    );
  }

  async #begin(stored: StoredRollout, version: number, why: string): Promise<RolloutStatus> {
    const { plan, clock } = this.#settings;
    const first = startRollout(plan, clock.now());
    const next = { ...first, version: version + 1 };
    return this.#statusOf(await this.#storage.commit(stored, next, { action: "start", why }));
  }

  pause(why: string): Promise<RolloutStatus> {
    return this.#change("pause", why);
  }

  resume(why: string): Promise<RolloutStatus> {
    return this.#change("resume", why);
  }

  promote(why: string, { to }: { readonly to?: number | undefined } = {}): Promise<RolloutStatus> {
    return this.#logged(() => this.#promote(why, to));
  }

  async #promote(why: string, to: number | undefined): Promise<RolloutStatus> {
    const { stored, wasInterrupted } = await this.#readSettled();
    if (to !== undefined && to === stored.record.state.percent) return this.#statusOf(stored);
    this.#assertNext(stored.record.state, to);
    if (wasInterrupted && stored.record.change.action !== "rollback") return this.#statusOf(stored);
    this.#assertSource();
    const { stored: observed, failure } = await this.#observe(stored);
    const reason = observed.record.state.reason;
    if (reason !== undefined && stored.record.state.status !== "rolled back") {
      throw invalidInput(`the rollout was rolled back: ${describeReason(reason)}`);
    }
    // Without the newest metrics nobody knows whether a trigger fires.
    if (failure !== undefined) throw failure;
    if (observed.record.state.stage > stored.record.state.stage) return this.#statusOf(observed);
    return this.#apply(observed, { type: "promote" }, { action: "promote", why });
  }

  #assertNext({ stage }: RolloutState, to: number | undefined): void {
    const next = this.#settings.plan.stages[stage + 1]?.percent;
    if (to === undefined || to === next) return;
    const expected = next === undefined ? "this is the last stage" : `the next stage has ${next} %`;
    throw invalidInput(`\`to\` is ${to}, but ${expected}`);
  }

  rollback(why: string): Promise<RolloutStatus> {
    return this.#logged(() => this.#rollback(why));
  }

  async #rollback(why: string): Promise<RolloutStatus> {
    for (let attempt = 1; ; attempt++) {
      try {
        const stored = await this.#readForRollback();
        if (stored.record.state.status !== "rolled back") {
          return await this.#apply(stored, { type: "rollback", reason: why }, { action: "rollback", why });
        }
        return this.#statusOf((await this.#storage.settle(stored)).stored);
      } catch (error) {
        if (!isConflict(error) || attempt === ROLLBACK_ATTEMPTS) throw error;
      }
    }
  }

  /** Without a usable state, only the flag can be moved back. */
  async #readForRollback(): Promise<StoredRollout> {
    let texts: StoredTexts;
    try {
      texts = await this.#storage.readTexts();
    } catch (cause) {
      await this.#storage.clearFlag();
      throw new RolloutError("INVALID_INPUT", "The flag is at 0 % now, but the state cannot be read", {
        cause,
      });
    }
    const { stored, fault } = this.#parseForRollback(texts);
    if (stored !== undefined) return stored;
    await this.#storage.clearFlag();
    throw new RolloutError("INVALID_INPUT", `The flag is at 0 % now, but ${fault}`);
  }

  #parseForRollback(texts: StoredTexts): { readonly stored?: StoredRollout; readonly fault?: string } {
    try {
      const stored = this.#storage.parse(texts);
      if (stored !== undefined) return { stored };
    } catch (error) {
      if ((error as RolloutError).code !== "INVALID_INPUT") throw error;
      return { fault: "the stored state is malformed: delete it before another rollout" };
    }
    if (isAtZero(texts.flag)) throw notStarted();
    return { fault: "there is no stored state: check `state`, the place of it" };
  }

  async watch({
    signal,
    onReport,
  }: {
    readonly signal: AbortSignal;
    readonly onReport?: (report: RolloutReport) => void;
  }): Promise<RolloutStatus | undefined> {
    const { clock, pollMs } = this.#settings;
    this.#assertSource();
    let status: RolloutStatus | undefined;
    while (!signal.aborted) {
      const report = await this.#round(signal);
      status = report.status ?? status;
      onReport?.(report);
      if (report.status?.state.status === "rolled back") break;
      const ms = (report.status?.nextWindowAt ?? 0) - clock.now();
      await clock.wait(ms > 0 ? Math.min(ms, pollMs) : pollMs, signal);
    }
    return status;
  }

  async #round(signal: AbortSignal): Promise<RolloutReport> {
    const report = await this.#readAndObserve(signal);
    const failure = this.#storage.takeLogFailure();
    return failure === undefined ? report : { ...report, errors: [...report.errors, failure] };
  }

  async #readAndObserve(signal: AbortSignal): Promise<RolloutReport> {
    const windows: ObservedWindow[] = [];
    try {
      const { stored } = await this.#readSettled();
      const observed = await this.#observe(stored, signal, (window) => windows.push(window));
      return { status: this.#statusOf(observed.stored), windows, errors: observed.errors };
    } catch (error) {
      const { code } = error as { readonly code?: unknown };
      if (code === "INVALID_INPUT" || code === "INVALID_FLAG" || code === "INVALID_OPTION") throw error;
      // Another operator was faster: the next round reads the new state.
      return { status: undefined, windows, errors: isConflict(error) ? [] : [error] };
    }
  }

  #change(type: "pause" | "resume", why: string): Promise<RolloutStatus> {
    return this.#logged(async () => {
      const { stored } = await this.#readSettled();
      return this.#apply(stored, { type }, { action: type, why });
    });
  }

  async #readSettled(): ReturnType<RolloutStorage["settle"]> {
    const stored = await this.#storage.read();
    if (stored === undefined) throw notStarted();
    return this.#storage.settle(stored);
  }

  async #apply(stored: StoredRollout, input: RolloutInput, details: ChangeDetails): Promise<RolloutStatus> {
    const { plan } = this.#settings;
    const { state } = nextState(stored.record.state, input, plan);
    const numbers = totalOf(stored.record.state);
    const committed = await this.#storage.commit(stored, state, {
      ...details,
      ...(numbers === undefined || state.stage === stored.record.state.stage ? {} : { numbers }),
    });
    return this.#statusOf(committed);
  }

  /**
   * Observes all windows whose metrics are complete. A window without usable metrics is skipped when the next one is due; the
   * newest is read again in the next round. After any other failure the newest window is tried: a trigger must fire although
   * an older window cannot be read or written. If that fails too, the next round begins with the older window again.
   * @returns `failure`: why the newest window was not used
   */
  async #observe(
    stored: StoredRollout,
    signal?: AbortSignal,
    onWindow: (window: ObservedWindow) => void = () => {},
  ): Promise<{
    readonly stored: StoredRollout;
    readonly errors: readonly unknown[];
    readonly failure?: unknown;
  }> {
    const { clock, plan } = this.#settings;
    const errors: unknown[] = [];
    let failure: unknown;
    let current = stored;
    let earliest = 0;
    while (!signal?.aborted) {
      const { from, to, dueAt } = this.#nextWindow(current.record.state, earliest);
      try {
        this.#jumps.check();
        if (current.record.state.status === "rolled back" || dueAt > clock.now()) break;
        const window = await this.#readWindow(from, to);
        current = await this.#accept(current, window);
        failure = undefined;
        onWindow(window);
      } catch (error) {
        const { code } = error as { readonly code?: unknown };
        // After a failure, the conflict may be with a write of this process whose answer was lost.
        if (code === "CONFLICT" && failure !== undefined) break;
        if (code === "CONFLICT" || code === "INVALID_OPTION") throw error;
        errors.push(error);
        failure = error;
        const newest = from + Math.floor((clock.now() - dueAt) / plan.windowMs) * plan.windowMs;
        if (code === "CLOCK_JUMPED") this.#skippedUntil = clock.now();
        else if (newest <= from) break;
        else if (code === "INVALID_METRICS") this.#skippedUntil = to;
        else earliest = newest;
      }
    }
    return { stored: current, errors, failure };
  }

  #nextWindow({ observedUntil }: RolloutState, after = 0) {
    const { plan, clock, delayMs } = this.#settings;
    const { windowMs } = plan;
    const earliest = Math.max(observedUntil, this.#skippedUntil, after, clock.now() - LONGEST_CATCH_UP_MS);
    // Whole windows: CloudWatch has data by the minute.
    const from = Math.ceil(earliest / windowMs) * windowMs;
    return { from, to: from + windowMs, dueAt: from + windowMs + delayMs };
  }

  #assertSource(): MetricSource {
    const { source } = this.#settings;
    if (source !== undefined) return source;
    throw new RolloutError(
      "INVALID_OPTION",
      "`source`, the setting `metrics` of the command, is required to watch and to promote",
    );
  }

  async #readWindow(from: number, to: number): Promise<ObservedWindow> {
    const source = this.#assertSource();
    const window = await askSource("The source of metrics", () =>
      withTimeLimit(SOURCE_TIMEOUT_MS, async (signal) => source.read(from, to, signal)),
    );
    this.#jumps.check();
    if (window?.from !== from || window?.to !== to) {
      throw invalidMetrics("the source of metrics answered with another time than the window's");
    }
    return window;
  }

  async #accept(stored: StoredRollout, window: ObservedWindow): Promise<StoredRollout> {
    const before = stored.record.state;
    const { state, ignored } = nextState(before, { type: "window", window }, this.#settings.plan);
    if (ignored !== undefined) throw invalidMetrics(`a window was ignored: ${ignored}`);
    if (state.percent === before.percent && state.status === before.status) {
      return this.#storage.update(stored, state);
    }
    const total = totalOf(before);
    const details: ChangeDetails =
      typeof state.reason === "object"
        ? { action: "rollback", why: describeReason(state.reason), numbers: state.reason }
        : {
            action: "promote",
            why: "the stage's time is over, and no limit is exceeded",
            numbers: total === undefined ? window : mergeWindows(total, window),
          };
    return this.#storage.commit(stored, state, details);
  }

  #statusOf(stored: StoredRollout): RolloutStatus {
    const { state, change } = stored.record;
    const total = totalOf(state);
    return {
      state,
      plan: this.#settings.plan,
      change,
      isFlagWritten: isWritten(stored),
      total,
      excess: total && findExcess(total, this.#settings.plan),
      nextWindowAt: this.#nextWindow(state).dueAt,
    };
  }
}

/**
 * Returns the reason for a rollback as a sentence.
 * @example
 * if (status.state.reason !== undefined) console.error(describeReason(status.state.reason));
 */
export function describeReason(reason: TriggerReport | string): string {
  if (typeof reason === "string") return reason;
  const { trigger, observed, limit, sample, from, to } = reason;
  const measure = {
    errors: "error rate",
    latency: "latency increase",
    connections: "connection failure rate",
  };
  const unit = trigger === "connections" ? "connection attempts" : "events";
  const times = `${new Date(from).toISOString()} to ${new Date(to).toISOString()}`;
  return `${measure[trigger]} of ${formatPercent(observed)} exceeds ${formatPercent(limit)} (${sample} ${unit}, ${times})`;
}

/** Rejects at the time limit even where `call` ignores its signal. */
async function withTimeLimit<Result>(
  ms: number,
  call: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), ms);
  try {
    return await new Promise<Result>((resolve, reject) => {
      controller.signal.addEventListener("abort", () => reject(new Error(`no answer in ${ms / 1_000} s`)));
      call(controller.signal).then(resolve, reject);
    });
  } finally {
    clearTimeout(timer);
  }
}

function percentOf(flag: string | undefined): number {
  return parseFlag(flag).at(-1)?.percent ?? 0;
}

/** Returns whether nothing is to be moved back. A malformed flag may be repaired by hand to any percentage. */
function isAtZero(flag: string | undefined): boolean {
  try {
    return percentOf(flag) === 0;
  } catch {
    return false;
  }
}

function isConflict(error: unknown): boolean {
  return error instanceof RolloutError && error.code === "CONFLICT";
}

function notStarted(): RolloutError {
  return invalidInput("there is no rollout; start one first");
}

function invalidInput(fault: string): RolloutError {
  return new RolloutError("INVALID_INPUT", `Nothing was changed: ${fault}`);
}
