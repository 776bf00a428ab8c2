import { lounge, workers } from "./lounge.ts";

/** Runs one request. */
export const handler = lounge.workerHandler(workers);
