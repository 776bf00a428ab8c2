export { type WebSocketLoggerOptions, webSocketLogger } from "./logger.ts";
