import {
  createFilter,
  type FilterPattern,
  isMap,
  LambdaEmulatorError,
  type ResolvedResource,
  type ValueMap,
} from "../../lambda-emulator/index.ts";
import type { Terminal } from "../arguments.ts";
import { createEvent, type RuleTarget, readTargets } from "./events.ts";
import type { StackFunctions } from "./functions.ts";
import { textOf } from "./properties.ts";
import type { Stack } from "./stack.ts";

/** A rule that passes matching events of a bus to functions. */
interface EventRule {
  readonly bus: string;
  readonly matches: (event: unknown) => boolean;
  readonly targets: readonly RuleTarget[];
}

/** The entry of a PutEvents request, or the reason why it failed. */
type EntryResult =
  | { readonly EventId: string }
  | { readonly ErrorCode: string; readonly ErrorMessage: string };

/** The event buses of a stack. */
export class EventBuses {
  readonly #stack: Stack;
  readonly #rules: readonly EventRule[];

  constructor(stack: Stack, functions: StackFunctions, terminal: Terminal) {
    this.#stack = stack;
    this.#rules = stack
      .ofType("AWS::Events::Rule")
      .filter(({ properties }) => properties.EventPattern !== undefined)
      .flatMap((rule) => readRule(stack, rule, functions, terminal));
  }

  /** Passes the entries of a PutEvents request to the rules that match. */
  put(entries: readonly ValueMap[]): object {
    const results = entries.map((entry) => this.#putOne(entry));
    return { FailedEntryCount: results.filter((each) => "ErrorCode" in each).length, Entries: results };
  }

  #putOne(entry: ValueMap): EntryResult {
    for (const name of ["Source", "DetailType", "Detail"]) {
      if (textOf(entry, name)) continue;
      const ErrorMessage = `Parameter ${name} is not valid. Reason: ${name} is a required argument.`;
      return { ErrorCode: "InvalidArgument", ErrorMessage };
    }
    const detail = parseDetail(textOf(entry, "Detail")!);
    if (detail === undefined) return { ErrorCode: "MalformedDetail", ErrorMessage: "Detail is malformed." };
    const resources = [entry.Resources ?? []].flat().map(String);
    const [source, detailType] = [textOf(entry, "Source")!, textOf(entry, "DetailType")!];
    const event = createEvent(this.#stack, { source, detailType, resources, detail });
    const bus = busNameOf(entry);
    for (const rule of this.#rules) {
      if (rule.bus === bus && rule.matches(event)) for (const target of rule.targets) target.call(event);
    }
    return { EventId: event.id };
  }
}

/** Returns the name of the bus that a rule or an entry gives by its name or ARN. */
export function busNameOf(properties: ValueMap): string {
  return textOf(properties, "EventBusName")?.split("/").at(-1) ?? "default";
}

function readRule(
  stack: Stack,
  rule: ResolvedResource,
  functions: StackFunctions,
  terminal: Terminal,
): EventRule[] {
  const { properties, logicalId } = rule;
  if (textOf(properties, "State") === "DISABLED") {
    stack.skip(logicalId, "a rule that is off");
    return [];
  }
  let matches: EventRule["matches"];
  try {
    matches = createFilter(properties.EventPattern as unknown as FilterPattern);
  } catch (error) {
    if (!(error instanceof LambdaEmulatorError)) throw error;
    stack.skip(logicalId, "an event pattern with other rules than a value, `prefix` or `exists`");
    return [];
  }
  return [{ bus: busNameOf(properties), matches, targets: readTargets(stack, rule, functions, terminal) }];
}

function parseDetail(text: string): ValueMap | undefined {
  try {
    const detail: unknown = JSON.parse(text);
    return isMap(detail) ? detail : undefined;
  } catch {
    return undefined;
  }
}
