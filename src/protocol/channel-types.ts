import type { Json } from "./json.ts";

/** What the channels of a namespace carry. */
export interface ChannelTypes {
  /** What publishers give. */
  readonly dataInput: unknown;
  /** What everyone gets for it. */
  readonly data: unknown;
  /** What users give to show of themselves. */
  readonly stateInput: unknown;
  /** What everyone sees of them. */
  readonly state: unknown;
}

/** Of each namespace. */
export interface Namespaces {
  readonly [namespace: string]: ChannelTypes;
}

/** Where nothing is said of them. */
export interface JsonNamespaces {
  readonly [namespace: string]: {
    readonly dataInput: Json;
    readonly data: Json;
    readonly stateInput: Json;
    readonly state: Json;
  };
}

/** A server by its channels. There is no such property: it brings the types to a client that knows nothing else of it. */
export interface ServerTypes<Types extends Namespaces = Namespaces> {
  readonly "~channels"?: Types;
}

/** The channels that there can be. */
export type ChannelIn<Types extends Namespaces> = string extends keyof Types
  ? string
  : `${keyof Types & string}:${string}`;

/** What a channel carries. */
export type TypesOf<
  Types extends Namespaces,
  Channel extends string,
> = Channel extends `${infer Name}:${string}`
  ? Name extends keyof Types
    ? Types[Name]
    : never
  : JsonNamespaces[string];

/** What a value is when it has been sent: a `Date` its text. */
export type Serialized<Value> = unknown extends Value
  ? Json
  : Value extends Json | undefined
    ? Value
    : Value extends { toJSON(): infer Written }
      ? Serialized<Written>
      : Value extends object
        ? { [Name in keyof Value]: Serialized<Value[Name]> }
        : never;
