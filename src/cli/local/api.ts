import {
  type LambdaAuthorizer,
  type LambdaHandler,
  MAX_INTEGRATION_TIMEOUT_MS,
  MAX_ROUTES,
} from "../../apigw/index.ts";
import { createGateway, GatewayError, type GatewayOptions } from "../../gateway/index.ts";
import { isMap, type ResolvedResource } from "../../lambda-emulator/index.ts";
import type { LoadedApp } from "../project/loaded-app.ts";
import type { RoutesFile } from "../project/routes-file.ts";
import { findAuthorizer } from "./authorizer.ts";
import { functionNameOf, type StackFunctions } from "./functions.ts";
import { mayInvoke } from "./permissions.ts";
import { readInteger, show, textOf } from "./properties.ts";
import type { Stack } from "./stack.ts";

/** API Gateway's minimum. */
const LEAST_INTEGRATION_TIMEOUT_MS = 50;

/** Returns the routes and the authorizer of the stack's API, with the functions behind them. @throws {TemplateError} */
export function readApi(stack: Stack, functions: StackFunctions): LoadedApp {
  const { api, stage, template } = stack;
  const { region, accountId, partition } = template.stack;
  const sourceArn = (path: string) =>
    `arn:${partition}:execute-api:${region}:${accountId}:${api.ref}/${path}`;
  const handlers = new Map<string, LambdaHandler>();
  for (const route of stack.ofApi("Route")) {
    const key = routeKeyOf(stack, route);
    if (handlers.has(key)) {
      throw stack.error("TEMPLATE_INVALID", `Another route has the \`RouteKey\` ${show(key)} too`, route);
    }
    const integration = integrationOf(stack, route);
    const type = textOf(integration.properties, "IntegrationType");
    if (type !== "AWS_PROXY") {
      stack.skip(route.logicalId, `an integration of the type ${type ?? "none"}`);
      handlers.set(key, failing(`The route ${key} has an integration that lift-ws local does not run`));
      continue;
    }
    const uri = textOf(integration.properties, "IntegrationUri") ?? "";
    handlers.set(key, handlerOf(uri, sourceArn(`${stage.ref}/${key}`)));
  }
  if (handlers.size === 0) throw stack.error("TEMPLATE_INVALID", "The WebSocket API has no routes", api);
  if (handlers.size > MAX_ROUTES) {
    throw stack.error(
      "TEMPLATE_INVALID",
      `The API has ${handlers.size} routes; the quota is ${MAX_ROUTES}`,
      api,
    );
  }
  const authorizer = readAuthorizer();
  const routeSelectionExpression = readRouteSelection(stack);
  const file: RoutesFile = {
    routes: new Map(),
    apiId: api.ref,
    ...(routeSelectionExpression !== undefined && { routeSelectionExpression }),
    routeResponses: routesWithResponse(stack),
    ...(authorizer && { identitySources: authorizer.identitySources }),
    stageVariables: readVariables(stack),
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
    const found = findAuthorizer(stack);
    if (found === undefined) return undefined;
    const { by, identitySources } = found;
    if (typeof by === "function") return { handler: by, identitySources };
    const uri = textOf(by.properties, "AuthorizerUri") ?? "";
    const handler = handlerOf(uri, sourceArn(`authorizers/${by.ref}`)) as unknown as LambdaAuthorizer;
    return { handler, identitySources };
  }
}

function routeKeyOf(stack: Stack, route: ResolvedResource): string {
  const key = textOf(route.properties, "RouteKey");
  if (key) return key;
  const message = `\`RouteKey\` must be a text; got ${show(route.properties.RouteKey)}`;
  throw stack.error("TEMPLATE_INVALID", message, route);
}

/** @throws {TemplateError} for a route that API Gateway could not call */
function integrationOf(stack: Stack, route: ResolvedResource): ResolvedResource {
  const { Target: target } = route.properties;
  const found = stack.ofApi("Integration").find(({ ref }) => target === `integrations/${ref}`);
  if (found !== undefined) return found;
  const message = `\`Target\` must be integrations/<the Ref of an integration of the API>; got ${show(target)}`;
  throw stack.error("TEMPLATE_INVALID", message, route);
}

function readRouteSelection(stack: Stack): string | undefined {
  const { RouteSelectionExpression: expression } = stack.api.properties;
  if (expression === undefined) return undefined;
  if (typeof expression !== "string") {
    const message = `\`RouteSelectionExpression\` must be a text; got ${show(expression)}`;
    throw stack.error("TEMPLATE_INVALID", message, stack.api);
  }
  try {
    // Only the gateway knows its paths.
    createGateway({ handler: () => Promise.resolve({}), routeSelectionExpression: expression });
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    // The message names the expression, and the option of the gateway.
    throw stack.error("TEMPLATE_INVALID", error.message.replace("`routeS", "`RouteS"), stack.api);
  }
  return expression;
}

/**
 * Returns the integrations' time limit. The gateway has one for all routes, so that is the longest; shorter ones are listed as
 * not run.
 */
export function readLimits(stack: Stack): GatewayOptions["limits"] & object {
  const limits = stack.ofApi("Integration").map((each) => ({
    each,
    ms:
      readInteger(stack, each, "TimeoutInMillis", [
        LEAST_INTEGRATION_TIMEOUT_MS,
        MAX_INTEGRATION_TIMEOUT_MS,
      ]) ?? MAX_INTEGRATION_TIMEOUT_MS,
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

function readVariables(stack: Stack): { [name: string]: string } {
  const { stage } = stack;
  const { StageVariables: variables = {} } = stage.properties;
  if (!isMap(variables)) throw stack.error("TEMPLATE_INVALID", "`StageVariables` must be a map", stage);
  for (const [name, value] of Object.entries(variables)) {
    if (typeof value !== "object") continue;
    throw stack.error(
      "TEMPLATE_INVALID",
      `The stage variable \`${name}\` must be a text; got ${show(value)}`,
      stage,
    );
  }
  return Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, String(value)]));
}

function failing(message: string): LambdaHandler {
  return () => Promise.reject(new Error(message));
}
