import { matchesWildcards } from "../../lambda-emulator/index.ts";
import { functionNameOf } from "./functions.ts";
import { textOf } from "./properties.ts";
import type { Stack } from "./stack.ts";

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

/**
 * Returns the actions that not everyone may do with a function, of those that a call of its URL needs.
 * @see https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html
 */
export function missingForUrl(stack: Stack, functionName: string): string[] {
  const granted = new Set(
    stack
      .ofType("AWS::Lambda::Permission")
      .filter(
        ({ properties }) =>
          functionNameOf(textOf(properties, "FunctionName") ?? "") === functionName &&
          textOf(properties, "Principal") === "*" &&
          ["NONE", undefined].includes(textOf(properties, "FunctionUrlAuthType")),
      )
      .map(({ properties }) => textOf(properties, "Action")),
  );
  if (granted.has("lambda:*")) return [];
  return ["lambda:InvokeFunctionUrl", "lambda:InvokeFunction"].filter((action) => !granted.has(action));
}
