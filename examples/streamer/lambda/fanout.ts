import { lounge } from "./lounge.ts";

/** For the stream of the messages' table. */
export const handler = lounge.fanOutHandler();
