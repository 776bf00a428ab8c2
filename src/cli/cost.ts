import { type Command, readArguments, type Terminal, type Usage, usageError } from "./arguments.ts";
import { estimate } from "./cost/estimate.ts";
import { PRICES } from "./cost/prices.ts";
import { formatReport } from "./cost/report.ts";
import { DEFAULTS, type Workload } from "./cost/workload.ts";

const usage = {
  name: "cost",
  summary: "Estimate what a Streamer costs on AWS in a month, by service.",
  forms: ["[flags]"],
  flags: {
    connections: number("Connections that are open at the same time", DEFAULTS.connections),
    "messages-per-minute": number("Messages of all clients together", DEFAULTS.messagesPerMinute),
    "fan-out": number("Recipients of a message", DEFAULTS.fanOut),
    "message-bytes": number("Data of a message", DEFAULTS.messageBytes),
    "hours-per-day": number("Hours a day in which the application is in use", DEFAULTS.hoursPerDay),
    "connection-minutes": number("Duration of a connection, up to 120", DEFAULTS.connectionMinutes),
    channels: number("Subscriptions of a connection", DEFAULTS.channels),
    "requests-per-hour": number("Long requests of all clients together", DEFAULTS.requestsPerHour),
    "request-seconds": number("Duration of a long request", DEFAULTS.requestSeconds),
    "at-most-once": { type: "boolean", help: "Messages are not stored. Default: at least once" },
    memory: number("Memory of a function in MB", DEFAULTS.memory),
    json: { type: "boolean", help: "Print JSON: the workload, the estimates and the prices" },
  },
  notes: [
    "The table compares three designs: this package's Streamer, the pattern of the original Streamer in Go, and a naive one.",
    "docs/operations/cost.md says what is measured, what is assumed, and what is not included.",
  ],
} as const satisfies Usage;

export const cost: Command = { usage, run };

type NumberFlag = keyof typeof RANGES;

/** The smallest and the largest value of each number. */
const RANGES = {
  connections: [1, 1e9],
  "messages-per-minute": [0, 1e9],
  "fan-out": [0, 1e9],
  // The largest data of a message, as JSON.
  "message-bytes": [1, 98_304],
  "hours-per-day": [0.1, 24],
  // API Gateway's limit.
  "connection-minutes": [0.1, 120],
  channels: [0, 100],
  "requests-per-hour": [0, 1e9],
  // Lambda's limit.
  "request-seconds": [0, 900],
  memory: [128, 10_240],
} as const;

function number(help: string, value: number) {
  return {
    type: "string",
    placeholder: "<number>",
    help: `${help}. Default ${value.toLocaleString("en")}`,
  } as const;
}

async function run(argv: readonly string[], terminal: Terminal): Promise<number> {
  const { flags, positionals } = readArguments(usage, argv);
  if (positionals.length > 0) throw usageError(usage, `Unexpected argument "${positionals[0]}"`);
  const read = (name: NumberFlag, byDefault: number) => readNumber(name, flags[name], byDefault);
  const workload: Workload = {
    connections: read("connections", DEFAULTS.connections),
    messagesPerMinute: read("messages-per-minute", DEFAULTS.messagesPerMinute),
    fanOut: read("fan-out", DEFAULTS.fanOut),
    messageBytes: read("message-bytes", DEFAULTS.messageBytes),
    hoursPerDay: read("hours-per-day", DEFAULTS.hoursPerDay),
    connectionMinutes: read("connection-minutes", DEFAULTS.connectionMinutes),
    channels: read("channels", DEFAULTS.channels),
    requestsPerHour: read("requests-per-hour", DEFAULTS.requestsPerHour),
    requestSeconds: read("request-seconds", DEFAULTS.requestSeconds),
    atMostOnce: flags["at-most-once"] ?? false,
    memory: read("memory", DEFAULTS.memory),
  };
  const estimates = estimate(workload);
  const json = { region: "us-east-1", workload, ...estimates, prices: PRICES };
  terminal.stdout.write(
    flags.json ? `${JSON.stringify(json, null, 2)}\n` : formatReport(workload, estimates),
  );
  return 0;
}

function readNumber(name: NumberFlag, text: string | undefined, byDefault: number): number {
  if (text === undefined) return byDefault;
  const [least, most] = RANGES[name];
  const value = Number(text);
  if (text.trim() !== "" && value >= least && value <= most) return value;
  throw usageError(usage, `--${name} must be a number from ${least} to ${most}; got "${text}"`);
}
