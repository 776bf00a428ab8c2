import { reports } from "./reports.ts";

export const handler = reports.app.webSocketHandler();
