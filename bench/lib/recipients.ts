/** Recipients of a fan-out: of a hundred, one is gone and one is throttled once. */

/** Index of the character in an id that sets its outcome: `g` gone, `t` throttled once, `s` sent. */
export const KIND_AT = 13;

export interface Recipients {
  readonly ids: readonly string[];
  readonly gone: readonly string[];
}

/** Counts of the stub since the last request for them. */
export interface StubCounts {
  /** Connections that received a message. */
  readonly sent: number;
  /** Messages that arrived twice. */
  readonly repeated: number;
  /** Connections that were throttled once. */
  readonly throttled: number;
}

/** Result of a side in one round. */
export interface FanoutResult {
  readonly ms: number;
  /** Remaining rows of gone connections. */
  readonly rowsLeft: number;
}

/** Ids in the service's format. Each round has new ids, because removed rows do not return. */
export function recipients(round: number, count: number): Recipients {
  const ids = Array.from({ length: count }, (_, n) => {
    const kind = n % 100 === 50 ? "g" : n % 100 === 51 ? "t" : "s";
    return `${String(round).padStart(4, "0")}${String(n).padStart(9, "0")}${kind}w=`;
  });
  return { ids, gone: ids.filter((id) => id[KIND_AT] === "g") };
}
