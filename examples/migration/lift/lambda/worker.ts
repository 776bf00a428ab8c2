import { reports, workers } from "./reports.ts";

/** Runs one request. */
export const handler = reports.workerHandler(workers);
