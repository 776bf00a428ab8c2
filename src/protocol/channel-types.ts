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

/** The types of one of the application's own actions. */
export interface RequestTypes {
  /** The input that clients pass to `request`. */
  readonly input: unknown;
  /** The result that clients get. */
  readonly result: unknown;
  /** The details of its progress. */
  readonly progress: unknown;
}

/** The types of each of the application's own actions. */
export interface Requests {
  readonly [action: string]: RequestTypes;
}

/** Actions without schemas: any JSON. */
export interface JsonRequests {
  readonly [action: string]: { readonly input: Json; readonly result: Json; readonly progress: Json };
}

/** The type of a server, by which a client gets its payload types. The properties exist in types only. */
export interface ServerTypes<Types extends Namespaces = Namespaces, Actions extends Requests = Requests> {
  /** Carries the types of the namespaces. It does not exist at run time. */
  readonly "~channels"?: Types;
  /** Carries the types of the application's own actions. It does not exist at run time. */
  readonly "~requests"?: Actions;
}

/** The types of a server's own actions, as JSON: any JSON if its type does not have them. */
export type RequestsOf<Server extends ServerTypes> = unknown extends Server["~requests"]
  ? JsonRequests
  : {
      readonly [Action in keyof NonNullable<Server["~requests"]>]: {
        readonly [Field in keyof RequestTypes]: Serialized<NonNullable<Server["~requests"]>[Action][Field]>;
      };
    };

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
