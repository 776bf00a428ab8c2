import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { GOOD_COUNTS } from "../../../test/support/good-counts.ts";
import {
  createRollout,
  type FlagTarget,
  fileAudit,
  memoryFlag,
  type ObservedWindow,
  parseFlag,
  type Rollout,
  type RolloutChange,
  RolloutError,
  type RolloutOptions,
  type RolloutReport,
} from "../index.ts";

const START = Date.UTC(2026, 0, 1);
const MINUTE = 60_000;
const { signal } = new AbortController();

/** Two windows a stage. */
const PLAN = {
  stages: [{ percent: 5, hours: 2 / 60 }, { percent: 50, hours: 2 / 60 }, { percent: 100 }],
  windowMs: MINUTE,
};

const goodWindow = (from: number, to: number): ObservedWindow => ({
  from,
  to,
  old: GOOD_COUNTS,
  new: GOOD_COUNTS,
});
const badWindow = (from: number, to: number): ObservedWindow => ({
  ...goodWindow(from, to),
  new: { ...GOOD_COUNTS, errors: 60 },
});

type Read = (from: number, to: number) => unknown;

/** A rollout in memory, with a clock that moves while the rollout waits. */
class Simulation {
  now = START;
  elapsed = 0;
  read: Read = goodWindow;
  readonly flag: FlagTarget = memoryFlag();
  readonly state: FlagTarget = memoryFlag();
  readonly log: RolloutChange[] = [];
  readonly reports: RolloutReport[] = [];

  rollout(options: Partial<RolloutOptions> = {}): Rollout {
    return createRollout({
      flag: this.flag,
      state: this.state,
      source: { read: async (from, to) => this.read(from, to) as ObservedWindow },
      plan: PLAN,
      delayMs: 0,
      pollMs: 10_000,
      who: "ann",
      audit: {
        append: (change) => {
          if (!this.log.some(({ id }) => id === change.id)) this.log.push(change);
        },
      },
      clock: {
        now: () => this.now,
        elapsed: () => this.elapsed,
        wait: async (ms, { aborted }) => this.pass(aborted ? 0 : ms),
      },
      ...options,
    });
  }

  pass(ms: number): void {
    this.now += ms;
    this.elapsed += ms;
  }

  /** Watches until `isEnough` returns true. */
  async watch(isEnough: (report: RolloutReport) => boolean, rollout = this.rollout()) {
    const controller = new AbortController();
    return rollout.watch({
      signal: controller.signal,
      onReport: (report) => {
        this.reports.push(report);
        if (isEnough(report) || this.reports.length > 10_000) controller.abort();
      },
    });
  }

  async percent(): Promise<number> {
    return parseFlag(await this.flag.read(signal)).at(-1)?.percent ?? 0;
  }

  get errors(): unknown[] {
    return this.reports.flatMap(({ errors }) => errors);
  }
}

const codeOf = (code: string, message = "") =>
  expect.objectContaining({ code, message: expect.stringContaining(message) });
const isAt = (percent: number) => (report: RolloutReport) => report.status?.state.percent === percent;

describe("a rollout", () => {
  it("goes through its stages, and logs each change with its numbers", async () => {
    const simulation = new Simulation();
    await simulation.rollout().start("version 2");
    expect(await simulation.percent()).toBe(5);
    const status = await simulation.watch(isAt(100));
    expect(status).toMatchObject({ state: { status: "complete" }, isFlagWritten: true });
    expect(await simulation.percent()).toBe(100);
    expect(simulation.log.map(({ action, from, to, who }) => [action, from, to, who])).toEqual([
      ["start", 0, 5, "ann"],
      ["promote", 5, 50, "ann"],
      ["promote", 50, 100, "ann"],
    ]);
    expect(simulation.log[0]).toMatchObject({ why: "version 2", time: "2026-01-01T00:00:00.000Z" });
    expect(simulation.log[1]).toMatchObject({ numbers: { new: { events: 2_000 } } });
  });

  it("counts the time of a stage from when its percentage applies", async () => {
    const simulation = new Simulation();
    simulation.now += 1;
    const { state } = await simulation.rollout().start("begin");
    expect(state.observedUntil).toBe(simulation.now + MINUTE);
    await simulation.watch(isAt(50));
    expect(simulation.now - START).toBe(4 * MINUTE);
  });

  it("rolls back in the window in which a trigger fires, and says why", async () => {
    const simulation = new Simulation();
    await simulation.rollout().start("begin");
    await simulation.watch(isAt(50));
    const promoted = simulation.now;
    simulation.read = badWindow;
    const status = await simulation.watch(() => false);
    expect(status?.state).toMatchObject({ status: "rolled back", percent: 0 });
    expect(simulation.now - promoted).toBeLessThanOrEqual(2 * MINUTE);
    expect(await simulation.percent()).toBe(0);
    expect(simulation.log.at(-1)).toMatchObject({
      action: "rollback",
      from: 50,
      why: expect.stringMatching(/^error rate of 6 % exceeds 1 % \(1000 events, 2026-01-01T/),
      numbers: { trigger: "errors" },
    });
  });

  it("observes the windows of the time in which nobody watched", async () => {
    const simulation = new Simulation();
    await simulation.rollout().start("begin");
    simulation.pass(3 * MINUTE);
    const windows = [];
    await simulation.watch(() => true);
    windows.push(...simulation.reports.flatMap((report) => report.windows));
    expect(windows).toHaveLength(2);
    expect(await simulation.percent()).toBe(50);
  });

  it("pauses, resumes, promotes and rolls back by hand", async () => {
    const simulation = new Simulation();
    await simulation.rollout().start("begin");
    expect((await simulation.rollout().pause("lunch")).state.status).toBe("paused");
    simulation.pass(5 * MINUTE);
    await simulation.watch(() => true);
    expect(await simulation.percent()).toBe(5);
    expect((await simulation.rollout().resume("back")).state.status).toBe("running");
    expect((await simulation.rollout().promote("it is quiet")).state.percent).toBe(50);
    expect((await simulation.rollout().rollback("pager")).state.percent).toBe(0);
    expect(await simulation.percent()).toBe(0);
    expect(simulation.log.map(({ action, why }) => `${action}: ${why}`)).toEqual([
      "start: begin",
      "pause: lunch",
      "resume: back",
      "promote: it is quiet",
      "rollback: pager",
    ]);
    expect((await simulation.rollout().rollback("again")).change.why).toBe("pager");
    expect((await simulation.rollout().start("a second try")).state.percent).toBe(5);
  });

  it("rejects commands that its state does not allow, and changes nothing", async () => {
    const simulation = new Simulation();
    const noRollout = codeOf("INVALID_INPUT", "there is no rollout");
    for (const command of ["pause", "resume", "promote", "rollback"] as const) {
      await expect(simulation.rollout()[command]("why")).rejects.toEqual(noRollout);
    }
    expect(await simulation.rollout().status()).toBeUndefined();
    await simulation.rollout().start("begin");
    await expect(simulation.rollout().start("again")).rejects.toEqual(
      codeOf("INVALID_INPUT", "running already"),
    );
    await expect(simulation.rollout().resume("why")).rejects.toEqual(codeOf("INVALID_INPUT"));
    const noSource = simulation.rollout({ source: undefined as never });
    const needsSource = codeOf(
      "INVALID_OPTION",
      "`source`, the setting `metrics` of the command, is required",
    );
    await expect(noSource.promote("why")).rejects.toEqual(needsSource);
    await expect(noSource.watch({ signal })).rejects.toEqual(needsSource);
    expect(await simulation.percent()).toBe(5);
    const used = new Simulation();
    await used.flag.write("true", undefined, signal);
    await expect(used.rollout().start("begin")).rejects.toEqual(codeOf("INVALID_INPUT", "at 100 % already"));
    expect(await used.flag.read(signal)).toBe("true");
    expect(await used.state.read(signal)).toBeUndefined();
  });

  it("does not promote while a trigger fires, a limit is exceeded, or the metrics are missing", async () => {
    const simulation = new Simulation();
    await simulation.rollout().start("begin");
    simulation.pass(2 * MINUTE);
    simulation.read = () => undefined;
    await expect(simulation.rollout().promote("now")).rejects.toEqual(codeOf("INVALID_METRICS"));
    simulation.read = (from, to) => ({ ...goodWindow(from, to), new: { ...GOOD_COUNTS, errors: 15 } });
    await expect(simulation.rollout().promote("now")).rejects.toEqual(
      codeOf("INVALID_INPUT", "errors exceed the limit"),
    );
    expect((await simulation.rollout().status())?.excess).toMatchObject({ trigger: "errors", limit: 0.01 });
    expect(await simulation.percent()).toBe(5);
    simulation.pass(MINUTE);
    simulation.read = badWindow;
    await expect(simulation.rollout().promote("now")).rejects.toEqual(
      codeOf("INVALID_INPUT", "was rolled back"),
    );
    expect(await simulation.percent()).toBe(0);
  });
});

describe("metrics", () => {
  const yesterday: Read = (from, to) => goodWindow(from - 86_400_000, to - 86_400_000);

  it.each<[string, Read, string]>([
    ["nothing", () => undefined, "INVALID_METRICS"],
    ["garbage", (from, to) => ({ from, to, old: "many", new: null }), "INVALID_METRICS"],
    ["yesterday's window", yesterday, "INVALID_METRICS"],
    [
      "no events of the new side",
      (from, to) => ({ ...goodWindow(from, to), new: { ...GOOD_COUNTS, events: 0, errors: 0, connects: 0 } }),
      "INVALID_METRICS",
    ],
    ["an error", () => Promise.reject(new Error("connection refused")), "METRICS_UNAVAILABLE"],
  ])("that are %s are reported, and change nothing", async (_what, read, code) => {
    const simulation = new Simulation();
    await simulation.rollout().start("begin");
    const [flag, state] = [await simulation.flag.read(signal), await simulation.state.read(signal)];
    simulation.read = read;
    await simulation.watch(() => simulation.reports.length === 60);
    expect(simulation.errors.length).toBeGreaterThan(5);
    for (const error of simulation.errors) expect(error).toEqual(codeOf(code));
    expect(await simulation.flag.read(signal)).toBe(flag);
    expect(await simulation.state.read(signal)).toBe(state);
  });

  it("that come back continue the stage: unusable windows are skipped, unavailable ones are read later", async () => {
    const simulation = new Simulation();
    await simulation.rollout().start("begin");
    simulation.read = () => Promise.reject(new Error("connection refused"));
    await simulation.watch(() => simulation.now >= START + 4 * MINUTE);
    simulation.read = (from, to) => (from < START + 3 * MINUTE ? undefined : goodWindow(from, to));
    await simulation.watch(isAt(50));
    expect(
      simulation.reports.flatMap(({ windows }) => windows).map(({ from }) => (from - START) / MINUTE),
    ).toEqual([3, 4]);
  });
});

describe("an older window that cannot be used", () => {
  const failFirst =
    (times: number, code: "METRICS_UNAVAILABLE" | "INVALID_METRICS"): Read =>
    (from, to) => {
      if (from < START + (1 + times) * MINUTE) throw new RolloutError(code);
      return goodWindow(from, to);
    };

  it("does not keep a trigger of the newest one from firing", async () => {
    const simulation = new Simulation();
    await simulation.rollout().start("begin");
    simulation.pass(10 * MINUTE);
    simulation.read = (from, to) => {
      if (from < START + 9 * MINUTE) throw new Error("no data as old as that");
      return badWindow(from, to);
    };
    await simulation.watch(() => true);
    expect(simulation.errors).toEqual([codeOf("METRICS_UNAVAILABLE")]);
    expect(await simulation.percent()).toBe(0);
  });

  it.each(["METRICS_UNAVAILABLE", "INVALID_METRICS"] as const)(
    "with %s does not forbid a promotion",
    async (code) => {
      const simulation = new Simulation();
      await simulation.rollout().start("begin");
      simulation.pass(4 * MINUTE);
      simulation.read = failFirst(2, code);
      expect((await simulation.rollout().promote("go")).state.percent).toBe(50);
    },
  );

  it("is not read any more after a day", async () => {
    const simulation = new Simulation();
    await simulation.rollout().start("begin");
    await simulation.rollout().pause("holiday");
    simulation.pass(3 * 24 * 60 * MINUTE);
    await simulation.watch(() => true);
    expect(simulation.reports[0]?.windows).toHaveLength(24 * 60);
  });

  it("is not read after an abort", async () => {
    const simulation = new Simulation();
    await simulation.rollout().start("begin");
    simulation.pass(10 * MINUTE);
    const controller = new AbortController();
    simulation.read = (from, to) => {
      controller.abort();
      return goodWindow(from, to);
    };
    const windows: ObservedWindow[] = [];
    await simulation.rollout().watch({
      signal: controller.signal,
      onReport: (report) => void windows.push(...report.windows),
    });
    expect(windows).toHaveLength(1);
  });
});

it("a source that ignores its time limit is given up after a minute", async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const simulation = new Simulation();
  await simulation.rollout().start("begin");
  simulation.pass(3 * MINUTE);
  simulation.read = () => new Promise(() => {});
  const promoted = expect(simulation.rollout().promote("go")).rejects.toEqual(
    codeOf("METRICS_UNAVAILABLE", "no answer in 60 s"),
  );
  await vi.advanceTimersByTimeAsync(2 * MINUTE);
  await promoted;
});

it("a promotion whose state is written too late does not write the flag", async () => {
  vi.useFakeTimers({ toFake: ["performance"] });
  onTestFinished(() => void vi.useRealTimers());
  const simulation = new Simulation();
  let attempts = 0;
  const state: FlagTarget = {
    read: (abort) => simulation.state.read(abort),
    write(value, last, abort) {
      vi.advanceTimersByTime(2_000);
      if (attempts++ < 3) throw Object.assign(new Error("throttled"), { name: "ThrottlingException" });
      return simulation.state.write(value, last, abort);
    },
  };
  const rollout = simulation.rollout({ state, leadMs: 10_000 });
  await expect(rollout.start("begin")).rejects.toThrow("throttled");
  expect(await simulation.flag.read(signal)).toBeUndefined();
});

describe("a state that cannot be written", () => {
  it.each(["trigger", "command"])("does not prevent a rollback by a %s", async (by) => {
    const simulation = new Simulation();
    await simulation.rollout().start("begin");
    simulation.pass(3 * MINUTE);
    simulation.read = badWindow;
    const refused = new Error("ValidationException");
    const state = {
      read: (abort: AbortSignal) => simulation.state.read(abort),
      write: () => Promise.reject(refused),
    };
    const rollout = simulation.rollout({ state });
    if (by === "command") await expect(rollout.rollback("bad")).rejects.toBe(refused);
    else {
      await simulation.watch(() => true, rollout);
      expect(simulation.errors).toContain(refused);
    }
    expect(await simulation.percent()).toBe(0);
  });
});

describe("a clock that jumps", () => {
  it.each([
    ["forward", 7_200_000],
    ["back", -7_200_000],
  ])("%s is reported, and its window is not used", async (direction, jump) => {
    const simulation = new Simulation();
    await simulation.rollout().start("begin");
    const rollout = simulation.rollout();
    await simulation.watch(() => simulation.now >= START + 1.5 * MINUTE, rollout);
    const before = await simulation.state.read(signal);
    simulation.now += jump;
    await simulation.watch(() => simulation.errors.length > 0, rollout);
    expect(simulation.errors).toEqual([codeOf("CLOCK_JUMPED", `jumped 7200 s ${direction}`)]);
    expect(await simulation.state.read(signal)).toBe(before);
    const jumpedTo = simulation.now;
    await simulation.watch(({ windows }) => windows.length > 0, rollout);
    const [window] = simulation.reports.at(-1)?.windows ?? [];
    expect(window?.from).toBeGreaterThanOrEqual(Math.max(jumpedTo, START + MINUTE));
    expect(simulation.errors).toHaveLength(1);
  });

  it("that drifts slowly is not one that jumps", async () => {
    const simulation = new Simulation();
    await simulation.rollout().start("begin");
    const clock = {
      now: () => simulation.now * 1.001 - START * 0.001,
      elapsed: () => simulation.elapsed,
      wait: async (ms: number) => simulation.pass(ms),
    };
    const plan = { ...PLAN, stages: [{ percent: 5, hours: 1 }, { percent: 50, hours: 1 }, { percent: 100 }] };
    await simulation.watch(isAt(50), simulation.rollout({ clock, plan }));
    expect(simulation.errors).toEqual([]);
  });

  it("while the metrics are read is noticed", async () => {
    const simulation = new Simulation();
    await simulation.rollout().start("begin");
    simulation.read = (from, to) => {
      simulation.now += 3_600_000;
      simulation.read = goodWindow;
      return badWindow(from, to);
    };
    await simulation.watch(() => simulation.errors.length > 0);
    expect(simulation.errors).toEqual([codeOf("CLOCK_JUMPED")]);
    expect(await simulation.percent()).toBe(5);
  });
});

describe("a state or a flag that was edited by hand", () => {
  it.each([
    ["percent", (text: string) => text.replace('"percent":5', '"percent":101')],
    ["stage", (text: string) => text.replace('"stage":0,"percent":5', '"stage":1,"percent":50')],
    ["text", () => "{"],
    ["nothing", () => ""],
  ])("with another %s is rejected by every command but rollback", async (_what, edit) => {
    const simulation = new Simulation();
    await simulation.rollout().start("begin");
    const flag = await simulation.flag.read(signal);
    const text = (await simulation.state.read(signal)) ?? "";
    const edited = edit(text);
    await simulation.state.write(edited, text, signal);
    for (const command of ["start", "pause", "resume", "promote"] as const) {
      await expect(simulation.rollout()[command]("why")).rejects.toEqual(codeOf("INVALID_INPUT"));
    }
    await expect(simulation.watch(() => true)).rejects.toEqual(codeOf("INVALID_INPUT"));
    expect(await simulation.flag.read(signal)).toBe(flag);
    await expect(simulation.rollout().rollback("why")).rejects.toEqual(
      codeOf("INVALID_INPUT", "The flag is at 0 % now"),
    );
    expect(await simulation.percent()).toBe(0);
    expect(await simulation.state.read(signal)).toBe(edited);
  });

  it("that is missing does not prevent a rollback", async () => {
    for (const value of ["true", "maybe"]) {
      const simulation = new Simulation();
      await simulation.flag.write(value, undefined, signal);
      await expect(simulation.rollout().rollback("why")).rejects.toEqual(
        codeOf("INVALID_INPUT", "The flag is at 0 % now, but there is no stored state"),
      );
      expect(await simulation.percent()).toBe(0);
    }
  });

  it("that cannot be read does not prevent a rollback", async () => {
    const simulation = new Simulation();
    await simulation.flag.write("true", undefined, signal);
    const state: FlagTarget = { ...simulation.state, read: () => Promise.reject(new Error("down")) };
    await expect(simulation.rollout({ state, timeoutMs: 1 }).rollback("why")).rejects.toEqual(
      codeOf("INVALID_INPUT", "The flag is at 0 % now, but the state cannot be read"),
    );
    expect(await simulation.percent()).toBe(0);
  });

  it("as a flag stops the others, and not a rollback", async () => {
    for (const value of ['{"steps":[{"percent":101}]}', "true", ""]) {
      const simulation = new Simulation();
      await simulation.rollout().start("begin");
      const state = await simulation.state.read(signal);
      await simulation.flag.write(value, await simulation.flag.read(signal), signal);
      await expect(simulation.rollout().promote("now")).rejects.toEqual(codeOf("INVALID_FLAG"));
      await expect(simulation.watch(() => true)).rejects.toEqual(codeOf("INVALID_FLAG"));
      expect(await simulation.state.read(signal)).toBe(state);
      expect((await simulation.rollout().rollback("hand")).isFlagWritten).toBe(true);
      expect(await simulation.percent()).toBe(0);
    }
  });
});

/** Runs `interfere` before the n-th write. */
function interrupted(target: FlagTarget, interfere: () => Promise<unknown>): FlagTarget {
  let isFirst = true;
  return {
    read: (abort) => target.read(abort),
    async write(value, last, abort) {
      if (isFirst) {
        isFirst = false;
        await interfere();
      }
      await target.write(value, last, abort);
    },
  };
}

describe("two operators at once", () => {
  it.each(["pause", "promote", "rollback"] as const)(
    "get one change: the one that comes second to %s fails",
    async (command) => {
      const simulation = new Simulation();
      await simulation.rollout().start("begin");
      const state = interrupted(simulation.state, () => simulation.rollout()[command]("first"));
      await expect(simulation.rollout({ state }).promote("second")).rejects.toEqual(codeOf("CONFLICT"));
      expect(simulation.log.map(({ action }) => action)).toEqual(["start", command]);
    },
  );

  it("start once", async () => {
    const simulation = new Simulation();
    const state = interrupted(simulation.state, () => simulation.rollout().start("first"));
    await expect(simulation.rollout({ state }).start("second")).rejects.toEqual(codeOf("CONFLICT"));
    expect(simulation.log).toMatchObject([{ why: "first" }]);
  });

  it("end with a rollback when one rolls back while the other promotes", async () => {
    const simulation = new Simulation();
    await simulation.rollout().start("begin");
    // The promotion has written its state, and not yet the flag.
    const flag = interrupted(simulation.flag, () => simulation.rollout().rollback("stop"));
    await expect(simulation.rollout({ flag }).promote("go")).rejects.toEqual(codeOf("CONFLICT"));
    expect(await simulation.percent()).toBe(0);
    expect(await simulation.rollout().status()).toMatchObject({
      state: { status: "rolled back" },
      isFlagWritten: true,
    });
    expect(simulation.log.map(({ action }) => action).sort()).toEqual(["promote", "rollback", "start"]);
  });

  it("end with a rollback when one promotes while the other rolls back", async () => {
    for (const target of ["state", "flag"] as const) {
      const simulation = new Simulation();
      await simulation.rollout().start("begin");
      const promote = () =>
        simulation
          .rollout()
          .promote("go")
          .catch(() => {});
      const options = { [target]: interrupted(simulation[target], promote) };
      expect((await simulation.rollout(options).rollback("stop")).isFlagWritten).toBe(true);
      expect(await simulation.percent()).toBe(0);
    }
  });

  it("may both watch: each window is observed once", async () => {
    const simulation = new Simulation();
    await simulation.rollout().start("begin");
    const state = interrupted(simulation.state, () => simulation.watch(() => true));
    simulation.pass(3 * MINUTE);
    await simulation.watch(() => simulation.reports.length > 3, simulation.rollout({ state }));
    expect(simulation.errors).toEqual([]);
    expect((await simulation.rollout().status())?.state).toMatchObject({ percent: 50, observedMs: 0 });
    expect(simulation.log).toHaveLength(2);
  });
});

class Crash extends Error {}

const isCrash = (error: unknown) => error instanceof Crash || (error as Error).cause instanceof Crash;

/** Dies at the n-th call of a target or the log, before or after it is carried out. */
function crashing(simulation: Simulation, step: number, isAfter: boolean): Partial<RolloutOptions> {
  let calls = 0;
  const call = async <Result>(run: () => Result | Promise<Result>): Promise<Result> => {
    const isLast = ++calls === step;
    if (calls > step || (isLast && !isAfter)) throw new Crash();
    const result = await run();
    if (isLast) throw new Crash();
    return result;
  };
  const wrap = (target: FlagTarget): FlagTarget => ({
    read: (abort) => call(() => target.read(abort)),
    write: (value, last, abort) => call(() => target.write(value, last, abort)),
  });
  const append = (change: RolloutChange) =>
    call(() => {
      if (!simulation.log.some(({ id }) => id === change.id)) simulation.log.push(change);
    });
  return { flag: wrap(simulation.flag), state: wrap(simulation.state), audit: { append } };
}

describe.each(["start", "promote", "watch", "rollback"] as const)("a crash at any step of %s", (command) => {
  /** Runs the command until it crashes. Resolves to whether it did. */
  async function crash(simulation: Simulation, step: number, isAfter: boolean): Promise<boolean> {
    const rollout = simulation.rollout(crashing(simulation, step, isAfter));
    if (command === "watch") {
      await simulation.watch(({ errors }) => errors.length > 0 || simulation.log.length > 1, rollout);
      return simulation.errors.some(isCrash);
    }
    return rollout[command]("it", { to: 50 }).then(() => false, isCrash);
  }

  it.each([false, true])("can be resumed (after the step: %s)", async (isAfter) => {
    let crashes = 0;
    for (let step = 1; ; step++) {
      const simulation = new Simulation();
      if (command !== "start") await simulation.rollout().start("begin");
      if (command === "watch") simulation.pass(3 * MINUTE);
      if (!(await crash(simulation, step, isAfter))) break;
      crashes++;
      // Longer than a promotion takes to apply.
      simulation.pass(10 * MINUTE);
      const resumedAt = simulation.now;
      const before = await simulation.flag.read(signal);
      if (command === "watch") await simulation.watch(isAt(50));
      else
        await simulation
          .rollout()
          [command]("it")
          .catch(() => simulation.rollout().status());
      await simulation.watch(() => true);
      const status = await simulation.rollout().status();
      expect(status?.isFlagWritten).toBe(true);
      expect(await simulation.percent()).toBe(status?.state.percent);
      expect(new Set(simulation.log.map(({ id }) => id)).size).toBe(simulation.log.length);
      expect(simulation.log.at(-1)).toEqual(status?.change);
      // Connections that began before the flag was written stay on their side.
      const steps = parseFlag(await simulation.flag.read(signal));
      const added = steps.filter(({ since }) => !parseFlag(before).some((old) => old.since === since));
      if (command !== "rollback") for (const { since } of added) expect(since).toBeGreaterThan(resumedAt);
    }
    expect(crashes).toBeGreaterThan(5);
  });
});

it("a repeated promotion completes the one that was interrupted", async () => {
  const simulation = new Simulation();
  await simulation.rollout().start("begin");
  const flag = interrupted(simulation.flag, () => Promise.reject(new Crash()));
  await expect(simulation.rollout({ flag }).promote("go")).rejects.toThrow(Crash);
  expect(await simulation.percent()).toBe(5);
  expect(await simulation.rollout().status()).toMatchObject({ state: { percent: 50 }, isFlagWritten: false });
  expect((await simulation.rollout().promote("go")).state.percent).toBe(50);
  expect(await simulation.percent()).toBe(50);
});

it("the flag of a slow operator counts, although another one has begun to complete the change", async () => {
  const simulation = new Simulation();
  await simulation.rollout().start("begin");
  const crash = interrupted(simulation.flag, () => Promise.reject(new Crash()));
  const flag = interrupted(simulation.flag, async () => {
    // The other one computes a later time at which the percentage applies.
    simulation.pass(1_000);
    await expect(simulation.rollout({ flag: crash }).pause("x")).rejects.toThrow(Crash);
  });
  await simulation.rollout({ flag }).promote("go");
  expect(await simulation.rollout().status()).toMatchObject({ state: { percent: 50 }, isFlagWritten: true });
});

it("a promotion to another percentage than the next stage's changes nothing", async () => {
  const simulation = new Simulation();
  await simulation.rollout().start("begin");
  for (const to of [25, 100, 101]) {
    await expect(simulation.rollout().promote("go", { to })).rejects.toEqual(
      codeOf("INVALID_INPUT", `\`to\` is ${to}, but the next stage has 50 %`),
    );
  }
  expect((await simulation.rollout().promote("go", { to: 5 })).state.percent).toBe(5);
});

describe("an audit log that cannot be written", () => {
  const audit = {
    append() {
      throw new Error("EACCES");
    },
  };
  const auditFailed = codeOf(
    "AUDIT_FAILED",
    "The change was made, but the audit log cannot be written: EACCES",
  );

  it("is reported, and does not stop a rollback by a trigger", async () => {
    const simulation = new Simulation();
    await simulation.rollout().start("begin");
    simulation.read = badWindow;
    await simulation.watch(() => false, simulation.rollout({ audit }));
    expect(await simulation.percent()).toBe(0);
    for (const error of simulation.errors) expect(error).toEqual(auditFailed);
    expect(simulation.errors).not.toHaveLength(0);
  });

  it("fails a command after its change, also after a conflict", async () => {
    const simulation = new Simulation();
    await expect(simulation.rollout({ audit }).start("begin")).rejects.toEqual(auditFailed);
    expect(await simulation.percent()).toBe(5);
    const flag = interrupted(simulation.flag, () => Promise.reject(new RolloutError("CONFLICT")));
    await expect(simulation.rollout({ audit, flag }).rollback("bad")).rejects.toEqual(auditFailed);
    expect(await simulation.percent()).toBe(0);
  });

  it("gets the missing changes from the same process later", async () => {
    const simulation = new Simulation();
    const log: string[] = [];
    let isFull = true;
    const append = ({ action }: RolloutChange) => {
      if (isFull) throw new Error("ENOSPC");
      log.push(action);
    };
    const rollout = simulation.rollout({ audit: { append } });
    await expect(rollout.start("begin")).rejects.toEqual(codeOf("AUDIT_FAILED"));
    await expect(rollout.pause("lunch")).rejects.toEqual(codeOf("AUDIT_FAILED"));
    isFull = false;
    await rollout.resume("back");
    expect(log).toEqual(["start", "pause", "resume"]);
  });
});

describe("fileAudit", () => {
  const change: RolloutChange = {
    id: "a",
    time: "2026-01-01T00:00:00.000Z",
    who: "ann",
    action: "start",
    from: 0,
    to: 5,
    status: "running",
    why: "begin",
  };

  it("has one line for each change, also after a line that was cut off", async () => {
    const folder = await mkdtemp(join(tmpdir(), "lift-ws-audit-"));
    onTestFinished(() => rm(folder, { recursive: true }));
    const path = join(folder, "log.jsonl");
    await fileAudit(path).append(change);
    await fileAudit(path).append(change);
    const whole = await readFile(path, "utf8");
    expect(whole).toBe(`${JSON.stringify(change)}\n`);
    const cut = JSON.stringify({ ...change, id: "b" }).slice(0, 40);
    await writeFile(path, `${whole}${cut}`);
    await fileAudit(path).append({ ...change, id: "b" });
    expect(await readFile(path, "utf8")).toBe(`${whole}${cut}\n${JSON.stringify({ ...change, id: "b" })}\n`);
  });
});

it.each([
  [{}, "`flag` is required"],
  [{ flag: memoryFlag() }, "`state` is required"],
  [{ flag: memoryFlag(), state: memoryFlag(), leadMs: 1 }, "`leadMs`"],
  [{ flag: memoryFlag(), state: memoryFlag(), plan: { stages: [{ percent: 101 }] } }, "`stages[0].percent`"],
  [{ flag: memoryFlag(), state: memoryFlag(), source: {} }, "`source`"],
])("createRollout rejects %j", (options, message) => {
  expect(() => createRollout(options as never)).toThrow(codeOf("INVALID_OPTION", message));
});
