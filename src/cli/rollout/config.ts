import { existsSync, readFileSync } from "node:fs";
import { hostname, userInfo } from "node:os";
import { extname } from "node:path";
import { isRecord } from "../../internal/options.ts";
import {
  cloudWatchSource,
  dynamoDBFlag,
  type FlagTarget,
  fileAudit,
  fileFlag,
  type MetricSource,
  prometheusSource,
  type RolloutOptions,
  ssmFlag,
} from "../../rollout/index.ts";
import { CliError } from "../errors.ts";
import { parseReference } from "../project/handlers.ts";
import { loadModule } from "../project/loaded-app.ts";
import { ProjectModules } from "../project/modules.ts";

export const DEFAULT_CONFIG = "lift-rollout.json";
const DEFAULT_STATE = "rollout-state";
const DEFAULT_AUDIT = "rollout-audit.jsonl";
/** The attribute of the flag's row that has the state. */
const STATE_ATTRIBUTE = "Rollout";

/** Flags of the command line that take the place of settings in the configuration. */
export interface ConfigFlags {
  readonly config?: string | undefined;
  readonly flag?: string | undefined;
  readonly state?: string | undefined;
  readonly metrics?: string | undefined;
  readonly audit?: string | undefined;
  readonly who?: string | undefined;
}

const SETTINGS = ["flag", "state", "metrics", "plan", "leadMs", "delayMs", "audit"];
const PLACES = "file:<folder>, ssm:<name> or dynamodb:<table>:<key>=<value>";
const SOURCES = "cloudwatch:<stage>[:<namespace>] or prometheus:<url>";

/**
 * Reads the options of a rollout from a configuration and from flags, which win.
 * @throws {CliError} USAGE
 */
export async function readRolloutOptions(flags: ConfigFlags): Promise<RolloutOptions> {
  const config = await readConfig(flags.config);
  const unknown = Object.keys(config).find((name) => !SETTINGS.includes(name));
  if (unknown !== undefined) {
    throw new CliError("USAGE", `Unknown setting \`${unknown}\`; expected one of ${SETTINGS.join(", ")}`);
  }
  const flag = flags.flag ?? config.flag;
  if (flag === undefined)
    throw new CliError("USAGE", `Missing \`flag\`: set it in ${DEFAULT_CONFIG}, or --flag`);
  const metrics = flags.metrics ?? config.metrics;
  const { plan, leadMs, delayMs } = config;
  const audit = flags.audit ?? config.audit ?? DEFAULT_AUDIT;
  return {
    flag: readTarget("flag", flag),
    state: readTarget("state", flags.state ?? config.state ?? defaultState(flag)),
    ...(metrics === undefined ? {} : { source: readSource(metrics) }),
    audit: typeof audit === "string" ? fileAudit(audit) : audit,
    who: flags.who ?? `${userInfo().username}@${hostname()}`,
    // Checked by `createRollout`.
    ...({ plan, leadMs, delayMs } as object),
  } as RolloutOptions;
}

async function readConfig(path: string | undefined): Promise<{ readonly [name: string]: unknown }> {
  if (path === undefined && !existsSync(DEFAULT_CONFIG)) return {};
  const file = path ?? DEFAULT_CONFIG;
  const config = extname(file) === ".json" ? readJson(file) : await readModule(file);
  if (isRecord(config)) return config;
  throw new CliError("USAGE", `${file} must contain an object, or export one as default`);
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new CliError("USAGE", `Cannot read ${file}: ${code ?? message}`);
  }
}

async function readModule(file: string): Promise<unknown> {
  return (await loadModule(parseReference(file, process.cwd()), new ProjectModules())).default;
}

function defaultState(flag: unknown): unknown {
  const { dynamodb } = parsePlace(flag);
  if (isRecord(dynamodb)) return { dynamodb: { ...dynamodb, attribute: STATE_ATTRIBUTE } };
  // Another machine would not find a local file, and could not roll back.
  if (parsePlace(flag).file !== undefined) return `file:${DEFAULT_STATE}`;
  throw new CliError(
    "USAGE",
    "Missing `state`: set it to a row, dynamodb:<table>:<key>=<value>; or to file:<folder>, for one machine",
  );
}

function readTarget(name: string, value: unknown): FlagTarget {
  if (isRecord(value) && typeof value.write === "function") return value as unknown as FlagTarget;
  const { dynamodb, ssm, file } = parsePlace(value);
  if (name === "state" && ssm !== undefined) {
    // A parameter has at most 4,096 characters.
    throw new CliError(
      "USAGE",
      "`state` outgrows a parameter of Systems Manager: use dynamodb:<table>:<key>=<value>",
    );
  }
  if (isRecord(dynamodb)) return dynamoDBFlag(dynamodb as unknown as Parameters<typeof dynamoDBFlag>[0]);
  if (isRecord(ssm)) return ssmFlag(ssm as unknown as Parameters<typeof ssmFlag>[0]);
  if (typeof file === "string" && file !== "") return fileFlag(file);
  throw new CliError(
    "USAGE",
    `\`${name}\` must be ${PLACES}, an object with the options of one, or a target`,
  );
}

/** Returns an object with the kind of a place and its options: `{ ssm: { name: "/chat" } }`. */
function parsePlace(value: unknown): { readonly [kind: string]: unknown } {
  if (typeof value !== "string") return isRecord(value) ? value : {};
  const [, kind, rest = ""] = /^(\w+):(.+)$/.exec(value) ?? [];
  if (kind === "file") return { file: rest };
  if (kind === "ssm") return { ssm: { name: rest } };
  const [, tableName, attribute, key] = /^([^:]+):([^=]+)=(.+)$/.exec(rest) ?? [];
  if (kind !== "dynamodb" || attribute === undefined) return {};
  return { dynamodb: { tableName, key: { [attribute]: { S: key } } } };
}

function readSource(value: unknown): MetricSource {
  if (isRecord(value) && typeof value.read === "function") return value as unknown as MetricSource;
  const { cloudwatch, prometheus } = parseSource(value);
  if (isRecord(cloudwatch)) {
    return cloudWatchSource(cloudwatch as unknown as Parameters<typeof cloudWatchSource>[0]);
  }
  if (isRecord(prometheus)) {
    return prometheusSource(prometheus as unknown as Parameters<typeof prometheusSource>[0]);
  }
  throw new CliError(
    "USAGE",
    `\`metrics\` must be ${SOURCES}, an object with the options of one, or a source`,
  );
}

function parseSource(value: unknown): { readonly [kind: string]: unknown } {
  if (typeof value !== "string") return isRecord(value) ? value : {};
  const [, kind, rest = ""] = /^(\w+):(.+)$/.exec(value) ?? [];
  if (kind === "prometheus") return { prometheus: { url: rest } };
  if (kind !== "cloudwatch") return {};
  const [stage, namespace] = rest.split(":");
  return { cloudwatch: { stage, ...(namespace === undefined ? {} : { namespace }) } };
}
