import type { Json } from "./json.ts";

/** The payload types of a namespace's channels. */
export interface ChannelTypes {
  /** The data that publishers pass to `publish`. */
  readonly dataInput: unknown;
  /** The data of the messages that subscribers get. */
  readonly data: unknown;
  /** The presence state that users set. */
  readonly stateInput: unknown;
  /** The presence state that members get. */
  readonly state: unknown;
}

/** The payload types of each namespace. */
export interface Namespaces {
  readonly [namespace: string]: ChannelTypes;
}

/** Payload types without schemas: any JSON. */
export interface JsonNamespaces {
  readonly [namespace: string]: {
    readonly dataInput: Json;
    readonly data: Json;
    readonly stateInput: Json;
    readonly state: Json;
  };
}

/** The type of a server, by which a client gets its payload types. The property exists in types only. */
export interface ServerTypes<Types extends Namespaces = Namespaces> {
  /** Carries the types of the namespaces. It does not exist at run time. */
  readonly "~channels"?: Types;
}

/** The names of the channels in these namespaces. */
export type ChannelIn<Types extends Namespaces> = string extends keyof Types
  ? string
  : `${keyof Types & string}:${string}`;

/** The payload types of a channel. */
export type TypesOf<
  Types extends Namespaces,
  Channel extends string,
> = Channel extends `${infer Name}:${string}`
  ? Name extends keyof Types
    ? Types[Name]
    : never
  : JsonNamespaces[string];

/** The type of a value after it was serialized and parsed: a `Date` becomes a string. */
export type Serialized<Value> = unknown extends Value
  ? Json
  : Value extends Json | undefined
    ? Value
    : Value extends { toJSON(): infer Written }
      ? Serialized<Written>
      : Value extends object
        ? { [Name in keyof Value]: Serialized<Value[Name]> }
        : never;
