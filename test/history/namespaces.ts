import type { NamespaceRules } from "./log.ts";

const HOUR_MS = 3_600_000;

const NAMESPACES = {
  /** Nothing in it is ever past its history. */
  room: { size: 5_000, ageMs: HOUR_MS, presence: true },
  /** Who is away for long has missed something for good: by number, or by age. */
  tight: { size: 12, ageMs: HOUR_MS, presence: false },
  brief: { size: 5_000, ageMs: 700, presence: false },
  /** Silent at the end: only a heartbeat tells of its tail. */
  quiet: { size: 5_000, ageMs: HOUR_MS, presence: false },
  /** Where somebody streams. */
  show: { size: 5_000, ageMs: HOUR_MS, presence: false },
} as const satisfies { readonly [name: string]: NamespaceRules };

/** Those with streams, which end so long after their owner has left. */
export function namespacesWith(graceMs: number): { readonly [name: string]: NamespaceRules } {
  return { ...NAMESPACES, show: { ...NAMESPACES.show, graceMs } };
}

/** The channel in which somebody streams. */
export const STAGE = "show:stage";
