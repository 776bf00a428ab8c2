import type { AttributeValue } from "@aws-sdk/client-dynamodb";
import type { Item } from "./errors.ts";

/**
 * Returns the bytes of an item with texts, numbers and booleans, by which DynamoDB charges.
 * https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
 */
export function itemSize(item: Item): number {
  return Object.entries(item).reduce(
    (sum, [name, value]) => sum + Buffer.byteLength(name) + valueSize(value),
    0,
  );
}

function valueSize({ S, N }: AttributeValue): number {
  if (S !== undefined) return Buffer.byteLength(S);
  // Two digits a byte, and one for the exponent.
  return N === undefined ? 1 : Math.ceil(N.length / 2) + 1;
}
