import type { LambdaAuthorizer } from "../../apigw/index.ts";
import type { ResolvedResource } from "../../lambda-emulator/index.ts";
import { show, textOf } from "./properties.ts";
import type { Stack } from "./stack.ts";

/** An authorizer of the API, and the values that a request needs before it is called. */
export interface StackAuthorizer {
  /** The AWS::ApiGatewayV2::Authorizer, or the handler in place of one. */
  readonly by: ResolvedResource | LambdaAuthorizer;
  readonly identitySources: readonly string[];
}

const IDENTITY_SOURCE =
  /^\$?(?:route\.request\.header|route\.request\.querystring|context|stageVariables)\..+$/;

/**
 * Finds what decides who may connect. A route that names none that exists is refused, because everyone could connect.
 * @returns `undefined` if everyone may
 * @throws {TemplateError} TEMPLATE_INVALID for what API Gateway refuses
 */
export function findAuthorizer(stack: Stack): StackAuthorizer | undefined {
  let found: StackAuthorizer | undefined;
  for (const route of stack.ofApi("Route")) {
    const { AuthorizationType: type = "NONE", AuthorizerId: id, RouteKey: key } = route.properties;
    const fail = (message: string) => stack.error("TEMPLATE_INVALID", message, route);
    if (type !== "NONE" && type !== "CUSTOM" && type !== "AWS_IAM") {
      throw fail(
        `\`AuthorizationType\` of a WebSocket API must be NONE, CUSTOM or AWS_IAM; got ${show(type)}`,
      );
    }
    if (type !== "NONE" && key !== "$connect") {
      throw fail(`\`AuthorizationType\` ${type} is for $connect only; the route is ${show(key)}`);
    }
    if (type === "CUSTOM") found = readAuthorizer(stack, route);
    else if (id !== undefined) {
      stack.skip(route.logicalId, `an authorizer of a route with the AuthorizationType ${type}`);
    }
    if (type === "AWS_IAM") {
      stack.skip(route.logicalId, "authorization by AWS_IAM; no one may connect here");
      found = { by: deny, identitySources: [] };
    }
  }
  return found;
}

function readAuthorizer(stack: Stack, route: ResolvedResource): StackAuthorizer {
  const { AuthorizerId: id } = route.properties;
  const by = stack.ofApi("Authorizer").find(({ ref }) => ref === id);
  if (by === undefined) {
    const message = `The route $connect with the AuthorizationType CUSTOM needs the \`AuthorizerId\` of an authorizer of its API; got ${show(id)}`;
    throw stack.error("TEMPLATE_INVALID", message, route);
  }
  const type = textOf(by.properties, "AuthorizerType");
  if (type !== "REQUEST") {
    const message = `\`AuthorizerType\` of a WebSocket API must be REQUEST; got ${show(by.properties.AuthorizerType)}`;
    throw stack.error("TEMPLATE_INVALID", message, by);
  }
  const sources = [by.properties.IdentitySource ?? []].flat() as unknown[];
  const wrong = sources.find((each) => typeof each !== "string" || !IDENTITY_SOURCE.test(each));
  if (wrong !== undefined) {
    const message = `\`IdentitySource\` must be route.request.header.Name, route.request.querystring.name, context.name or stageVariables.name; got ${show(wrong as string)}`;
    throw stack.error("TEMPLATE_INVALID", message, by);
  }
  return { by, identitySources: sources as string[] };
}

/** Denies: nobody checks the signatures of IAM here. */
const deny: LambdaAuthorizer = async ({ methodArn }) => ({
  principalId: "nobody",
  policyDocument: {
    Version: "2012-10-17",
    Statement: [{ Effect: "Deny", Action: "execute-api:Invoke", Resource: methodArn }],
  },
});
