import { lounge } from "./lounge.ts";

/** Handles the stream of the messages' table. */
export const handler = lounge.fanOutHandler();
