import { resolve } from "node:path";
import { RemovalPolicy, Stack } from "aws-cdk-lib";
import { AccessLogFormat } from "aws-cdk-lib/aws-apigateway";
import * as apigw from "aws-cdk-lib/aws-apigatewayv2";
import { WebSocketLambdaAuthorizer } from "aws-cdk-lib/aws-apigatewayv2-authorizers";
import { WebSocketLambdaIntegration } from "aws-cdk-lib/aws-apigatewayv2-integrations";
import type { ICertificate } from "aws-cdk-lib/aws-certificatemanager";
import * as iam from "aws-cdk-lib/aws-iam";
import type * as lambda from "aws-cdk-lib/aws-lambda";
import * as logs from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import { acknowledge, acknowledgeWildcard } from "./acknowledge.ts";
import { type FunctionSettings, LiftFunction } from "./lift-function.ts";

/** A Lambda authorizer of `$connect`. */
export interface AuthorizerProps {
  /** The function that API Gateway asks. */
  readonly function: lambda.IFunction;
  /** Values that a connect must have. Default `["route.request.querystring.token"]`. */
  readonly identitySource?: readonly string[];
}

/** A domain of your own. Create its DNS record from `api.domain`. */
export interface DomainProps {
  /** Such as `ws.example.com`. */
  readonly domainName: string;
  /** A certificate of the same region. */
  readonly certificate: ICertificate;
}

/** The part of the settings that every WebSocket API has. All are optional. */
export interface ApiSettings {
  /** Default `prod`. */
  readonly stageName?: string;
  /** Default `$request.body.action`. */
  readonly routeSelectionExpression?: string;
  /** Routes whose result is sent to the client, as Lift's `respond` routes need. `$default` is one of the names. Default none. */
  readonly routeResponses?: readonly string[];
  /** Default none: the application authenticates in `$connect`. */
  readonly authorizer?: AuthorizerProps;
  /** Messages and connects per second, and how many of them at once. Default: the account's limits. */
  readonly throttle?: { readonly rateLimit: number; readonly burstLimit: number };
  /** A domain of your own. Default: the name of API Gateway. */
  readonly domain?: DomainProps;
  /** Default one month. `false` for no access log. */
  readonly accessLogRetention?: logs.RetentionDays | false;
}

/** Settings of a {@link LiftWebSocketApi}. Give `entry` or `routes`. */
export interface LiftWebSocketApiProps extends ApiSettings, FunctionSettings {
  /** A module that exports `handler`, such as `app.webSocketHandler()`, for all routes. Relative to the working directory. */
  readonly entry?: string;
  /** A function for each route key. `$default` gets all messages that have no route of their own. */
  readonly routes?: { readonly [routeKey: string]: lambda.IFunction };
}

/** Lift and the AWS SDK send to connections at this endpoint. */
const ENDPOINT_VARIABLE = "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI";

/** The access log's fields. A query may have a token, so there is no field with the path, the query or a header. */
const ACCESS_LOG = {
  requestId: "$context.requestId",
  connectionId: "$context.connectionId",
  eventType: "$context.eventType",
  routeKey: "$context.routeKey",
  status: "$context.status",
  integrationLatency: "$context.integrationLatency",
  ip: "$context.identity.sourceIp",
  requestTime: "$context.requestTime",
  error: "$context.error.message",
  integrationError: "$context.integrationErrorMessage",
  authorizerError: "$context.authorizer.error",
};

/**
 * A WebSocket API with a deployed stage, for a Lift app or for any functions.
 * @throws Error when neither `entry` nor `routes` is given, or both
 * @example
 * new LiftWebSocketApi(this, "Chat", { entry: "src/handler.ts" });
 */
export class LiftWebSocketApi extends Construct {
  /** The API. */
  readonly api: apigw.WebSocketApi;
  /** Its only stage. */
  readonly stage: apigw.WebSocketStage;
  /** The function made from `entry`. */
  readonly handler: LiftFunction | undefined;
  /** The domain, if the settings have one. */
  readonly domain: apigw.DomainName | undefined;

  constructor(scope: Construct, id: string, props: LiftWebSocketApiProps) {
    super(scope, id);
    const { entry, routes, stageName = "prod" } = props;
    if ((entry === undefined) === (routes === undefined)) throw new Error("Give either `entry` or `routes`");
    this.handler =
      entry === undefined
        ? undefined
        : new LiftFunction(this, "Handler", { ...props, code: reexport(entry) });
    this.api = new apigw.WebSocketApi(this, "Api", {
      routeSelectionExpression: props.routeSelectionExpression ?? "$request.body.action",
    });
    this.stage = new apigw.WebSocketStage(this, "Stage", {
      webSocketApi: this.api,
      stageName,
      autoDeploy: true,
      detailedMetricsEnabled: true,
      ...(props.throttle && { throttle: props.throttle }),
      ...(props.accessLogRetention !== false && { accessLogSettings: this.#createAccessLog(props) }),
    });
    this.#addRoutes(routes ?? allTo(this.handler!.target), props);
    if (props.authorizer === undefined) {
      acknowledge(
        this.api,
        "AwsSolutions-APIG4",
        "The application authenticates each connection in `$connect`.",
      );
    }
    this.domain = props.domain && new apigw.DomainName(this, "Domain", { ...props.domain });
    if (this.domain !== undefined) {
      new apigw.ApiMapping(this, "Mapping", { api: this.api, stage: this.stage, domainName: this.domain });
    }
    if (this.handler !== undefined) this.grantConnections(this.handler);
  }

  /** The URL that clients connect to. */
  get url(): string {
    return this.domain === undefined ? this.stage.url : `wss://${this.domain.name}`;
  }

  /** Lets functions send to connections, read and close them. With a domain of your own too, they call the API by its own name. */
  grantConnections(...functions: readonly LiftFunction[]): void {
    for (const each of functions) {
      this.#connectionsPolicy.attachToRole(each.role);
      each.function.addEnvironment(ENDPOINT_VARIABLE, this.stage.callbackUrl);
    }
  }

  get #connectionsPolicy(): iam.Policy {
    const id = "ManageConnections";
    const existing = this.node.tryFindChild(id);
    if (existing !== undefined) return existing as iam.Policy;
    const connections = Stack.of(this).formatArn({
      service: "execute-api",
      resource: this.api.apiId,
      resourceName: `${this.stage.stageName}/*/@connections/*`,
    });
    const statement = new iam.PolicyStatement({
      actions: ["execute-api:ManageConnections"],
      resources: [connections],
    });
    const policy = new iam.Policy(this, id, { statements: [statement] });
    acknowledgeWildcard(policy, connections, "A connection's id is not known before it connects.");
    return policy;
  }

  #createAccessLog({ accessLogRetention, removalPolicy = RemovalPolicy.RETAIN }: LiftWebSocketApiProps) {
    const retention = accessLogRetention || logs.RetentionDays.ONE_MONTH;
    const logGroup = new logs.LogGroup(this, "AccessLog", { retention, removalPolicy });
    return {
      destination: new apigw.LogGroupLogDestination(logGroup),
      format: AccessLogFormat.custom(JSON.stringify(ACCESS_LOG)),
    };
  }

  #addRoutes(routes: Required<LiftWebSocketApiProps>["routes"], props: ApiSettings): void {
    const { authorizer, routeResponses = [] } = props;
    const integrations = new Map<lambda.IFunction, WebSocketLambdaIntegration>();
    for (const [key, target] of Object.entries(routes)) {
      const integration =
        integrations.get(target) ?? new WebSocketLambdaIntegration(key.replace("$", ""), target);
      integrations.set(target, integration);
      this.api.addRoute(key, {
        integration,
        returnResponse: routeResponses.includes(key),
        ...(key === "$connect" && authorizer && { authorizer: toAuthorizer(authorizer) }),
      });
    }
  }
}

function toAuthorizer({ function: handler, identitySource }: AuthorizerProps): WebSocketLambdaAuthorizer {
  return new WebSocketLambdaAuthorizer("Authorizer", handler, {
    identitySource: [...(identitySource ?? ["route.request.querystring.token"])],
  });
}

function allTo(target: lambda.IFunction) {
  return { $connect: target, $disconnect: target, $default: target };
}

/** Returns the code of a function whose handler is in a module. */
function reexport(entry: string): string {
  return `export { handler } from ${JSON.stringify(resolve(entry))};`;
}
