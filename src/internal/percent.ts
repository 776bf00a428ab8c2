/** Formats a share as a percentage with three digits: 0.0153 is "1.53 %". */
export function formatPercent(share: number): string {
  return `${Number((100 * share).toPrecision(3))} %`;
}
