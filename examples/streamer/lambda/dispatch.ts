import { lounge, workers } from "./lounge.ts";

/** Handles the stream of the requests' table, and a schedule. */
export const handler = lounge.dispatchHandler(workers);
