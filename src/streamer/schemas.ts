import type { StandardSchemaV1 } from "@standard-schema/spec";
import { LiftError, validate } from "../lift/index.ts";
import { LIMITS } from "../protocol/index.ts";
import type { Json } from "../store/index.ts";
import { sizeOf } from "./messages.ts";
import type { Channel } from "./namespaces.ts";

/** What is stored of the data that somebody publishes. @throws {LiftError} TOO_LARGE, VALIDATION_ERROR, NOT_JSON */
export function takeData({ namespace: { schema, maxBytes } }: Channel, data: Json): Promise<Json> {
  return take(data, schema, maxBytes, "data");
}

/** What others see of what somebody shows; nothing of nothing. @throws {LiftError} as `takeData` */
export async function takeState(
  { namespace: { stateSchema } }: Channel,
  state: Json | undefined,
): Promise<Json | undefined> {
  return state === undefined ? undefined : take(state, stateSchema, LIMITS.stateBytes, "state");
}

/** As clients get it, and a copy that a store may keep. @throws {LiftError} NOT_JSON */
export function asSent(value: unknown): Json {
  try {
    return JSON.parse(JSON.stringify(value));
  } catch (cause) {
    throw new LiftError("NOT_JSON", { cause });
  }
}

async function take(
  value: Json,
  schema: StandardSchemaV1 | undefined,
  maxBytes: number,
  what: string,
): Promise<Json> {
  // What comes in, lest a schema works on what is too large anyway, and what comes out.
  assertSize(value, maxBytes, what);
  if (schema === undefined) return value;
  const made = asSent(await validate(schema, value, [what]));
  assertSize(made, maxBytes, what);
  return made;
}

function assertSize(value: Json, maxBytes: number, what: string): void {
  if (sizeOf(value) <= maxBytes) return;
  const message = `The namespace takes ${what} of ${maxBytes} bytes at most`;
  throw new LiftError("TOO_LARGE", { status: 413, message });
}
