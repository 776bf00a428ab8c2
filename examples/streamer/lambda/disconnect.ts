import { lounge } from "./lounge.ts";

export const handler = lounge.app.webSocketHandler();
