/** Metrics that CloudWatch extracts from a line, each for every set of dimensions. */
export interface EmfDirective {
  readonly namespace: string;
  readonly dimensions: readonly (readonly string[])[];
  readonly units: { readonly [metric: string]: string };
}

/**
 * Returns a line of CloudWatch's embedded metric format.
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
 * @param timestamp ms since the epoch
 * @param members the values of the metrics and dimensions, and other fields for the log
 */
export function emfLine(timestamp: number, directives: readonly EmfDirective[], members: object): string {
  const CloudWatchMetrics = directives.map(({ namespace, dimensions, units }) => ({
    Namespace: namespace,
    Dimensions: dimensions,
    Metrics: Object.entries(units).map(([Name, Unit]) => ({ Name, Unit })),
  }));
  return JSON.stringify({ _aws: { Timestamp: timestamp, CloudWatchMetrics }, ...members });
}

/**
 * Writes a line to stdout. Not with `console.log`, because Lambda wraps console lines when the log format is JSON, and
 * CloudWatch then finds no metrics.
 */
export function writeEmf(line: string): void {
  process.stdout.write(`${line}\n`);
}
