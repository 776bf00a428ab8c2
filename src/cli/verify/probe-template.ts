/** The route whose result is sent back, one whose result is not, and one that takes a message per second. */
export const ROUTES = { reply: "reply", quiet: "quiet", throttled: "throttled" } as const;

/** The integrations' time limit, in ms: longer than a cold start, and short enough to wait for. */
export const TIMEOUT_MS = 5_000;

const STAGE = "probe";

/**
 * The function behind all routes, and the authorizer: it does what the query or the message asks for. It sends each event to
 * the connection `watcher`, which the authorizer's context carries to all events. CloudFormation takes at most 4,096 characters.
 */
export const CODE = `const aws = require("@aws-sdk/client-apigatewaymanagementapi");
const read = (text) => { try { return JSON.parse(text) ?? {}; } catch { return {}; } };
exports.handler = async (event) => {
  const { requestContext: context, queryStringParameters: query, body } = event;
  const asked = read(body ?? query?.p ?? "{}");
  const kind = event.type === "REQUEST" ? "authorizer" : context.eventType === "CONNECT" ? "connect" : "message";
  const step = kind === "message" ? asked : asked[kind] ?? {};
  const watcher = asked.watcher || context.authorizer?.watcher;
  const api = new aws.ApiGatewayManagementApiClient({ endpoint: "https://" + context.domainName + "/" + context.stage });
  const post = (id, data) => api.send(new aws.PostToConnectionCommand({ ConnectionId: id, Data: data }));
  if (watcher) await post(watcher, JSON.stringify({ kind, event })).catch(console.error);
  if (step.post) await post(step.to, Buffer.alloc(step.bytes, step.post, "base64"));
  if (step.delete) await api.send(new aws.DeleteConnectionCommand({ ConnectionId: step.delete }));
  if (step.sleep) await new Promise((resolve) => setTimeout(resolve, step.sleep));
  if (step.error) throw new Error(step.error);
  if (step.result !== undefined) return step.result;
  if (kind !== "authorizer") return { statusCode: 200, body: JSON.stringify({ id: context.connectionId }) };
  const statement = { Effect: step.effect ?? "Allow", Action: "execute-api:Invoke", Resource: event.methodArn };
  const policy = {
    principalId: "probe",
    policyDocument: { Version: "2012-10-17", Statement: [statement] },
    context: { watcher: watcher ?? "", ...step.context, ...(step.fill && { fill: "x".repeat(step.fill) }) },
  };
  delete policy[step.without];
  return policy;
};
`;

const ref = (name: string) => ({ Ref: name });
const sub = (text: string) => ({ "Fn::Sub": text });
const ofApi = (type: string, properties: object, more: object = {}) => ({
  Type: `AWS::ApiGatewayV2::${type}`,
  Properties: { ApiId: ref("Api"), ...properties },
  ...more,
});
const target = sub("integrations/${Integration}");
const uri = sub(
  "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Function.Arn}/invocations",
);

/** The API that the questions are asked of, as CloudFormation deploys it and `lift-ws local` runs it. */
export const PROBE_TEMPLATE = {
  Description:
    "An API that npx lift-ws verify asks, and removes. Delete it if it is still here an hour later.",
  Resources: {
    // Its own group, so that nothing stays when the stack is deleted.
    Log: { Type: "AWS::Logs::LogGroup", Properties: { RetentionInDays: 1 } },
    Role: {
      Type: "AWS::IAM::Role",
      Properties: {
        AssumeRolePolicyDocument: {
          Version: "2012-10-17",
          Statement: [
            { Effect: "Allow", Principal: { Service: "lambda.amazonaws.com" }, Action: "sts:AssumeRole" },
          ],
        },
        Policies: [
          {
            PolicyName: "Probe",
            PolicyDocument: {
              Version: "2012-10-17",
              Statement: [
                {
                  Effect: "Allow",
                  Action: ["logs:CreateLogStream", "logs:PutLogEvents"],
                  Resource: { "Fn::GetAtt": ["Log", "Arn"] },
                },
                {
                  Effect: "Allow",
                  Action: "execute-api:ManageConnections",
                  Resource: sub(
                    `arn:\${AWS::Partition}:execute-api:\${AWS::Region}:\${AWS::AccountId}:\${Api}/${STAGE}/*/@connections/*`,
                  ),
                },
              ],
            },
          },
        ],
      },
    },
    Function: {
      Type: "AWS::Lambda::Function",
      Properties: {
        Runtime: "nodejs22.x",
        Handler: "index.handler",
        Code: { ZipFile: CODE },
        Role: { "Fn::GetAtt": ["Role", "Arn"] },
        // Longer than API Gateway waits for an authorizer.
        Timeout: 45,
        MemorySize: 512,
        LoggingConfig: { LogGroup: ref("Log") },
      },
    },
    Api: {
      Type: "AWS::ApiGatewayV2::Api",
      Properties: {
        Name: ref("AWS::StackName"),
        ProtocolType: "WEBSOCKET",
        RouteSelectionExpression: "$request.body.action",
      },
    },
    Permission: {
      Type: "AWS::Lambda::Permission",
      Properties: {
        Action: "lambda:InvokeFunction",
        FunctionName: ref("Function"),
        Principal: "apigateway.amazonaws.com",
        SourceArn: sub("arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*"),
      },
    },
    Integration: ofApi("Integration", {
      IntegrationType: "AWS_PROXY",
      IntegrationUri: uri,
      TimeoutInMillis: TIMEOUT_MS,
    }),
    Authorizer: ofApi("Authorizer", {
      Name: "probe",
      AuthorizerType: "REQUEST",
      AuthorizerUri: uri,
      IdentitySource: ["route.request.querystring.p"],
    }),
    Connect: ofApi("Route", {
      RouteKey: "$connect",
      Target: target,
      AuthorizationType: "CUSTOM",
      AuthorizerId: ref("Authorizer"),
    }),
    Disconnect: ofApi("Route", { RouteKey: "$disconnect", Target: target }),
    Reply: ofApi("Route", {
      RouteKey: ROUTES.reply,
      Target: target,
      RouteResponseSelectionExpression: "$default",
    }),
    ReplyResponse: ofApi("RouteResponse", { RouteId: ref("Reply"), RouteResponseKey: "$default" }),
    Quiet: ofApi("Route", { RouteKey: ROUTES.quiet, Target: target }),
    Throttled: ofApi("Route", { RouteKey: ROUTES.throttled, Target: target }),
    Stage: ofApi(
      "Stage",
      {
        StageName: STAGE,
        AutoDeploy: true,
        RouteSettings: { [ROUTES.throttled]: { ThrottlingRateLimit: 1, ThrottlingBurstLimit: 1 } },
      },
      // A stage's settings must name routes that exist.
      { DependsOn: ["Connect", "Disconnect", "Reply", "ReplyResponse", "Quiet", "Throttled"] },
    ),
  },
  Outputs: { Url: { Value: sub(`wss://\${Api}.execute-api.\${AWS::Region}.\${AWS::URLSuffix}/${STAGE}`) } },
};
