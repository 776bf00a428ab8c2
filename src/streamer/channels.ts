import { LiftError } from "../lift/index.ts";
import { type ChannelName, parseChannelName } from "../protocol/index.ts";
import type { Retention } from "../store/index.ts";
import { channelFromKey, REQUEST_NAMESPACE, type Scope, toChannelKey } from "./channel-keys.ts";
import type { Namespace } from "./namespaces.ts";

/** One channel of one tenant. */
export interface Channel {
  /** `namespace:name`, as clients write it. */
  readonly name: string;
  readonly parsedName: ChannelName;
  /** Its key in the stores, which includes the tenant. */
  readonly key: string;
  readonly namespace: Namespace;
}

/** Finds channels and their namespaces by name. */
export class Channels {
  /** Those that the application has configured. */
  readonly namespaces: ReadonlyMap<string, Namespace>;
  readonly #requests: Namespace | undefined;

  /** @param requests the reserved namespace of long requests. Absent: there are none */
  constructor(namespaces: ReadonlyMap<string, Namespace>, requests?: Namespace) {
    this.namespaces = namespaces;
    this.#requests = requests;
  }

  /** @throws {LiftError} VALIDATION_ERROR, NOT_FOUND */
  get(name: string, scope: Scope): Channel {
    const parsedName = parseChannelName(name);
    if (parsedName === undefined) {
      throw new LiftError("VALIDATION_ERROR", { message: "Invalid channel name; expected `namespace:name`" });
    }
    const namespace = this.#find(parsedName.namespace);
    if (namespace === undefined) {
      throw new LiftError("NOT_FOUND", { message: `Unknown namespace \`${parsedName.namespace}\`` });
    }
    return { name, parsedName, key: toChannelKey(scope, name), namespace };
  }

  /** Returns the namespace of a channel's or sub-channel's key; `undefined` when it is not configured any more. */
  namespaceOf(key: string): Namespace | undefined {
    return this.#find(parseChannelName(channelFromKey(key))?.namespace ?? "");
  }

  #find(namespace: string): Namespace | undefined {
    return namespace === REQUEST_NAMESPACE ? this.#requests : this.namespaces.get(namespace);
  }
}

/** @throws {LiftError} NOT_FOUND when the namespace is at-most-once */
export function requireHistory({ namespace }: Channel): Retention {
  if (namespace.retention !== undefined) return namespace.retention;
  throw new LiftError("NOT_FOUND", { message: "The namespace has no history" });
}

/** @throws {LiftError} NOT_FOUND */
export function requirePresence({ namespace }: Channel): void {
  if (!namespace.presence) throw new LiftError("NOT_FOUND", { message: "The namespace has no presence" });
}

/** @throws {LiftError} NOT_FOUND */
export function requireLiveStreams({ namespace }: Channel): void {
  if (namespace.live !== undefined) return;
  throw new LiftError("NOT_FOUND", { message: "The namespace has no live streams" });
}
