import { AwsJsonApi, type AwsTarget } from "../../aws/index.ts";
import { record, text } from "../../internal/options.ts";
import type { Item, Output } from "../dynamodb.ts";
import { checkOptions, RolloutError } from "../errors.ts";
import { AWS_TARGET, type FlagTarget } from "./sources.ts";

/** Options of `dynamoDBFlag`. */
export interface DynamoDBFlagOptions extends AwsTarget {
  /** Name of the table. */
  readonly tableName: string;
  /** The key of the flag's row, in DynamoDB's JSON format. */
  readonly key: Item;
  /** The attribute with the value as text. Default `Value`. */
  readonly attribute?: string;
}

/**
 * Keeps a flag in a row in DynamoDB, without the AWS SDK. Reading needs `dynamodb:GetItem` on the table, writing
 * `dynamodb:UpdateItem` too.
 * @throws {RolloutError} INVALID_OPTION
 * @example
 * const source = dynamoDBFlag({ tableName: "flags", key: { name: { S: "lift-v2" } } });
 */
export function dynamoDBFlag(options: DynamoDBFlagOptions): FlagTarget {
  checkOptions(options, { ...AWS_TARGET, tableName: text, key: record, attribute: text }, [
    "tableName",
    "key",
  ]);
  const { tableName, key, attribute = "Value", ...target } = options;
  const api = new AwsJsonApi("dynamodb", target);
  const row = { TableName: tableName, Key: key };
  const read = async (signal: AbortSignal) => {
    const output = (await api.call("GetItem", { ...row, ConsistentRead: true }, signal)) as Output;
    const value = output.Item?.[attribute];
    // Any other type is malformed, and its text is too.
    return value === undefined ? undefined : (value.S ?? JSON.stringify(value));
  };
  return {
    read,
    async write(value, last, signal) {
      const isUnchanged = last === undefined ? "attribute_not_exists(#value)" : "#value = :last";
      const update = {
        ...row,
        UpdateExpression: "SET #value = :next",
        ConditionExpression: isUnchanged,
        ExpressionAttributeNames: { "#value": attribute },
        ExpressionAttributeValues: {
          ":next": { S: value },
          ...(last === undefined ? {} : { ":last": { S: last } }),
        },
      };
      try {
        await api.call("UpdateItem", update, signal);
      } catch (error) {
        if ((error as Error).name !== "ConditionalCheckFailedException") throw error;
        // An earlier attempt may have been carried out although its answer was lost.
        if ((await read(signal)) !== value) throw new RolloutError("CONFLICT");
      }
    },
  };
}
