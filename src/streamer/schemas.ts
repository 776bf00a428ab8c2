import type { StandardSchemaV1 } from "@standard-schema/spec";
import { LiftError, validate } from "../lift/index.ts";
import { LIMITS, type Serialized } from "../protocol/index.ts";
import type { Json } from "../store/index.ts";
import type { Channel } from "./channels.ts";
import { jsonBytes } from "./messages.ts";

/**
 * The types of each namespace's messages and presence states, inferred from its `schema` and `stateSchema`. A namespace
 * without a schema carries any JSON.
 */
export type SchemaTypes<Data, State> = {
  readonly [Name in keyof Data & string]: {
    readonly dataInput: Input<Data[Name]>;
    readonly data: Output<Data[Name]>;
    readonly stateInput: Input<State[Name & keyof State]>;
    readonly state: Output<State[Name & keyof State]>;
  };
};

type Input<Schema> = Serialized<
  Schema extends StandardSchemaV1 ? StandardSchemaV1.InferInput<Schema> : unknown
>;
type Output<Schema> = Serialized<
  Schema extends StandardSchemaV1 ? StandardSchemaV1.InferOutput<Schema> : unknown
>;

/** Returns the data to store. @throws {LiftError} TOO_LARGE, VALIDATION_ERROR, NOT_JSON */
export function validateData({ namespace: { schema, maxBytes } }: Channel, data: Json): Promise<Json> {
  return validateValue(data, schema, maxBytes, "data");
}

/** Returns the presence state to store; no state stays none. @throws {LiftError} as `validateData` */
export async function validateState(
  { namespace: { stateSchema } }: Channel,
  state: Json | undefined,
): Promise<Json | undefined> {
  return state === undefined ? undefined : validateValue(state, stateSchema, LIMITS.stateBytes, "state");
}

/** Returns a value as clients receive it, as a copy that a store may keep. @throws {LiftError} NOT_JSON */
export function toJson(value: unknown): Json {
  try {
    return JSON.parse(JSON.stringify(value));
  } catch (cause) {
    throw new LiftError("NOT_JSON", { cause });
  }
}

async function validateValue(
  value: Json,
  schema: StandardSchemaV1 | undefined,
  maxBytes: number,
  field: "data" | "state",
): Promise<Json> {
  // The size is checked before the schema, so that no schema works on an oversized value, and after it.
  assertSize(value, maxBytes, field);
  if (schema === undefined) return value;
  const output = toJson(await validate(schema, value, [field]));
  assertSize(output, maxBytes, field);
  return output;
}

function assertSize(value: Json, maxBytes: number, field: string): void {
  const bytes = jsonBytes(value);
  if (bytes <= maxBytes) return;
  const message = `\`${field}\` has ${bytes} bytes; the namespace accepts at most ${maxBytes}`;
  throw new LiftError("TOO_LARGE", { status: 413, message });
}
