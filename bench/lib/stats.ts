export function median(values: readonly number[]): number {
  if (values.length === 0) throw new Error("A median needs at least one sample");
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Spread of samples: half the distance between the quartiles, in percent of the median. */
export function spread(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.round(share * (sorted.length - 1))]!;
  return (50 * (at(0.75) - at(0.25))) / median(values);
}
