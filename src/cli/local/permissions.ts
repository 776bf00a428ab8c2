import { matchesWildcards } from "../../lambda-emulator/index.ts";
import { functionNameOf } from "./functions.ts";
import { type Stack, textOf } from "./stack.ts";

/**
 * Returns whether a service may invoke a function: an AWS::Lambda::Permission allows it.
 * @param service such as `apigateway.amazonaws.com`
 * @param source the ARN of what invokes it
 */
export function mayInvoke(stack: Stack, functionName: string, service: string, source: string): boolean {
  return stack.ofType("AWS::Lambda::Permission").some(({ properties }) => {
    const allowed = textOf(properties, "SourceArn");
    return (
      functionNameOf(textOf(properties, "FunctionName") ?? "") === functionName &&
      textOf(properties, "Principal") === service &&
      ["lambda:InvokeFunction", "lambda:*"].includes(textOf(properties, "Action") ?? "") &&
      (allowed === undefined || matchesWildcards(allowed, source))
    );
  });
}

/** Returns whether everyone may invoke a function by its URL. */
export function mayInvokeByUrl(stack: Stack, functionName: string): boolean {
  return stack.ofType("AWS::Lambda::Permission").some(({ properties }) => {
    return (
      functionNameOf(textOf(properties, "FunctionName") ?? "") === functionName &&
      textOf(properties, "Principal") === "*" &&
      ["lambda:InvokeFunctionUrl", "lambda:*"].includes(textOf(properties, "Action") ?? "")
    );
  });
}
