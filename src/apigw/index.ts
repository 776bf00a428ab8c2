export { runBroadcast, type Sender, type SendOutcome } from "./broadcast.ts";
export * from "./connections.ts";
export * from "./events.ts";
export * from "./function-url.ts";
export * from "./lambda.ts";
export * from "./limits.ts";
export * from "./results.ts";
