/** Values of a REPORT line. */
export interface InvocationReport {
  readonly requestId: string;
  readonly durationMs: number;
  /** Duration of the initialization, for the first invocation of a process. */
  readonly initMs: number | undefined;
  readonly memoryMB: number;
  /** Peak memory, where the platform reports it. */
  readonly usedMB: number | undefined;
  /** The failure, if any. */
  readonly status?: "error" | "timeout";
}

/** Returns the START line. */
export function startLine(requestId: string): string {
  return `START RequestId: ${requestId} Version: $LATEST`;
}

/** Returns the END and REPORT lines. Since August 2025 Lambda bills the initialization too. */
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

/** Returns the INIT_REPORT line of a failed initialization. */
export function initLine(initMs: number, errorType: string): string {
  return `INIT_REPORT Init Duration: ${initMs.toFixed(2)} ms\tPhase: init\tStatus: error\tError Type: ${errorType}`;
}
