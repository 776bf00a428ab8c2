import type { NamespaceOptions } from "../../src/streamer/index.ts";
import type { NamespaceRules } from "./log.ts";

const HOUR_MS = 3_600_000;

const NAMESPACES = {
  /** A run never exceeds this history. */
  room: { size: 5_000, ageMs: HOUR_MS, presence: true },
  /** Clients that are away for long lose messages: by the size of the history, or by its age. */
  tight: { size: 12, ageMs: HOUR_MS, presence: false },
  brief: { size: 5_000, ageMs: 700, presence: false },
  /** Silent at the end: only a heartbeat reveals the last message. */
  quiet: { size: 5_000, ageMs: HOUR_MS, presence: false },
  /** Has live streams. */
  show: { size: 5_000, ageMs: HOUR_MS, presence: false },
} as const satisfies { readonly [name: string]: NamespaceRules };

/** The namespaces, with a grace period for live streams. */
export function namespacesWith(graceMs: number): { readonly [name: string]: NamespaceRules } {
  return { ...NAMESPACES, show: { ...NAMESPACES.show, graceMs } };
}

/** The channel of the live streams. */
export const STAGE = "show:stage";

/** The options of a Streamer whose channels have these rules, and are open to everyone. */
export function openChannels(
  namespaces: { readonly [name: string]: NamespaceRules },
  options: NamespaceOptions = {},
): { readonly [name: string]: NamespaceOptions } {
  const everyone = () => true;
  return Object.fromEntries(
    Object.entries(namespaces).map(([name, { size, ageMs, presence, graceMs }]) => [
      name,
      {
        history: { size, ageMs },
        presence,
        live: graceMs === undefined ? false : { graceMs },
        subscribe: everyone,
        publish: everyone,
        ...options,
      },
    ]),
  );
}
