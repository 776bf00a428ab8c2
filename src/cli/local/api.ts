import { type LambdaAuthorizer, type LambdaHandler, MAX_INTEGRATION_TIMEOUT_MS } from "../../apigw/index.ts";
import type { GatewayOptions } from "../../gateway/index.ts";
import type { ResolvedResource } from "../../lambda-emulator/index.ts";
import type { LoadedApp } from "../project/loaded-app.ts";
import type { RoutesFile } from "../project/routes-file.ts";
import { functionNameOf, type StackFunctions } from "./functions.ts";
import { mayInvoke } from "./permissions.ts";
import { numberOf, textOf } from "./properties.ts";
import type { Stack } from "./stack.ts";

/** Returns the routes and the authorizer of the stack's API, with the functions behind them. @throws {TemplateError} */
export function readApi(stack: Stack, functions: StackFunctions): LoadedApp {
  const { api, stage, template } = stack;
  const integrations = new Map(stack.ofApi("Integration").map((each) => [each.ref, each]));
  const { region, accountId, partition } = template.stack;
  const sourceArn = (path: string) =>
    `arn:${partition}:execute-api:${region}:${accountId}:${api.ref}/${path}`;
  const handlers = new Map<string, LambdaHandler>();
  for (const route of stack.ofApi("Route")) {
    const key = textOf(route.properties, "RouteKey") ?? "";
    const target = textOf(route.properties, "Target")?.replace(/^integrations\//, "");
    const integration = integrations.get(target ?? "");
    const type = integration && textOf(integration.properties, "IntegrationType");
    if (integration === undefined || type !== "AWS_PROXY") {
      stack.skip(route.logicalId, `an integration of the type ${type ?? "none"}`);
      handlers.set(key, failing(`The route ${key} has an integration that lift-ws local does not run`));
      continue;
    }
    const uri = textOf(integration.properties, "IntegrationUri") ?? "";
    handlers.set(key, handlerOf(uri, sourceArn(`${stage.ref}/${key}`)));
  }
  if (handlers.size === 0) throw stack.error("TEMPLATE_INVALID", "The WebSocket API has no routes", api);
  const authorizer = readAuthorizer();
  const routeSelectionExpression = textOf(api.properties, "RouteSelectionExpression");
  const file: RoutesFile = {
    routes: new Map(),
    apiId: api.ref,
    ...(routeSelectionExpression !== undefined && { routeSelectionExpression }),
    routeResponses: routesWithResponse(stack),
    ...(authorizer && { identitySources: authorizer.identitySources }),
    stageVariables: readVariables(stage),
  };
  return { kind: "routes", file, handlers, authorizer: authorizer?.handler };

  function handlerOf(uri: string, source: string): LambdaHandler {
    const name = functionNameOf(uri);
    if (!mayInvoke(stack, name, "apigateway.amazonaws.com", source)) {
      return failing(
        `API Gateway may not invoke ${name} for ${source}: the template has no AWS::Lambda::Permission for it`,
      );
    }
    return functions.find(name) === undefined
      ? failing(`The function ${name} does not run on this machine`)
      : (event) => functions.invoke(name, event);
  }

  function readAuthorizer() {
    const connect = stack.ofApi("Route").find(({ properties }) => properties.RouteKey === "$connect");
    const id = connect && textOf(connect.properties, "AuthorizerId");
    const found = stack.ofApi("Authorizer").find(({ ref }) => ref === id);
    if (connect !== undefined && textOf(connect.properties, "AuthorizationType") === "AWS_IAM") {
      stack.skip(connect.logicalId, "authorization by AWS_IAM; anyone may connect here");
    }
    if (found === undefined) return undefined;
    const uri = textOf(found.properties, "AuthorizerUri") ?? "";
    return {
      handler: handlerOf(uri, sourceArn(`authorizers/${found.ref}`)) as unknown as LambdaAuthorizer,
      identitySources: ([found.properties.IdentitySource ?? []].flat() as unknown[]).map(String),
    };
  }
}

/**
 * Returns the integrations' time limit. The gateway has one for all routes, so that is the longest; shorter ones are listed as
 * not run.
 */
export function readLimits(stack: Stack): GatewayOptions["limits"] & object {
  const limits = stack.ofApi("Integration").map((each) => ({
    each,
    ms: numberOf(each.properties, "TimeoutInMillis") ?? MAX_INTEGRATION_TIMEOUT_MS,
  }));
  const integrationTimeoutMs = Math.max(...limits.map(({ ms }) => ms));
  for (const { each, ms } of limits) {
    if (ms < integrationTimeoutMs)
      stack.skip(each.logicalId, `a time limit of ${ms} ms, here ${integrationTimeoutMs}`);
  }
  return { integrationTimeoutMs };
}

function routesWithResponse(stack: Stack): string[] {
  const routes = new Map(
    stack.ofApi("Route").map(({ ref, properties }) => [ref, textOf(properties, "RouteKey") ?? ""]),
  );
  return stack
    .ofApi("RouteResponse")
    .map(({ properties }) => routes.get(textOf(properties, "RouteId") ?? ""))
    .filter((key) => key !== undefined);
}

function readVariables({ properties }: ResolvedResource): { [name: string]: string } {
  const variables = Object.entries(properties.StageVariables ?? {});
  return Object.fromEntries(variables.map(([name, value]) => [name, String(value)]));
}

function failing(message: string): LambdaHandler {
  return () => Promise.reject(new Error(message));
}
