import { reports, workers } from "./reports.ts";

/** Handles the stream of the requests' table, and a schedule of one minute. */
export const handler = reports.dispatchHandler(workers);
