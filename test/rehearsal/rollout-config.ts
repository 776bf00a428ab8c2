/** The configuration of `lift-ws rollout` in a rehearsal. It can kill the command at each of its writes. */
import { join } from "node:path";
import {
  fileAudit,
  fileFlag,
  type MetricSource,
  type ObservedWindow,
  parseFlag,
  RolloutError,
  type RolloutOptions,
} from "../../src/rollout/index.ts";

/** The configuration's own settings: an environment variable has them as JSON. */
export interface RehearsalSettings {
  /** Folder of the flag, the state and the audit log. */
  readonly folder: string;
  /** Port of the server's counts. */
  readonly port: number;
  /** The command is killed there. Default: never. */
  readonly kill?: KillPoint;
}

export const KILL_MOMENTS = [
  "before the state",
  "after the state",
  "after the flag",
  "after the log",
] as const;

/** A moment in the change to a percentage. */
export interface KillPoint {
  readonly percent: number;
  readonly moment: (typeof KILL_MOMENTS)[number];
}

/** A stage of ten seconds after its lead. The shares are those of a real rollout. */
const STAGE_HOURS = 10 / 3_600;
export const WINDOW_MS = 5_000;

export const SETTINGS_VARIABLE = "LIFT_WS_REHEARSAL";

export function rolloutOptions({ folder, port }: RehearsalSettings): RolloutOptions {
  return {
    flag: fileFlag(join(folder, "flag")),
    state: fileFlag(join(folder, "state")),
    audit: fileAudit(join(folder, "audit.jsonl")),
    source: countsOver(port),
    plan: {
      stages: [
        { percent: 5, hours: STAGE_HOURS },
        { percent: 25, hours: STAGE_HOURS },
        { percent: 50, hours: STAGE_HOURS },
        { percent: 100 },
      ],
      windowMs: WINDOW_MS,
      minEvents: 100,
      minConnects: 10,
    },
    leadMs: 10_000,
    delayMs: 1_000,
  };
}

export function countsOver(port: number): MetricSource {
  return {
    async read(from, to, signal) {
      const response = await fetch(`http://127.0.0.1:${port}/?from=${from}&to=${to}`, { signal });
      if (!response.ok) throw new RolloutError("INVALID_METRICS", await response.text());
      return (await response.json()) as ObservedWindow;
    },
  };
}

/** Adds the kill to what a change writes, in this order: the state, the flag, and the audit log. */
function withKill(options: RolloutOptions, kill: KillPoint | undefined): RolloutOptions {
  const killAt = (moment: KillPoint["moment"], percent: number | undefined) => {
    if (kill?.moment === moment && kill.percent === percent) process.kill(process.pid, "SIGKILL");
  };
  const { flag, state, audit } = options;
  return {
    ...options,
    flag: {
      ...flag,
      async write(value, ...given) {
        await flag.write(value, ...given);
        killAt("after the flag", parseFlag(value).at(-1)?.percent ?? 0);
      },
    },
    state: {
      ...state,
      async write(value, ...given) {
        const { percent, observedMs, status } = JSON.parse(value).state;
        const changed = observedMs === 0 || status === "rolled back" ? percent : undefined;
        killAt("before the state", changed);
        await state.write(value, ...given);
        killAt("after the state", changed);
      },
    },
    audit: {
      async append(change) {
        await audit?.append(change);
        killAt("after the log", change.to);
      },
    },
  };
}

function readConfig(): object | undefined {
  const text = process.env[SETTINGS_VARIABLE];
  if (text === undefined) return undefined;
  const settings: RehearsalSettings = JSON.parse(text);
  const { source: metrics, ...options } = withKill(rolloutOptions(settings), settings.kill);
  return { metrics, ...options };
}

export default readConfig();
