export interface InvocationReport {
  readonly requestId: string;
  readonly durationMs: number;
  /** Of the first invocation of a process. */
  readonly initMs: number | undefined;
  readonly memoryMB: number;
  /** Where the platform tells. */
  readonly usedMB: number | undefined;
  /** How it ended, if not well. */
  readonly status?: "error" | "timeout";
}

export function startLine(requestId: string): string {
  return `START RequestId: ${requestId} Version: $LATEST`;
}

/** END and REPORT. Since August 2025 Lambda bills the initialization too. */
export function endLines({
  requestId,
  durationMs,
  initMs,
  memoryMB,
  usedMB,
  status,
}: InvocationReport): string[] {
  const fields = [
    `REPORT RequestId: ${requestId}`,
    `Duration: ${durationMs.toFixed(2)} ms`,
    `Billed Duration: ${Math.ceil(durationMs + (initMs ?? 0))} ms`,
    `Memory Size: ${memoryMB} MB`,
    ...(usedMB === undefined ? [] : [`Max Memory Used: ${usedMB} MB`]),
    ...(initMs === undefined ? [] : [`Init Duration: ${initMs.toFixed(2)} ms`]),
    ...(status === undefined ? [] : [`Status: ${status}`]),
  ];
  return [`END RequestId: ${requestId}`, fields.join("\t")];
}

export function initLine(initMs: number, errorType: string): string {
  return `INIT_REPORT Init Duration: ${initMs.toFixed(2)} ms\tPhase: init\tStatus: error\tError Type: ${errorType}`;
}
