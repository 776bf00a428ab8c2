import { LiftError } from "../lift/index.ts";
import type { ChannelName } from "../protocol/index.ts";

/** The user behind a connection, as the server established it on `$connect`. */
export interface Identity {
  /** Absent for an anonymous user. */
  readonly userId?: string;
  /** Absent: a scope of its own, which no tenant shares. */
  readonly tenantId?: string;
  /** From the token; empty without authentication. */
  readonly roles: readonly string[];
  /** From the token; empty without authentication. */
  readonly permissions: readonly string[];
}

/**
 * Decides whether a user may use a channel. Only `true` allows it. Throw a `LiftError` to refuse with its code.
 * @example
 * const subscribe: Rule = ({ roles }, { name }) => roles.includes(`room:${name}`);
 */
export type Rule = (identity: Identity, channel: ChannelName) => boolean | Promise<boolean>;

/** A channel with the rules of its namespace. An empty list allows no client. */
interface GuardedChannel {
  readonly parsedName: ChannelName;
  readonly namespace: { readonly subscribe: readonly Rule[]; readonly publish: readonly Rule[] };
}

/** Rules of the reserved namespaces. An application's own rule can only restrict them further. */
export const RESERVED_RULES: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ["user", ({ userId }, { name }) => userId === name],
  ["tenant", ({ tenantId }, { name }) => tenantId === name],
]);

/** @throws {LiftError} FORBIDDEN, with the rule in its message; or the error that a rule throws */
export async function authorize(
  right: "subscribe" | "publish",
  identity: Identity,
  { parsedName, namespace }: GuardedChannel,
): Promise<void> {
  const rules = namespace[right];
  const option = `channels.${parsedName.namespace}.${right}`;
  if (rules.length === 0) {
    const message = `No rule lets clients ${right}: set \`${option}\``;
    throw new LiftError("FORBIDDEN", { message });
  }
  for (const rule of rules) {
    if ((await rule(identity, parsedName)) === true) continue;
    throw new LiftError("FORBIDDEN", { message: refusalMessage(rule, parsedName.namespace, option) });
  }
}

function refusalMessage(rule: Rule, namespace: string, option: string): string {
  if (rule !== RESERVED_RULES.get(namespace)) return `The rule \`${option}\` does not allow it`;
  return namespace === "user"
    ? "Only the channel's user may do this"
    : "Only the tenant's members may do this";
}
