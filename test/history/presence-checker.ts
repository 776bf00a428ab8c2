import { channelName } from "./channel-histories.ts";
import type { LogEntry, LogEvent, NamespaceRules } from "./log.ts";

type Of<Kind extends LogEvent["kind"]> = Extract<LogEntry, { readonly kind: Kind }>;

/** Compares the presence that clients see with the actual members. */
export class PresenceChecker {
  readonly #users: { readonly [tenant: string]: readonly string[] };
  readonly #namespaces: { readonly [name: string]: NamespaceRules };
  /** User of each client, by channel. */
  readonly #members = new Map<string, Map<string, string>>();
  readonly #observed = new Set<string>();

  constructor(
    users: { readonly [tenant: string]: readonly string[] },
    namespaces: { readonly [name: string]: NamespaceRules },
  ) {
    this.#users = users;
    this.#namespaces = namespaces;
  }

  take(entry: Of<"joins" | "leaves">): void {
    const place = channelName(entry);
    const clients = this.#members.get(place) ?? new Map<string, string>();
    this.#members.set(place, clients);
    if (entry.kind === "joins") clients.set(entry.client, entry.user);
    else clients.delete(entry.client);
  }

  *check(entry: Of<"presence" | "present">): Generator<string> {
    const users = entry.kind === "presence" ? [entry.user] : entry.users;
    const strangers = users.filter((user) => !this.#users[entry.tenant]?.includes(user));
    if (strangers.length > 0)
      yield `${entry.client} saw ${strangers} in ${channelName(entry)}: another tenant's`;
    if (entry.kind === "presence") return;
    this.#observed.add(channelName(entry));
    const here = new Set(this.#members.get(channelName(entry))?.values());
    const ghosts = users.filter((user) => !here.has(user));
    const missing = [...here].filter((user) => !users.includes(user));
    const observer = `${entry.client} (${entry.source}) in ${channelName(entry)}`;
    if (ghosts.length > 0) yield `${observer} sees ${ghosts}, who have left`;
    if (missing.length > 0) yield `${observer} does not see ${missing}, who are members`;
    if (new Set(users).size < users.length) yield `${observer} sees a user twice: ${users}`;
  }

  *end(): Generator<string> {
    for (const [place, clients] of this.#members) {
      const namespace = place.slice(place.indexOf("/") + 1, place.indexOf(":"));
      const isDue = this.#namespaces[namespace]?.presence === true && clients.size > 0;
      if (isDue && !this.#observed.has(place)) yield `No client observed the members of ${place} at the end`;
    }
  }
}
