import { nameOf } from "./histories.ts";
import type { Entry, Fact, NamespaceRules } from "./log.ts";

type Of<Kind extends Fact["kind"]> = Extract<Entry, { readonly kind: Kind }>;

/** Who is meant to be where, against who is said to be there. */
export class Attendance {
  readonly #users: { readonly [tenant: string]: readonly string[] };
  readonly #namespaces: { readonly [name: string]: NamespaceRules };
  /** By place and client. */
  readonly #there = new Map<string, Map<string, string>>();
  readonly #told = new Set<string>();

  constructor(
    users: { readonly [tenant: string]: readonly string[] },
    namespaces: { readonly [name: string]: NamespaceRules },
  ) {
    this.#users = users;
    this.#namespaces = namespaces;
  }

  take(entry: Of<"joins" | "leaves">): void {
    const place = nameOf(entry);
    const clients = this.#there.get(place) ?? new Map<string, string>();
    this.#there.set(place, clients);
    if (entry.kind === "joins") clients.set(entry.client, entry.user);
    else clients.delete(entry.client);
  }

  *judge(entry: Of<"presence" | "present">): Generator<string> {
    const users = entry.kind === "presence" ? [entry.user] : entry.users;
    const strangers = users.filter((user) => !this.#users[entry.tenant]?.includes(user));
    if (strangers.length > 0)
      yield `${entry.client} was told of ${strangers} in ${nameOf(entry)}: another tenant's`;
    if (entry.kind === "presence") return;
    this.#told.add(nameOf(entry));
    const here = new Set(this.#there.get(nameOf(entry))?.values());
    const ghosts = users.filter((user) => !here.has(user));
    const missing = [...here].filter((user) => !users.includes(user));
    const who = `${entry.client} (${entry.source}) in ${nameOf(entry)}`;
    if (ghosts.length > 0) yield `${who} sees ${ghosts}, who have left`;
    if (missing.length > 0) yield `${who} does not see ${missing}, who are there`;
    if (new Set(users).size < users.length) yield `${who} sees somebody twice: ${users}`;
  }

  *end(): Generator<string> {
    for (const [place, clients] of this.#there) {
      const namespace = place.slice(place.indexOf("/") + 1, place.indexOf(":"));
      const isDue = this.#namespaces[namespace]?.presence === true && clients.size > 0;
      if (isDue && !this.#told.has(place)) yield `Nobody has said who is in ${place} in the end`;
    }
  }
}
