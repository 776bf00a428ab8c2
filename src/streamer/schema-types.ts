import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { Serialized } from "../protocol/index.ts";

/** What the channels of each namespace carry, by its schemas of data and of state; JSON where there is none. */
export type SchemaTypes<Data, State> = {
  readonly [Name in keyof Data & string]: {
    readonly dataInput: Taken<Data[Name]>;
    readonly data: Made<Data[Name]>;
    readonly stateInput: Taken<State[Name & keyof State]>;
    readonly state: Made<State[Name & keyof State]>;
  };
};

type Taken<Schema> = Serialized<
  Schema extends StandardSchemaV1 ? StandardSchemaV1.InferInput<Schema> : unknown
>;
type Made<Schema> = Serialized<
  Schema extends StandardSchemaV1 ? StandardSchemaV1.InferOutput<Schema> : unknown
>;
