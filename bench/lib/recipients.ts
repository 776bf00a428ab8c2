/** Who a fan-out goes to: of a hundred, one is gone and one is throttled the first time. */

/** Which character of an id tells what becomes of it: `g` gone, `t` throttled once, `s` sent. */
export const KIND_AT = 13;

export interface Recipients {
  readonly ids: readonly string[];
  readonly gone: readonly string[];
}

/** What the stub has seen since it was asked last. */
export interface StubCounts {
  /** Connections that were sent to. */
  readonly sent: number;
  /** Messages that came twice. */
  readonly repeated: number;
  /** Connections that were refused once. */
  readonly throttled: number;
}

/** What a side did in a round. */
export interface FanoutResult {
  readonly ms: number;
  /** Rows of gone connections that are left. */
  readonly rowsLeft: number;
}

/** Ids in the service's shape, other ones in each round: a row that was removed does not come back. */
export function recipients(round: number, count: number): Recipients {
  const ids = Array.from({ length: count }, (_, n) => {
    const kind = n % 100 === 50 ? "g" : n % 100 === 51 ? "t" : "s";
    return `${String(round).padStart(4, "0")}${String(n).padStart(9, "0")}${kind}w=`;
  });
  return { ids, gone: ids.filter((id) => id[KIND_AT] === "g") };
}
