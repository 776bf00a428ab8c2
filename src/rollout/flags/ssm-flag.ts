import { AwsJsonApi, AwsServiceError, type AwsTarget } from "../../aws/index.ts";
import { text } from "../../internal/options.ts";
import { checkOptions, RolloutError } from "../errors.ts";
import { AWS_TARGET, type FlagTarget } from "./sources.ts";

/** Options of `ssmFlag`. */
export interface SsmFlagOptions extends AwsTarget {
  /** Name or ARN of the parameter. */
  readonly name: string;
}

interface Parameter {
  readonly Value?: string;
  readonly Version?: number;
}

/**
 * Keeps a flag in a parameter of Systems Manager, without the AWS SDK. Reading needs `ssm:GetParameter`, writing
 * `ssm:PutParameter` too. The service has no conditional write: after each write the version is compared, and a value that
 * another operator wrote in between is put back.
 * @throws {RolloutError} INVALID_OPTION
 * @example
 * const source = ssmFlag({ name: "/chat/lift-v2" });
 */
export function ssmFlag(options: SsmFlagOptions): FlagTarget {
  checkOptions(options, { ...AWS_TARGET, name: text }, ["name"]);
  const { name, ...target } = options;
  const api = new AwsJsonApi("ssm", target);

  async function get(selector: string, signal: AbortSignal): Promise<Parameter | undefined> {
    const input = { Name: `${name}${selector}`, WithDecryption: true };
    try {
      return ((await api.call("GetParameter", input, signal)) as { readonly Parameter?: Parameter })
        .Parameter;
    } catch (error) {
      if (error instanceof AwsServiceError && error.name === "ParameterNotFound") return undefined;
      throw error;
    }
  }

  async function put(input: object, signal: AbortSignal): Promise<number> {
    const output = await api.call("PutParameter", { Name: name, ...input }, signal);
    return (output as { readonly Version: number }).Version;
  }

  return {
    read: async (signal) => (await get("", signal))?.Value,
    async write(value, last, signal) {
      const before = await get("", signal);
      // An earlier attempt was carried out, and its answer was lost.
      if (before?.Value === value) return;
      if (before?.Value !== last) throw new RolloutError("CONFLICT");
      try {
        const isNew = before === undefined;
        const version = await put(
          { Value: value, Overwrite: !isNew, ...(isNew && { Type: "String" }) },
          signal,
        );
        if (isNew || version === (before.Version ?? 0) + 1) return;
        const other = (await get(`:${version - 1}`, signal))?.Value;
        if (other !== undefined) await put({ Value: other, Overwrite: true }, signal);
      } catch (error) {
        if ((error as Error).name !== "ParameterAlreadyExists") throw error;
      }
      throw new RolloutError("CONFLICT");
    },
  };
}
