import { AwsJsonApi, AwsServiceError, type AwsTarget } from "../../aws/index.ts";
import { type OptionChecks, record, text } from "../../internal/options.ts";
import type { Item, Output } from "../dynamodb.ts";
import { checkOptions } from "../errors.ts";

/** The place of a flag's value. */
export interface FlagSource {
  /**
   * Reads the value; `undefined` when there is none.
   * @param signal aborted when the flag stops waiting
   */
  read(signal: AbortSignal): Promise<string | undefined> | string | undefined;
}

/**
 * Reads a flag from an environment variable. To change it, deploy the function's configuration again.
 * @param name Default `USE_LIFT_V2`
 * @example
 * const flag = createFlag({ source: environmentFlag() });
 */
export function environmentFlag(
  name = "USE_LIFT_V2",
  environment: { readonly [name: string]: string | undefined } = process.env,
): FlagSource {
  return { read: () => environment[name] };
}

/** Options of `dynamoDBFlag`. */
export interface DynamoDBFlagOptions extends AwsTarget {
  /** Name of the table. */
  readonly tableName: string;
  /** The key of the flag's row, in DynamoDB's JSON format. */
  readonly key: Item;
  /** The attribute with the value as text. Default `Value`. */
  readonly attribute?: string;
}

const TARGET: OptionChecks<AwsTarget> = {
  endpoint: text,
  region: text,
  credentials: {
    test: (value) => Object(value) === value,
    expected: "credentials or a function that returns them",
  },
};

/**
 * Reads a flag from a row in DynamoDB, without the AWS SDK. Needs `dynamodb:GetItem` on the table.
 * @throws {RolloutError} INVALID_OPTION
 * @example
 * const source = dynamoDBFlag({ tableName: "flags", key: { name: { S: "lift-v2" } } });
 */
export function dynamoDBFlag(options: DynamoDBFlagOptions): FlagSource {
  checkOptions(options, { ...TARGET, tableName: text, key: record, attribute: text }, ["tableName", "key"]);
  const { tableName, key, attribute = "Value", ...target } = options;
  const api = new AwsJsonApi("dynamodb", target);
  const input = { TableName: tableName, Key: key, ConsistentRead: true };
  return {
    async read(signal) {
      const value = ((await api.call("GetItem", input, signal)) as Output).Item?.[attribute];
      // Any other type is malformed, and its text is too.
      return value === undefined ? undefined : (value.S ?? JSON.stringify(value));
    },
  };
}

/** Options of `ssmFlag`. */
export interface SsmFlagOptions extends AwsTarget {
  /** Name or ARN of the parameter. */
  readonly name: string;
}

/**
 * Reads a flag from a parameter of Systems Manager, without the AWS SDK. Needs `ssm:GetParameter`.
 * @throws {RolloutError} INVALID_OPTION
 * @example
 * const source = ssmFlag({ name: "/chat/lift-v2" });
 */
export function ssmFlag(options: SsmFlagOptions): FlagSource {
  checkOptions(options, { ...TARGET, name: text }, ["name"]);
  const { name, ...target } = options;
  const api = new AwsJsonApi("ssm", target);
  return {
    async read(signal) {
      try {
        const output = await api.call("GetParameter", { Name: name, WithDecryption: true }, signal);
        return (output as { readonly Parameter?: { readonly Value?: string } }).Parameter?.Value;
      } catch (error) {
        if (error instanceof AwsServiceError && error.name === "ParameterNotFound") return undefined;
        throw error;
      }
    },
  };
}
