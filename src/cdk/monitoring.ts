import { CfnOutput, Duration } from "aws-cdk-lib";
import * as cloudwatch from "aws-cdk-lib/aws-cloudwatch";
import { SnsAction } from "aws-cdk-lib/aws-cloudwatch-actions";
import * as sns from "aws-cdk-lib/aws-sns";
import { EmailSubscription } from "aws-cdk-lib/aws-sns-subscriptions";
import type * as sqs from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";
import type { LiftFunction } from "./lift-function.ts";
import type { LiftWebSocketApi } from "./web-socket-api.ts";

/** Settings of the alarms and the dashboard. All are optional. */
export interface MonitoringProps {
  /** Is sent an email by each alarm, once it has confirmed the subscription. */
  readonly email?: string;
  /** Actions of each alarm. Default: they publish to a topic of their own, whose ARN is an output. */
  readonly actions?: readonly cloudwatch.IAlarmAction[];
  /** The namespace of the application's `emfCollector`. With it, events that fail for the application raise an alarm too. */
  readonly metricsNamespace?: string;
}

/** The watched resources. */
interface Watched {
  readonly api: LiftWebSocketApi;
  readonly functions: { readonly [name: string]: LiftFunction };
  readonly deadLetters: sqs.Queue;
}

/** Functions whose events come from clients or from AWS without a limit of their own. */
const THROTTLED = ["connect", "router", "worker"];
const STREAM_READERS = ["fanout", "dispatch"];
/** Without failures, a record waits for the batch window and the grace period, together 5 s. */
const OLD_RECORD = Duration.minutes(1);
const PERIOD = Duration.minutes(5);

/** Alarms, whose descriptions name their pages in docs/runbooks, and a dashboard of their metrics. */
export class StreamerMonitoring extends Construct {
  /** The topic of the alarms, unless the settings have actions. */
  readonly topic: sns.Topic | undefined;
  /** The alarms. */
  readonly alarms: readonly cloudwatch.Alarm[];
  /** The dashboard. */
  readonly dashboard: cloudwatch.Dashboard;

  constructor(scope: Construct, id: string, watched: Watched, props: MonitoringProps = {}) {
    super(scope, id);
    this.topic = props.actions === undefined ? this.#createTopic(props.email) : undefined;
    const actions = props.actions ?? [new SnsAction(this.topic!)];
    const { api, functions, deadLetters } = watched;
    const all = Object.entries(functions);
    const only = (names: readonly string[]) => all.filter(([name]) => names.includes(name));
    const alarm = (kind: string, metric: cloudwatch.Metric, threshold: number, text: string, of = "") => {
      const created = metric.createAlarm(this, toId(of, kind), {
        threshold,
        comparisonOperator: cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        evaluationPeriods: 1,
        treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
        alarmDescription: `${text}. See docs/runbooks/${toFileName(kind)}.md of lift-ws`,
      });
      created.addAlarmAction(...actions);
      return created;
    };
    const perFunction = (
      among: typeof all,
      kind: string,
      metric: (each: LiftFunction) => cloudwatch.Metric,
      threshold: number,
      text: string,
    ) => among.map(([name, each]) => alarm(kind, metric(each), threshold, `${name}: ${text}`, name));
    this.alarms = [
      ...perFunction(
        all,
        "Errors",
        errors,
        1,
        "an event has failed: the function threw, ran out of time or of memory",
      ),
      ...perFunction(
        only(THROTTLED),
        "Throttles",
        throttles,
        1,
        "events were refused, because too many run at once",
      ),
      ...perFunction(
        only(STREAM_READERS),
        "Late",
        iteratorAge,
        OLD_RECORD.toMilliseconds(),
        "records of the table's stream wait for over a minute",
      ),
      alarm(
        "DeadLetters",
        waitingLetters(deadLetters),
        1,
        "A stream's record was given up, and is in the queue",
      ),
      alarm(
        "ApiErrors",
        // IntegrationError counts a result with 401 too, so that a client with an old token would raise the alarm.
        apiMetric(api, "ExecutionError"),
        1,
        "API Gateway got no valid result from a function",
      ),
      ...(props.metricsNamespace === undefined
        ? []
        : [
            alarm(
              "EventsFailed",
              liftMetric(api, props.metricsNamespace, "Failed"),
              1,
              "The application answered events with a 5xx",
            ),
          ]),
    ];
    this.dashboard = new cloudwatch.Dashboard(this, "Dashboard", {
      widgets: [
        [
          graph(
            "Messages and connects",
            ["MessageCount", "ConnectCount"].map((name) => apiMetric(api, name)),
          ),
          graph(
            "Failures at the API",
            ["ClientError", "IntegrationError", "ExecutionError"].map((name) => apiMetric(api, name)),
          ),
        ],
        [
          graph(
            "Function errors",
            all.map(([, each]) => errors(each)),
          ),
          graph(
            "Throttles",
            all.map(([, each]) => throttles(each)),
          ),
          graph(
            "Duration, p99",
            all.map(([, each]) => each.function.metricDuration({ statistic: "p99", period: PERIOD })),
          ),
        ],
        [
          graph(
            "Age of stream records",
            only(STREAM_READERS).map(([, each]) => iteratorAge(each)),
          ),
          graph("Dead letters", [waitingLetters(deadLetters)]),
        ],
      ],
    });
  }

  #createTopic(email: string | undefined): sns.Topic {
    const topic = new sns.Topic(this, "Alarms", { enforceSSL: true });
    if (email !== undefined) topic.addSubscription(new EmailSubscription(email));
    new CfnOutput(this, "AlarmTopic", { value: topic.topicArn });
    return topic;
  }
}

function errors(each: LiftFunction): cloudwatch.Metric {
  return each.function.metricErrors({ period: PERIOD, statistic: "Sum" });
}

function throttles(each: LiftFunction): cloudwatch.Metric {
  return each.function.metricThrottles({ period: PERIOD, statistic: "Sum" });
}

function iteratorAge(each: LiftFunction): cloudwatch.Metric {
  return each.function.metric("IteratorAge", { period: PERIOD, statistic: "Maximum" });
}

function waitingLetters(queue: sqs.Queue): cloudwatch.Metric {
  return queue.metricApproximateNumberOfMessagesVisible({ period: PERIOD, statistic: "Maximum" });
}

/** https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-logging.html */
function apiMetric({ api, stage }: LiftWebSocketApi, metricName: string): cloudwatch.Metric {
  return new cloudwatch.Metric({
    namespace: "AWS/ApiGateway",
    metricName,
    dimensionsMap: { ApiId: api.apiId, Stage: stage.stageName },
    period: PERIOD,
    statistic: "Sum",
  });
}

function liftMetric({ stage }: LiftWebSocketApi, namespace: string, metricName: string): cloudwatch.Metric {
  const dimensionsMap = { Stage: stage.stageName };
  return new cloudwatch.Metric({ namespace, metricName, dimensionsMap, period: PERIOD, statistic: "Sum" });
}

function graph(title: string, left: cloudwatch.IMetric[]): cloudwatch.GraphWidget {
  return new cloudwatch.GraphWidget({ title, left, width: 8 });
}

function toId(name: string, suffix: string): string {
  return `${name.slice(0, 1).toUpperCase()}${name.slice(1)}${suffix}`;
}

/** `DeadLetters` becomes `dead-letters`. */
function toFileName(kind: string): string {
  return kind.replaceAll(/\B[A-Z]/g, "-$&").toLowerCase();
}
