const LOGS = { logs: "CreateLogGroup CreateLogStream PutLogEvents" };
const TRACES = {
  xray: "GetSamplingRules GetSamplingStatisticSummaries GetSamplingTargets PutTelemetryRecords PutTraceSegments",
};

/** The services' actions that AmazonDynamoDBFullAccess and AmazonDynamoDBReadOnlyAccess both allow. */
const DYNAMODB_READ = {
  "application-autoscaling": "DescribeScalableTargets DescribeScalingActivities DescribeScalingPolicies",
  cloudwatch:
    "DescribeAlarmHistory DescribeAlarms DescribeAlarmsForMetric GetMetricData GetMetricStatistics ListMetrics",
  datapipeline: "DescribeObjects DescribePipelines GetPipelineDefinition ListPipelines QueryObjects",
  ec2: "DescribeSecurityGroups DescribeSubnets DescribeVpcs",
  iam: "GetRole ListRoles",
  kinesis: "DescribeStream DescribeStreamSummary ListStreams",
  kms: "DescribeKey ListAliases",
  lambda: "GetFunctionConfiguration ListEventSourceMappings ListFunctions",
  "resource-groups": "GetGroup GetGroupQuery ListGroupResources ListGroups",
  sns: "ListSubscriptionsByTopic ListTopics",
  tag: "GetResources",
};
const DYNAMODB_INSIGHTS = allow(
  { cloudwatch: "GetInsightRuleReport" },
  "arn:aws:cloudwatch:*:*:insight-rule/DynamoDBContributorInsights*",
);

/**
 * Documents of AWS's managed policies, by the path in their ARN, in the versions of March 2026.
 * https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html
 */
export const MANAGED_POLICIES: ReadonlyMap<string, object> = new Map([
  [
    "AWSLambdaExecute",
    document(
      allow({ logs: "*" }, "arn:aws:logs:*:*:*"),
      allow({ s3: "GetObject PutObject" }, "arn:aws:s3:::*"),
    ),
  ],
  ["AWSXRayDaemonWriteAccess", document(allow(TRACES))],
  ["AWSXrayWriteOnlyAccess", document(allow(TRACES))],
  [
    "AmazonAPIGatewayInvokeFullAccess",
    document(allow({ "execute-api": "Invoke ManageConnections" }, "arn:aws:execute-api:*:*:*")),
  ],
  [
    "AmazonDynamoDBFullAccess",
    document(
      allow(DYNAMODB_READ),
      allow({
        "application-autoscaling":
          "DeleteScalingPolicy DeregisterScalableTarget PutScalingPolicy RegisterScalableTarget",
        cloudwatch: "DeleteAlarms PutMetricAlarm",
        datapipeline: "ActivatePipeline CreatePipeline DeletePipeline PutPipelineDefinition",
        dax: "*",
        dynamodb: "*",
        lambda: "CreateEventSourceMapping CreateFunction DeleteEventSourceMapping DeleteFunction",
        "resource-groups": "CreateGroup DeleteGroup",
        sns: "CreateTopic DeleteTopic ListSubscriptions SetTopicAttributes Subscribe Unsubscribe",
      }),
      DYNAMODB_INSIGHTS,
      {
        ...allow({ iam: "PassRole" }),
        Condition: {
          StringLike: {
            "iam:PassedToService": [
              "application-autoscaling.amazonaws.com",
              "application-autoscaling.amazonaws.com.cn",
              "dax.amazonaws.com",
            ],
          },
        },
      },
      {
        ...allow({ iam: "CreateServiceLinkedRole" }),
        Condition: {
          StringEquals: {
            "iam:AWSServiceName": [
              "contributorinsights.dynamodb.amazonaws.com",
              "dax.amazonaws.com",
              "dynamodb.application-autoscaling.amazonaws.com",
              "kinesisreplication.dynamodb.amazonaws.com",
              "replication.dynamodb.amazonaws.com",
            ],
          },
        },
      },
    ),
  ],
  [
    "AmazonDynamoDBReadOnlyAccess",
    document(
      allow(DYNAMODB_READ),
      allow({
        dax: "BatchGetItem Describe* GetItem List* Query Scan",
        dynamodb:
          "BatchGetItem Describe* GetAbacStatus GetItem GetResourcePolicy List* PartiQLSelect Query Scan",
      }),
      DYNAMODB_INSIGHTS,
    ),
  ],
  ["AmazonS3FullAccess", document(allow({ s3: "*", "s3-object-lambda": "*" }))],
  [
    "AmazonS3ReadOnlyAccess",
    document(allow({ s3: "Describe* Get* List*", "s3-object-lambda": "Get* List*" })),
  ],
  [
    "CloudWatchLambdaInsightsExecutionRolePolicy",
    document(
      allow({ logs: "CreateLogGroup" }),
      allow({ logs: "CreateLogStream PutLogEvents" }, "arn:aws:logs:*:*:log-group:/aws/lambda-insights:*"),
    ),
  ],
  ["service-role/AWSLambdaBasicExecutionRole", document(allow(LOGS))],
  [
    "service-role/AWSLambdaDynamoDBExecutionRole",
    document(allow({ ...LOGS, dynamodb: "DescribeStream GetRecords GetShardIterator ListStreams" })),
  ],
  ["service-role/AWSLambdaRole", document(allow({ lambda: "InvokeFunction" }))],
  [
    "service-role/AWSLambdaSQSQueueExecutionRole",
    document(allow({ ...LOGS, sqs: "DeleteMessage GetQueueAttributes ReceiveMessage" })),
  ],
  [
    "service-role/AWSLambdaVPCAccessExecutionRole",
    document(
      allow({
        ...LOGS,
        ec2: "AssignPrivateIpAddresses CreateNetworkInterface DeleteNetworkInterface DescribeNetworkInterfaces DescribeSubnets UnassignPrivateIpAddresses",
      }),
    ),
  ],
  [
    "service-role/AmazonAPIGatewayPushToCloudWatchLogs",
    document(
      allow({
        logs: "CreateLogGroup CreateLogStream DescribeLogGroups DescribeLogStreams FilterLogEvents GetLogEvents PutLogEvents",
      }),
    ),
  ],
]);

function document(...statements: readonly object[]): object {
  return { Version: "2012-10-17", Statement: statements };
}

/** @param actions the names of actions of each service, separated by spaces */
function allow(actions: { readonly [service: string]: string }, resource = "*"): object {
  const names = Object.entries(actions).flatMap(([service, text]) =>
    text.split(" ").map((action) => `${service}:${action}`),
  );
  return { Effect: "Allow", Action: names, Resource: resource };
}
