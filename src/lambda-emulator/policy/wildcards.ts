/**
 * Returns whether a text matches a pattern in which `*` matches any characters and `?` one. Its time is bounded by the product
 * of the lengths, because callers choose the text.
 */
export function matchesWildcards(pattern: string, text: string): boolean {
  return matches(pattern, text, () => true);
}

/**
 * Returns whether an ARN matches the pattern of a statement's `Resource`. A `*` at the end of a segment matches beyond its
 * colon, another does not.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
 */
export function matchesResource(pattern: string, arn: string): boolean {
  return matches(pattern, arn, (at) => at === pattern.length - 1 || pattern[at + 1] === ":");
}

const ARN_PARTS = 6;

/**
 * Returns whether an ARN matches the pattern of `ArnLike`, which has wildcards in each of the six parts.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
 */
export function matchesArn(pattern: string, arn: string): boolean {
  const [expected, actual] = [partsOf(pattern), partsOf(arn)];
  if (expected.length < ARN_PARTS || actual.length < ARN_PARTS) return false;
  return expected.every((part, index) => matchesWildcards(part, actual[index]!));
}

function partsOf(arn: string): string[] {
  const parts = arn.split(":");
  return [...parts.slice(0, ARN_PARTS - 1), parts.slice(ARN_PARTS - 1).join(":")].slice(0, parts.length);
}

/** @param spansColons tells whether the `*` at an index of the pattern matches colons */
function matches(pattern: string, text: string, spansColons: (at: number) => boolean): boolean {
  // The positions in the pattern that the text so far can reach.
  let reached = new Set<number>();
  const reach = (into: Set<number>, at: number): void => {
    into.add(at);
    if (pattern[at] === "*" && !into.has(at + 1)) reach(into, at + 1);
  };
  reach(reached, 0);
  for (const char of text) {
    const next = new Set<number>();
    for (const at of reached) {
      const expected = pattern[at];
      if (expected === "*" && (char !== ":" || spansColons(at))) reach(next, at);
      else if (expected !== undefined && (expected === "?" || pattern.startsWith(char, at)))
        reach(next, at + (expected === "?" ? 1 : char.length));
    }
    if (next.size === 0) return false;
    reached = next;
  }
  return reached.has(pattern.length);
}
