import type { TableOptions } from "../options.ts";
import { logMetrics } from "./metrics.ts";
import { RetryingClient } from "./retrying-client.ts";
import type { Transport } from "./transport.ts";

const DEFAULT_TIMEOUT_MS = 10_000;

/** What a store of these options calls its table by. */
export function callerOf(transport: Transport, options: TableOptions): RetryingClient {
  const { tableName, timeoutMs = DEFAULT_TIMEOUT_MS, enableMetrics = false } = options;
  const measure =
    typeof enableMetrics === "function" ? enableMetrics : enableMetrics ? logMetrics : undefined;
  return new RetryingClient({ transport, tableName, timeoutMs, measure });
}
