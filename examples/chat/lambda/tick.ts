import { chat } from "./chat.ts";

export const handler = chat.tickHandler();
