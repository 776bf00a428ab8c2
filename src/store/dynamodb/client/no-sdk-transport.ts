import { AwsJsonApi, AwsServiceError } from "../../../aws/index.ts";
import type { CallOptions, NoSdkOptions } from "../options.ts";
import type { Transport } from "./transport.ts";

/**
 * Calls DynamoDB with signed requests over Node's HTTP. Input and output are the SDK's types as JSON. The stores use
 * only strings, numbers, maps and lists; binary values would need an encoding.
 */
export function createNoSdkTransport(target: Pick<CallOptions, "region"> & NoSdkOptions): Transport {
  const api = new AwsJsonApi("dynamodb", target);
  return async (operation, input, signal) => {
    try {
      // The service's response has the type of the operation's output.
      return (await api.call(operation, input, signal)) as never;
    } catch (error) {
      throw error instanceof AwsServiceError ? withFailureReasons(error) : error;
    }
  };
}

/** Copies the reasons of a failed condition or transaction to where the SDK's errors have them. */
function withFailureReasons(error: AwsServiceError): AwsServiceError {
  for (const name of ["Item", "CancellationReasons"]) {
    const value = error.getField(name);
    if (value !== undefined) Object.assign(error, { [name]: value });
  }
  return error;
}
