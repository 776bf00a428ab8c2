import type { NamespaceRules } from "../history/log.ts";

export const MINUTE = 60_000;

export const NAMESPACES: { readonly [name: string]: NamespaceRules } = {
  room: { size: 100, ageMs: 60 * MINUTE, presence: true },
  plain: { size: 100, ageMs: 60 * MINUTE, presence: false },
  /** Has live streams. */
  show: { size: 100, ageMs: 60 * MINUTE, presence: false, graceMs: MINUTE },
};
