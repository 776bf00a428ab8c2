/** One rollout under load: it ends at 100 %, or it is rolled back because the new side gets worse at 25 %. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Child, CLIENT_CORE, SERVER_CORE, startChild } from "../../bench/lib/children.ts";
import {
  createRollout,
  describeReason,
  type MetricSource,
  type ObservedWindow,
  parseFlag,
  type Rollout,
  type RolloutStatus,
  type SideCounts,
} from "../../src/rollout/index.ts";
import { NO_COUNTS } from "../../src/rollout/stages/windows.ts";
import type { LoadCounts } from "./load.ts";
import {
  countsOver,
  KILL_MOMENTS,
  type RehearsalSettings,
  rolloutOptions,
  SETTINGS_VARIABLE,
  WINDOW_MS,
} from "./rollout-config.ts";
import type { Comparison, Fault } from "./server.ts";

/** A second of a rollout. */
export interface Second {
  /** Seconds since the start. */
  readonly at: number;
  /** Percentage on the new side. */
  readonly percent: number;
  readonly old: SideCounts;
  readonly new: SideCounts;
}

export interface ScenarioResult {
  readonly fault: Fault;
  readonly seconds: readonly Second[];
  /** Seconds from the start until the fault; `undefined` without one. */
  readonly faultAt: number | undefined;
  /** Windows that were bad from their start when the rollback was decided. */
  readonly badWindows: number;
  /** Seconds from the start until the rollback, or until all were on the new side. */
  readonly endedAt: number;
  readonly status: string;
  /** The reason for the rollback. */
  readonly reason: string | undefined;
  readonly kills: number;
  readonly load: LoadCounts;
  /** Connection attempts that the rehearsal refused. */
  readonly refused: number;
  /** Both stores at the end, while the connections are open. */
  readonly comparison: Comparison;
}

export interface ScenarioOptions {
  readonly fault: Fault;
  readonly progress: (line: string) => void;
}

const CLIENTS = 200;
const CUT_OVER_EVERY_MS = 7_000;
const MAX_MS = 10 * 60_000;
/** Time on the new side, or on the old one again, until the load ends. */
const AFTER_MS = 5_000;
/** The steps at which the driver is killed: a rollout with a fault ends with 0 %, one without goes on to 100 %. */
const KILLED_PERCENTS = { fault: [5, 25, 0], none: [5, 25, 50, 100] };
/** How often the stored rollout is read. */
const POLL_MS = 200;
const COMMAND = join(import.meta.dirname, "..", "..", "src", "cli", "main.ts");
const CONFIG = join(import.meta.dirname, "rollout-config.ts");

export async function runScenario(options: ScenarioOptions): Promise<ScenarioResult> {
  const folder = mkdtempSync(join(tmpdir(), "lift-ws-rehearsal-"));
  const server = startChild("../test/rehearsal/server.ts", SERVER_CORE, [join(folder, "flag")]);
  const load = startChild("../test/rehearsal/load.ts", CLIENT_CORE);
  try {
    const [port] = await Promise.all([server.ready, load.ready]);
    const countsPort = await server.ask<number>("counts");
    await load.ask("start", { port, count: CLIENTS });
    return await new Scenario(options, { folder, port: countsPort }, server, load).run();
  } finally {
    await Promise.all([server.stop(), load.stop()]);
    rmSync(folder, { recursive: true });
  }
}

class Scenario {
  readonly #options: ScenarioOptions;
  readonly #settings: RehearsalSettings;
  readonly #server: Child;
  readonly #load: Child;
  readonly #source: MetricSource;
  readonly #start = Date.now();
  readonly #seconds: Second[] = [];
  readonly #ended = new AbortController();
  readonly #rollout: Rollout;
  #command: ChildProcess | undefined;
  #last: RolloutStatus | undefined;
  #faultAt: number | undefined;
  #kills = 0;

  constructor(options: ScenarioOptions, given: RehearsalSettings, server: Child, load: Child) {
    this.#options = options;
    this.#settings = given;
    this.#source = countsOver(given.port);
    this.#rollout = createRollout(rolloutOptions(given));
    this.#server = server;
    this.#load = load;
  }

  async run(): Promise<ScenarioResult> {
    const sampling = this.#sample();
    const swapping = this.#swapStores();
    try {
      await this.#drive();
      const endedAt = this.#at();
      await sleep(AFTER_MS);
      this.#ended.abort();
      await Promise.all([sampling, swapping]);
      await this.#load.ask("pause");
      const comparison = await this.#server.ask<Comparison>("compare");
      const load = await this.#load.ask<LoadCounts>("stop");
      const { fault } = this.#options;
      return {
        fault,
        seconds: this.#seconds,
        faultAt: this.#faultAt,
        badWindows: this.#badWindows(),
        endedAt,
        status: this.#last?.state.status ?? "not started",
        reason: this.#last?.state.reason === undefined ? undefined : describeReason(this.#last.state.reason),
        kills: this.#kills,
        load,
        refused: await this.#server.ask<number>("refused"),
        comparison,
      };
    } finally {
      this.#ended.abort();
      this.#command?.kill("SIGKILL");
    }
  }

  /** Runs the commands until the rollout has ended. They are killed at every step, and started again. */
  async #drive(): Promise<void> {
    const percents = KILLED_PERCENTS[this.#options.fault === "none" ? "none" : "fault"];
    const left = percents.flatMap((percent) => KILL_MOMENTS.map((moment) => ({ percent, moment })));
    while (!(await this.#isOver())) {
      const [kill] = left;
      const command = this.#startCommand({ ...this.#settings, ...(kill === undefined ? {} : { kill }) });
      const exit = once(command, "exit");
      while (command.exitCode === null && command.signalCode === null && !(await this.#isOver())) {
        await Promise.race([exit, sleep(POLL_MS)]);
      }
      if (command.signalCode === "SIGKILL") {
        this.#kills++;
        left.shift();
      }
    }
    this.#command?.kill("SIGKILL");
  }

  #startCommand(settings: RehearsalSettings): ChildProcess {
    const verb = this.#last === undefined ? "start" : "watch";
    this.#command = fork(COMMAND, ["rollout", verb, "--config", CONFIG], {
      execArgv: ["--conditions=@lift-ws/source", "--disable-warning=ExperimentalWarning"],
      env: { ...process.env, [SETTINGS_VARIABLE]: JSON.stringify(settings) },
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    return this.#command;
  }

  /** Reads the rollout as the commands have stored it. */
  async #isOver(): Promise<boolean> {
    const before = this.#last?.state;
    this.#last = await this.#rollout.status();
    const state = this.#last?.state;
    if (state === undefined) return false;
    if (state.percent !== before?.percent || state.status !== before.status) {
      this.#options.progress(`${state.percent} %, ${state.status}: ${this.#last?.change.why}`);
    }
    if (Date.now() - this.#start > MAX_MS) throw new Error(`The rollout has not ended: ${state.status}`);
    if (state.status === "rolled back") return this.#last?.isFlagWritten === true;
    return state.status === "complete" && this.#seconds.at(-1)?.percent === 100;
  }

  /** Counts both sides every second, and plants the fault when the new side has its share of connections. */
  async #sample(): Promise<void> {
    const { flag } = rolloutOptions(this.#settings);
    for (let from = Math.floor(this.#start / 1_000) * 1_000; !this.#ended.signal.aborted; from += 1_000) {
      await this.#wait(from + 2_000 - Date.now());
      const signal = AbortSignal.timeout(5_000);
      const window = await this.#readSecond(from, signal);
      const steps = parseFlag(await flag.read(signal));
      const percent = steps.findLast(({ since }) => since <= from)?.percent ?? 0;
      this.#seconds.push({ at: (from - this.#start) / 1_000, percent, old: window.old, new: window.new });
      if (percent === 25 && this.#faultAt === undefined && this.#options.fault !== "none") {
        this.#faultAt = this.#at();
        await this.#server.ask("fault", this.#options.fault);
        this.#options.progress(`the new side is made worse: ${this.#options.fault}`);
      }
    }
  }

  async #readSecond(from: number, signal: AbortSignal): Promise<Pick<ObservedWindow, "old" | "new">> {
    try {
      return await this.#source.read(from, from + 1_000, signal);
    } catch (error) {
      // Nobody was connected.
      if ((error as { readonly code?: unknown }).code === "INVALID_METRICS")
        return { old: NO_COUNTS, new: NO_COUNTS };
      throw error;
    }
  }

  /** Cuts over to the new store and back, under load. */
  async #swapStores(): Promise<void> {
    for (let swaps = 0; ; swaps++) {
      await this.#wait(CUT_OVER_EVERY_MS);
      if (this.#ended.signal.aborted && swaps % 2 === 0) return;
      await this.#server.ask("swap");
    }
  }

  #badWindows(): number {
    const reason = this.#last?.state.reason;
    if (typeof reason !== "object" || this.#faultAt === undefined) return 0;
    return Math.floor((reason.to - this.#start - 1_000 * this.#faultAt) / WINDOW_MS);
  }

  #wait(ms: number): Promise<unknown> {
    return sleep(Math.max(0, ms), undefined, { signal: this.#ended.signal }).catch(() => {});
  }

  #at(): number {
    return (Date.now() - this.#start) / 1_000;
  }
}
